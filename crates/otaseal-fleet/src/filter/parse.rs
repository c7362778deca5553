//! Reads filters.

use otaseal_delivery::device::Family;
use otaseal_delivery::offer::order;

use super::error::{Expected, FilterError};
use super::{Expr, MAX_BYTES, MAX_DEPTH, MAX_TERMS, MacStart, Seen, Side, Span, Term, Unit};
use crate::rollout::update::State;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId, Source, Standing};

/// The names of the fields.
pub(super) fn field_names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|field| field.name)
}

/// A field: its name, its operators, and how its value is read.
struct Field {
    name: &'static str,
    operators: &'static str,
    read: fn(&str, &str) -> Result<Term, Expected>,
}

const FIELDS: [Field; 15] = [
    Field { name: "site", operators: ":", read: |_, text| Ok(Term::Site(text.into())) },
    Field {
        name: "tag",
        operators: ":",
        read: |_, text| some(text, "a tag", |text| (!text.is_empty()).then(|| Term::Tag(text.into()))),
    },
    Field { name: "board", operators: ":", read: |_, text| Ok(Term::Board(text.into())) },
    Field { name: "family", operators: ":", read: |_, text| some(text, "esp8266, esp32 or rp2040", family) },
    Field {
        name: "standing",
        operators: ":",
        read: |_, text| {
            let found = |text: &str| Standing::ALL.into_iter().find(|standing| standing.name() == text);
            some(text, "pending, accepted or ignored", |text| found(text).map(Term::Standing))
        },
    },
    Field {
        name: "source",
        operators: ":",
        read: |_, text| {
            let found = |text: &str| Source::ALL.into_iter().find(|source| source.name() == text);
            some(text, "pull, homie, mdns or person", |text| found(text).map(Term::Source))
        },
    },
    Field { name: "firmware", operators: ":", read: |_, text| Ok(Term::Firmware(text.into())) },
    Field { name: "version", operators: ": < <= > >=", read: version },
    Field {
        name: "release",
        operators: ":",
        read: |_, text| {
            let id = |text: &str| match text {
                "none" => Some(Term::Release(None)),
                text => number(text).map(|id| Term::Release(Some(ReleaseId(id)))),
            };
            some(text, "the number of a release, such as 7, or none", id)
        },
    },
    Field {
        name: "state",
        operators: ":",
        read: |_, text| {
            let states = "held, queued, sending, served, installed, confirmed, retry, silent, attention, settled, \
                skipped, unverifiable, expired, cancelled or superseded";
            some(text, states, |text| State::by_name(text).map(Term::State))
        },
    },
    Field {
        name: "rollout",
        operators: ":",
        read: |_, text| {
            let id = |text: &str| number(text).map(|id| Term::Rollout(RolloutId(id)));
            some(text, "the number of a rollout, such as 3", id)
        },
    },
    Field { name: "seen", operators: "< >", read: seen },
    Field {
        name: "id",
        operators: ":",
        read: |_, text| {
            let id = |text: &str| number(text).map(|id| Term::Id(DeviceId(id)));
            some(text, "the number of a device, such as 12", id)
        },
    },
    Field {
        name: "mac",
        operators: ":",
        read: |_, text| {
            let start = |text: &str| MacStart::read(text).map(Term::Mac);
            some(text, "a MAC address or its beginning, such as 5C:CF:7F", start)
        },
    },
    Field {
        name: "name",
        operators: "~",
        read: |_, text| {
            some(text, "a part of a name", |text| (!text.is_empty()).then(|| Term::Name(text.into())))
        },
    },
];

fn some(
    text: &str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<Term>,
) -> Result<Term, Expected> {
    read(text).ok_or(Expected::Value(expected))
}

fn family(text: &str) -> Option<Term> {
    let all = [Family::Esp8266, Family::Esp32, Family::Rp2040];
    all.into_iter().find(|family| family.to_string().eq_ignore_ascii_case(text)).map(Term::Family)
}

