//! Writes a filter as the text that gives it again.

use std::fmt::{self, Display, Write};

use super::{Expr, Filter, MacStart, Seen, Span, Term, parse};

impl Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => list(f, parts, " ", |part| matches!(part, Self::Or(_))),
            Self::Or(parts) => list(f, parts, " or ", |_| false),
            Self::Not(inner) => match **inner {
                Self::Term(ref term) => write!(f, "-{term}"),
                ref inner => write!(f, "-({inner})"),
            },
            Self::Term(term) => term.fmt(f),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    between: &str,
    wrapped: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            f.write_str(between)?;
        }
        match wrapped(part) {
            true => write!(f, "({part})")?,
            false => part.fmt(f)?,
        }
    }
    Ok(())
}

impl Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) => match parse::is_bare_word(text) {
                true => f.write_str(text),
                false => quoted(f, text),
            },
            Self::Name(text) => value(f, "name~", text),
            Self::Site(text) => value(f, "site:", text),
            Self::Tag(text) => value(f, "tag:", text),
            Self::Board(text) => value(f, "board:", text),
            Self::Family(family) => write!(f, "family:{}", family.to_string().to_ascii_lowercase()),
            Self::Standing(standing) => write!(f, "standing:{}", standing.name()),
            Self::Source(source) => write!(f, "source:{}", source.name()),
            Self::Firmware(text) => value(f, "firmware:", text),
            Self::Version(text) => value(f, "version:", text),
            Self::Versions(side, text) => {
                write!(f, "version{}", side.sign())?;
                value(f, "", text)
            }
            Self::Release(None) => f.write_str("release:none"),
            Self::Release(Some(id)) => write!(f, "release:{id}"),
            Self::State(state) => write!(f, "state:{state}"),
            Self::Rollout(id) => write!(f, "rollout:{id}"),
            Self::Seen(Seen::Within, span) => write!(f, "seen<{span}"),
            Self::Seen(Seen::NotSince, span) => write!(f, "seen>{span}"),
            Self::Id(id) => write!(f, "id:{id}"),
            Self::Mac(start) => write!(f, "mac:{start}"),
        }
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl Display for MacStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, byte) in self.bytes().iter().enumerate() {
            let separator = if number > 0 { ":" } else { "" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

fn value(f: &mut fmt::Formatter<'_>, field: &str, text: &str) -> fmt::Result {
    f.write_str(field)?;
    match parse::is_bare_value(text) {
        true => f.write_str(text),
        false => quoted(f, text),
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}
