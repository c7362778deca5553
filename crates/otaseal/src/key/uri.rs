//! Reads the name of a key in a token, strictly: a PKCS#11 URI (RFC 7512).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Environment variable with the PIN. A `pin-source` in the URI comes first.
pub const PIN_VARIABLE: &str = "OTASEAL_PKCS11_PIN";

/// Environment variable with the module. It counts if neither the URI nor the caller names one.
pub const MODULE_VARIABLE: &str = "OTASEAL_PKCS11_MODULE";

/// Longest URI that otaseal reads, in bytes.
const MAX_URI: usize = 8192;

/// Why a text is no PKCS#11 URI that otaseal can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    #[error("a PKCS#11 URI begins with pkcs11:")]
    Scheme,
    /// It is longer than any key's name.
    #[error("the PKCS#11 URI is longer than {MAX_URI} bytes")]
    TooLong,
    /// A piece is not of the form `name=value`. It is not shown: somebody may have put the PIN there.
    #[error("piece {0} of the PKCS#11 URI is not of the form name=value")]
    NoAttribute(usize),
    /// A character that must be written as `%XX`.
    #[error("the attribute `{name}` of the PKCS#11 URI has the character {character:?}")]
    Character {
        /// The attribute.
        name: String,
        /// The character.
        character: char,
    },
    /// A `%` without two hexadecimal digits.
    #[error("the attribute `{0}` of the PKCS#11 URI has a % without two hexadecimal digits")]
    Percent(String),
    /// The decoded value is no UTF-8 text.
    #[error("the attribute `{0}` of the PKCS#11 URI is not UTF-8 text")]
    Text(String),
    /// An attribute stands twice.
    #[error("the attribute `{0}` stands twice in the PKCS#11 URI")]
    Twice(String),
    /// A value that the attribute cannot have.
    #[error("the attribute `{name}` of the PKCS#11 URI cannot be `{}`", shown(value))]
    Value {
        /// The attribute.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// An unknown attribute of the path: no key can match it (RFC 7512 2.4).
    #[error("the PKCS#11 URI has the unknown attribute `{0}`: no key can match it")]
    Unknown(String),
    /// The PIN itself stands in it.
    #[error(
        "the PKCS#11 URI contains the PIN (pin-value): every user of this machine can read a command line"
    )]
    PinValue,
    /// The PIN should come from a command.
    #[error("the PKCS#11 URI takes the PIN from a command (pin-source=|…), which otaseal does not do")]
    PinCommand,
}

/// Returns a decoded value, safe for a terminal.
fn shown(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(80).collect()
}

/// The attributes of a key in a URI. An attribute that is absent matches every key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Pkcs11Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Manufacturer of the token.
    pub manufacturer: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Number of the slot.
    pub slot_id: Option<u64>,
    /// Description of the slot.
    pub slot_description: Option<String>,
    /// Manufacturer of the slot.
    pub slot_manufacturer: Option<String>,
    /// Label of the object (`CKA_LABEL`).
    pub object: Option<String>,
    /// Identifier of the object (`CKA_ID`): bytes.
    pub id: Option<Vec<u8>>,
    /// The module, a file.
    pub module_path: Option<PathBuf>,
    /// The module by its name, without directory, `lib` and ending.
    pub module_name: Option<String>,
    /// The file with the PIN.
    pub pin_source: Option<PathBuf>,
    /// Unknown attributes of the query: they do not count (RFC 7512 2.4).
    pub ignored: Vec<String>,
}

impl Pkcs11Uri {
    /// Tells whether a text is meant as a PKCS#11 URI, and not as a file name.
    pub fn is_one(text: &str) -> bool {
        text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
    }
}

impl FromStr for Pkcs11Uri {
    type Err = UriError;

    /// # Errors
    /// [`UriError`].
    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_URI {
            return Err(UriError::TooLong);
        }
        let rest = text.get(7..).filter(|_| Self::is_one(text)).ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut uri = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        // RFC 7512 2.3: the path may be empty, but a piece of it may not.
        if !path.is_empty() {
            for piece in path.split(';') {
                let (name, value) = attribute(piece, &mut seen)?;
                uri.of_path(name, &decode(name, value, "&")?)?;
            }
        }
        for piece in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = attribute(piece, &mut seen)?;
            uri.of_query(name, &decode(name, value, "/?|")?)?;
        }
        Ok(uri)
    }
}

