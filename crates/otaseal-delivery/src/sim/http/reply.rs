//! How the HTTP client of a device reads an answer: `HTTPClient::handleHeaderResponse`.

/// What the client remembers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The status, or an error of the client below 0.
    pub(super) code: i32,
    /// `_size`: -1 without a length.
    pub(super) size: i64,
    pub(super) md5: String,
    pub(super) version: String,
    pub(super) location: String,
    encoding: String,
    joins: bool,
    takes_identity: bool,
}

/// No line began with `HTTP/1.`.
pub(super) const NO_HTTP_SERVER: i32 = -7;
/// A transfer coding that the client does not know.
pub(super) const ENCODING: i32 = -9;

impl Head {
    /// ESP8266 joins the values of a repeated field, and refuses every coding but `chunked`, even `identity`. The others
    /// keep the last value.
    pub(super) fn new(is_esp8266: bool) -> Self {
        Self {
            code: -1,
            size: -1,
            md5: String::new(),
            version: String::new(),
            location: String::new(),
            encoding: String::new(),
            joins: is_esp8266,
            takes_identity: !is_esp8266,
        }
    }

    /// Reads one line. Returns whether the header is over; then `code` is the verdict.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("HTTP/1.") {
            // The version of HTTP counts for nothing.
            self.code = atol(rest.get(2..).unwrap_or_default()) as i32;
        } else if let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) {
            self.field(name, value.trim());
        } else if line.is_empty() {
            self.finish();
            return true;
        }
        false
    }

    fn field(&mut self, name: &str, value: &str) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let joins = self.joins;
        let collect = |into: &mut String| match joins && !into.is_empty() {
            true => {
                into.push(',');
                into.push_str(value);
            }
            false => value.clone_into(into),
        };
        if is("Content-Length") {
            self.size = atol(value);
        } else if is("Transfer-Encoding") {
            value.clone_into(&mut self.encoding);
        } else if is("Location") {
            value.clone_into(&mut self.location);
        } else if is("x-MD5") {
            collect(&mut self.md5);
        } else if is("x-version") {
            collect(&mut self.version);
        }
    }

    fn finish(&mut self) {
        let known = self.encoding.is_empty()
            || self.encoding.eq_ignore_ascii_case("chunked")
            || self.takes_identity && self.encoding.eq_ignore_ascii_case("identity");
        if !known {
            self.code = ENCODING;
        } else if self.code <= 0 {
            self.code = NO_HTTP_SERVER;
        }
    }
}

/// C's `atol`: a sign, digits, and whatever follows.
fn atol(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    // A long has 32 bits there.
    sign * digits[..end].parse::<i64>().unwrap_or(i64::from(i32::MAX)).min(i64::from(i32::MAX))
        * i64::from(end > 0)
}
