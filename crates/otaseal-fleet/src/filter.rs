//! Filters of devices: the words that people type to say which devices they mean.
//!
//! ```text
//! site:berlin -tag:spare version<1.4.2            all three
//! tag:kitchen or (tag:hall seen<7d)               one of the two
//! "living room" family:esp8266                    a word with a space
//! ```
//!
//! | term | holds for a device |
//! |---|---|
//! | `kitchen` | with this in its name, MAC address, site or in a tag |
//! | `name~kitchen` | with this in its name |
//! | `site:berlin`, `tag:spare` | of this site, with this tag |
//! | `board:d1_mini` | of this board, however its name is spelled |
//! | `family:esp8266`, `standing:pending`, `source:homie` | of this family, standing, source |
//! | `firmware:lamp`, `version:1.2.0` | that says it runs this |
//! | `version<1.4.2` (`<=`, `>`, `>=`) | with such a version. A version without an order is on neither side |
//! | `release:7`, `release:none` | that runs this release, or none that is known |
//! | `state:attention`, `rollout:3` | whose last update is in this state, or of this rollout |
//! | `seen<7d`, `seen>7d` | heard of within the time, or not (`s`, `m`, `h`, `d`, `w`) |
//! | `id:7`, `mac:5C:CF:7F` | with this number, or whose MAC address begins so |
//!
//! `site:""`, `firmware:""`, `version:""` and `board:""` hold for devices without one. Contained texts are compared without
//! regard to case, whole texts are not. A term that a device says nothing of does not hold, and its negation does.
//!
//! A filter is bounded: see [`MAX_BYTES`], [`MAX_TERMS`], [`MAX_DEPTH`]. Its texts have no control characters.

mod error;
mod fold;
mod parse;
mod show;

use std::str::FromStr;

use otaseal_delivery::device::Family;

use crate::rollout::update::State;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId, Source, Standing};

pub use error::{Expected, FilterError};
pub use fold::fold;

/// Most bytes of the text of a filter.
pub const MAX_BYTES: usize = 1_000;

/// Most terms of a filter.
pub const MAX_TERMS: usize = 50;

/// Most parentheses inside each other.
pub const MAX_DEPTH: usize = 8;

/// A filter. The empty one holds for every device.
///
/// Its text, by `Display`, gives the same filter again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    root: Expr,
}

impl Default for Filter {
    fn default() -> Self {
        Self { root: Expr::And(Vec::new()) }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Where it is wrong, and what is expected there.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let filter = Self { root: parse::parse(text)? };
        // The text of the filter must be one that can be read again.
        match filter.to_string().len() {
            0..=MAX_BYTES => Ok(filter),
            _ => Err(FilterError { at: 0, expected: Expected::Shorter }),
        }
    }

    /// What the filter asks for.
    pub fn expr(&self) -> &Expr {
        &self.root
    }

    /// Whether it holds for every device.
    pub fn is_all(&self) -> bool {
        matches!(&self.root, Expr::And(parts) if parts.is_empty())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of them hold. None of them is an `And`. It is empty in the empty filter alone; else it has two or more.
    And(Vec<Expr>),
    /// At least one holds. There are two or more, and none of them is an `Or`.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// A term.
    Term(Term),
}

/// A term of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// In the name, the MAC address, the site or a tag, as [`fold`] compares. A MAC address has `:` between its pairs, or
    /// nothing.
    Word(String),
    /// In the name, as [`fold`] compares.
    Name(String),
    /// The site.
    Site(String),
    /// A tag.
    Tag(String),
    /// The board. See [`otaseal_delivery::device::is_same_board`].
    Board(String),
    /// The family.
    Family(Family),
    /// The standing.
    Standing(Standing),
    /// How it was heard of first.
    Source(Source),
    /// The firmware that it says it runs.
    Firmware(String),
    /// The version that it says it runs.
    Version(String),
    /// Where the version that it says it runs stands. See [`otaseal_delivery::offer::order`].
    Versions(Side, String),
    /// The release that it runs. `None`: none that is known.
    Release(Option<ReleaseId>),
    /// The state of its last update.
    State(State),
    /// The rollout of its last update.
    Rollout(RolloutId),
    /// Heard of within the span, or not.
    Seen(Seen, Span),
    /// The number.
    Id(DeviceId),
    /// How the MAC address begins.
    Mac(MacStart),
}

/// A side of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Older.
    Below,
    /// Older, or equal.
    UpTo,
    /// Newer.
    Above,
    /// Newer, or equal.
    From,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Below, Self::UpTo, Self::Above, Self::From];

    /// The operator.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::UpTo => "<=",
            Self::Above => ">",
            Self::From => ">=",
        }
    }

    /// Whether a version that compares so is on this side.
    pub fn has(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Below => order.is_lt(),
            Self::UpTo => order.is_le(),
            Self::Above => order.is_gt(),
            Self::From => order.is_ge(),
        }
    }
}

/// Whether a device was heard of lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// It was heard of within the span.
    Within,
    /// It was not.
    NotSince,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// How many. Not zero.
    pub count: u32,
    /// Of what.
    pub unit: Unit,
}

impl Span {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        u64::from(self.count) * self.unit.seconds()
    }
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Seconds.
    Second,
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// Days of 24 hours.
    Day,
    /// Weeks.
    Week,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week];

    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
            Self::Week => 'w',
        }
    }

    fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }
}

/// The first one to six bytes of a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MacStart(Vec<u8>);

impl MacStart {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first and the last address that begin so, as numbers.
    pub fn range(&self) -> (u64, u64) {
        let free = 8 * (6 - self.0.len());
        let start = self.0.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) << free;
        (start, start | ((1 << free) - 1))
    }

    /// Reads pairs of hexadecimal digits with `:` or `-` between them, or with nothing.
    fn read(text: &str) -> Option<Self> {
        let pairs: Vec<&[u8]> = match text.contains([':', '-']) {
            true => {
                let separator = if text.contains(':') { ':' } else { '-' };
                text.split(separator).map(str::as_bytes).collect()
            }
            false => text.as_bytes().chunks(2).collect(),
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |pair: &&[u8]| match pair {
            [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
            _ => None,
        };
        let bytes = pairs.iter().take(7).map(byte).collect::<Option<Vec<u8>>>()?;
        (1..=6).contains(&bytes.len()).then_some(Self(bytes))
    }
}

#[cfg(test)]
pub(crate) mod tests;