impl Pkcs11Uri {
    /// Returns the same URI for a message, without the PIN's place: if somebody wrote the PIN itself there, it must not
    /// get into a log.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn without_pin(&self) -> Self {
        Self { pin_source: None, ..self.clone() }
    }

    fn of_path(&mut self, name: &str, value: &[u8]) -> Result<(), UriError> {
        let text = || String::from_utf8(value.to_vec()).map_err(|_| UriError::Text(name.to_owned()));
        match name {
            "token" => self.token = Some(text()?),
            "manufacturer" => self.manufacturer = Some(text()?),
            "model" => self.model = Some(text()?),
            "serial" => self.serial = Some(text()?),
            "slot-description" => self.slot_description = Some(text()?),
            "slot-manufacturer" => self.slot_manufacturer = Some(text()?),
            "object" => self.object = Some(text()?),
            "id" => self.id = Some(value.to_vec()),
            "slot-id" => {
                let value = text()?;
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value.parse().ok().filter(|_| digits);
                self.slot_id = Some(number.ok_or(UriError::Value { name: "slot-id", value })?);
            }
            "type" => match text()? {
                kind if kind == "private" => {}
                value => return Err(UriError::Value { name: "type", value }),
            },
            // These describe the module. otaseal chooses the module by its path, and does not use them.
            "library-manufacturer" | "library-description" | "library-version" => drop(text()?),
            _ => return Err(UriError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    fn of_query(&mut self, name: &str, value: &[u8]) -> Result<(), UriError> {
        let text = || String::from_utf8(value.to_vec()).map_err(|_| UriError::Text(name.to_owned()));
        match name {
            "module-path" => match text()? {
                path if path.is_empty() => {
                    return Err(UriError::Value { name: "module-path", value: path });
                }
                path => self.module_path = Some(path.into()),
            },
            "module-name" => {
                let value = text()?;
                // The name becomes part of a file name, and must not lead to another directory.
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
                if value.is_empty() || value.starts_with('.') || !value.chars().all(plain) {
                    return Err(UriError::Value { name: "module-name", value });
                }
                self.module_name = Some(value);
            }
            "pin-source" => {
                let value = text()?;
                if value.starts_with('|') {
                    return Err(UriError::PinCommand);
                }
                let path = match value.strip_prefix("file:") {
                    // RFC 8089: the authority is empty or this machine, and an absolute path follows.
                    Some(rest) => match rest.strip_prefix("//") {
                        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                        None => rest,
                    },
                    None => &value,
                };
                let other_machine = value.starts_with("file://") && !path.starts_with('/');
                if path.is_empty() || other_machine {
                    return Err(UriError::Value { name: "pin-source", value });
                }
                self.pin_source = Some(path.into());
            }
            "pin-value" => return Err(UriError::PinValue),
            _ => self.ignored.push(name.to_owned()),
        }
        Ok(())
    }
}

/// Returns the name and the encoded value of one piece. No name may stand twice (RFC 7512 2.3).
fn attribute<'a>(piece: &'a str, seen: &mut Vec<&'a str>) -> Result<(&'a str, &'a str), UriError> {
    let none = || UriError::NoAttribute(seen.len() + 1);
    let (name, value) = piece.split_once('=').ok_or_else(none)?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(known) {
        return Err(none());
    }
    if seen.contains(&name) {
        return Err(UriError::Twice(name.to_owned()));
    }
    seen.push(name);
    Ok((name, value))
}

/// Undoes the percent-encoding. `more` lists characters that may stand unencoded here, in addition to those that may
/// everywhere (RFC 7512 2.3).
fn decode(name: &str, value: &str, more: &str) -> Result<Vec<u8>, UriError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]@!$'()*+,=".contains(c) || more.contains(c);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(character) = rest.next() {
        if character == '%' {
            let digits = [rest.next(), rest.next()].map(|digit| digit.and_then(|digit| digit.to_digit(16)));
            let [Some(high), Some(low)] = digits else { return Err(UriError::Percent(name.to_owned())) };
            bytes.push((high << 4 | low) as u8);
        } else if plain(character) {
            // A plain character is ASCII.
            bytes.push(character as u8);
        } else {
            return Err(UriError::Character { name: name.to_owned(), character });
        }
    }
    Ok(bytes)
}

/// Writes the URI with its attributes in the order of RFC 7512.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot_id = self.slot_id.map(|id| id.to_string());
        let module = self.module_path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let pin = self.pin_source.as_ref().map(|path| {
            // A path that begins with two slashes would be taken for an authority.
            let authority = if path.to_string_lossy().starts_with("//") { "//" } else { "" };
            format!("file:{authority}{}", path.display())
        });
        let text = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let path = [
            ("token", text(&self.token)),
            ("manufacturer", text(&self.manufacturer)),
            ("serial", text(&self.serial)),
            ("model", text(&self.model)),
            ("slot-id", text(&slot_id)),
            ("slot-description", text(&self.slot_description)),
            ("slot-manufacturer", text(&self.slot_manufacturer)),
            ("id", self.id.clone()),
            ("object", text(&self.object)),
        ];
        let query = [
            ("module-path", text(&module)),
            ("module-name", text(&self.module_name)),
            ("pin-source", text(&pin)),
        ];
        f.write_str("pkcs11:")?;
        join(f, &path, "", ";")?;
        join(f, &query, "?", "&")
    }
}

fn join(
    f: &mut fmt::Formatter<'_>,
    attributes: &[(&str, Option<Vec<u8>>)],
    first: &str,
    next: &str,
) -> fmt::Result {
    let mut mark = first;
    for (name, value) in attributes.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        write!(f, "{mark}{name}=")?;
        for &byte in value {
            match byte {
                b'-' | b'.' | b'_' | b'~' => write!(f, "{}", char::from(byte))?,
                // A path reads better with its slashes. In the path component they must be encoded.
                b'/' | b':' if !first.is_empty() => write!(f, "{}", char::from(byte))?,
                byte if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(byte))?,
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        mark = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