fn version(operator: &str, text: &str) -> Result<Term, Expected> {
    let Some(side) = Side::ALL.into_iter().find(|side| side.sign() == operator) else {
        return Ok(Term::Version(text.into()));
    };
    let versions = |text: &str| order(text, text).map(|_| Term::Versions(side, text.into()));
    some(text, "a version with an order, such as 1.4.2", versions)
}

fn seen(operator: &str, text: &str) -> Result<Term, Expected> {
    let seen = if operator == "<" { Seen::Within } else { Seen::NotSince };
    let span = |text: &str| {
        let letter = text.chars().next_back()?;
        let unit = Unit::ALL.into_iter().find(|unit| unit.letter() == letter)?;
        let count = number(&text[..text.len() - 1]).filter(|count| *count > 0)?;
        Some(Term::Seen(seen, Span { count, unit }))
    };
    some(text, "a time with its unit (s, m, h, d, w), such as 7d", span)
}

/// A number of digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Whether the character ends a text without quotation marks.
fn ends_bare(character: char) -> bool {
    character.is_whitespace() || matches!(character, '(' | ')' | '"')
}

fn is_keyword(text: &str) -> bool {
    text.eq_ignore_ascii_case("or") || text.eq_ignore_ascii_case("and")
}

/// Whether the text is read as this word without quotation marks.
pub(super) fn is_bare_word(text: &str) -> bool {
    let has_operator = text.contains(OPERATORS) && !is_mac_like(text);
    is_bare_value(text) && !has_operator && !text.starts_with('-') && !is_keyword(text)
}

/// Whether the text is read as this value without quotation marks.
pub(super) fn is_bare_value(text: &str) -> bool {
    !text.is_empty() && !text.contains(ends_bare)
}

const OPERATORS: [char; 4] = [':', '<', '>', '~'];

/// Whether the text is a part of a MAC address, such as `5C:CF:7F`. People paste them.
fn is_mac_like(text: &str) -> bool {
    let pairs: Vec<&str> = text.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    (2..=6).contains(&pairs.len()) && pairs.iter().all(is_pair)
}

