//! What can be wrong with the text of a filter.

use std::fmt;

use super::{MAX_BYTES, MAX_DEPTH, MAX_TERMS};

/// What is wrong with the text of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("character {}: expected {expected}", .at + 1)]
pub struct FilterError {
    /// How many characters stand before the place.
    pub at: usize,
    /// What is expected there.
    pub expected: Expected,
}

/// What is expected at a place of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expected {
    /// A shorter text.
    Shorter,
    /// Fewer terms.
    FewerTerms,
    /// Fewer parentheses inside each other.
    Flatter,
    /// A term.
    Term,
    /// A term, or no more.
    TermOrEnd,
    /// A closing parenthesis.
    Close,
    /// A closing quotation mark.
    Quote,
    /// One of the two characters that can be escaped.
    Escaped,
    /// A space between two terms.
    Space,
    /// A character that is no control character.
    Printable,
    /// The name of a field.
    Field,
    /// Another operator after this field: these.
    Operator(&'static str),
    /// A value. This is an example of one, or a list of all.
    Value(&'static str),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shorter => write!(f, "at most {MAX_BYTES} bytes"),
            Self::FewerTerms => write!(f, "at most {MAX_TERMS} terms"),
            Self::Flatter => write!(f, "at most {MAX_DEPTH} parentheses inside each other"),
            Self::Term => f.write_str("a term, such as site:berlin, or a word"),
            Self::TermOrEnd => f.write_str("a term, or the end"),
            Self::Close => f.write_str("a closing parenthesis"),
            Self::Quote => f.write_str("a closing quotation mark"),
            Self::Escaped => f.write_str("\\\" or \\\\ in a text in quotation marks"),
            Self::Space => f.write_str("a space between two terms"),
            Self::Printable => f.write_str("a text without control characters"),
            Self::Field => {
                f.write_str("one of the fields ")?;
                for (number, name) in super::parse::field_names().enumerate() {
                    write!(f, "{}{name}", if number > 0 { ", " } else { "" })?;
                }
                f.write_str(" (or quotation marks around the word)")
            }
            Self::Operator(operators) => write!(f, "{operators} after this field"),
            Self::Value(example) => f.write_str(example),
        }
    }
}