/// Reads a filter.
pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    let mut parser = Parser { text, at: 0, terms: 0, depth: 0 };
    if text.len() > MAX_BYTES {
        return Err(parser.expected(Expected::Shorter));
    }
    parser.skip_space();
    if parser.rest().is_empty() {
        return Ok(Expr::And(Vec::new()));
    }
    let root = parser.any()?;
    match parser.rest().is_empty() {
        true => Ok(root),
        false => Err(parser.expected(Expected::TermOrEnd)),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    terms: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn expected(&self, expected: Expected) -> FilterError {
        Self::expected_at(self.text, self.at, expected)
    }

    fn expected_at(text: &str, at: usize, expected: Expected) -> FilterError {
        FilterError { at: text[..at].chars().count(), expected }
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// The text up to the next character that ends it.
    fn bare(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest.find(ends_bare).unwrap_or(rest.len())]
    }

    /// Takes this word if it stands here.
    fn take(&mut self, keyword: &str) -> bool {
        let found = self.bare().eq_ignore_ascii_case(keyword);
        if found {
            self.at += keyword.len();
            self.skip_space();
        }
        found
    }

    /// `all or all …`
    fn any(&mut self) -> Result<Expr, FilterError> {
        let mut parts = Vec::new();
        loop {
            match self.all()? {
                Expr::Or(more) => parts.extend(more),
                part => parts.push(part),
            }
            if !self.take("or") {
                return Ok(joined(parts, Expr::Or));
            }
        }
    }

    /// `one one …`, with or without `and` between them.
    fn all(&mut self) -> Result<Expr, FilterError> {
        let mut parts = Vec::new();
        loop {
            match self.one()? {
                Expr::And(more) => parts.extend(more),
                part => parts.push(part),
            }
            self.skip_space();
            let ends = matches!(self.peek(), None | Some(')')) || self.bare().eq_ignore_ascii_case("or");
            if ends {
                return Ok(joined(parts, Expr::And));
            }
            self.take("and");
        }
    }

    /// A term or a group, with or without a `-` before it.
    fn one(&mut self) -> Result<Expr, FilterError> {
        if self.peek() != Some('-') {
            return self.group();
        }
        self.at += 1;
        match self.peek() {
            Some('-') | None => Err(self.expected(Expected::Term)),
            Some(_) => Ok(Expr::Not(Box::new(self.group()?))),
        }
    }

    fn group(&mut self) -> Result<Expr, FilterError> {
        if self.peek() != Some('(') {
            return self.term().map(Expr::Term);
        }
        if self.depth == MAX_DEPTH {
            return Err(self.expected(Expected::Flatter));
        }
        self.at += 1;
        self.depth += 1;
        self.skip_space();
        let inner = self.any()?;
        if self.peek() != Some(')') {
            return Err(self.expected(Expected::Close));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inner)
    }

    fn term(&mut self) -> Result<Term, FilterError> {
        if self.terms == MAX_TERMS {
            return Err(self.expected(Expected::FewerTerms));
        }
        self.terms += 1;
        if self.peek() == Some('"') {
            let start = self.at;
            let text = self.quoted()?;
            return match text.is_empty() {
                true => Err(Self::expected_at(self.text, start, Expected::Term)),
                false => Ok(Term::Word(text)),
            };
        }
        let bare = self.bare();
        if bare.is_empty() || is_keyword(bare) {
            return Err(self.expected(Expected::Term));
        }
        match bare.find(OPERATORS) {
            Some(end) if !is_mac_like(bare) => self.field(&bare[..end], &bare[end..]),
            _ => self.plain().map(Term::Word),
        }
    }

    /// A field with its operator and value. `after` is what stands behind its name.
    fn field(&mut self, name: &str, after: &str) -> Result<Term, FilterError> {
        let field = FIELDS.iter().find(|field| field.name == name);
        let Some(field) = field else { return Err(self.expected(Expected::Field)) };
        self.at += name.len();
        let length = if after.starts_with("<=") || after.starts_with(">=") { 2 } else { 1 };
        let operator = &after[..length];
        if !field.operators.split(' ').any(|known| known == operator) {
            return Err(self.expected(Expected::Operator(field.operators)));
        }
        self.at += length;
        let start = self.at;
        let value = match self.peek() {
            Some('"') => self.quoted()?,
            _ => self.plain()?,
        };
        let bare_and_empty = self.at == start;
        let read = (field.read)(operator, &value);
        match read {
            Ok(_) if bare_and_empty => Err(Expected::Value("a value (\"\" for none)")),
            other => other,
        }
        .map_err(|expected| Self::expected_at(self.text, start, expected))
    }

    /// A text without quotation marks.
    fn plain(&mut self) -> Result<String, FilterError> {
        let text = self.bare();
        if let Some((at, _)) = text.char_indices().find(|(_, character)| character.is_control()) {
            return Err(Self::expected_at(self.text, self.at + at, Expected::Printable));
        }
        self.at += text.len();
        match self.peek() {
            Some('"') if !text.is_empty() => Err(self.expected(Expected::Space)),
            _ => Ok(text.to_owned()),
        }
    }

    /// A text in quotation marks.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            let fault = |expected| Err(Self::expected_at(self.text, self.at + at, expected));
            match character {
                '"' => {
                    self.at += at + 1;
                    return match self.peek() {
                        None | Some('(' | ')') => Ok(text),
                        Some(next) if next.is_whitespace() => Ok(text),
                        Some(_) => Err(self.expected(Expected::Space)),
                    };
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => return fault(Expected::Escaped),
                },
                character if character.is_control() => return fault(Expected::Printable),
                character => text.push(character),
            }
        }
        self.at = self.text.len();
        Err(self.expected(Expected::Quote))
    }
}

/// Joins the parts. A single one stands for itself.
fn joined(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
