//! Values that are checked while they are read, so that an error names their line.

use crate::sign::command;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// A name that becomes an argument of cargo: it must not be taken for an option.
fn check_word(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{}` cannot be a name here", text.escape_debug()));
    }
    Ok(())
}

pub(super) fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    check_word(&text).map_err(Error::custom)?;
    Ok(Some(text))
}

pub(super) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    list.iter().try_for_each(|text| check_word(text)).map_err(Error::custom)?;
    Ok(Some(list))
}

/// What its own type reads.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?.parse().map(Some).map_err(Error::custom)
}

/// A list of them.
pub(super) fn parsed_list<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let list = Vec::<String>::deserialize(deserializer)?;
    list.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Some).map_err(Error::custom)
}

pub(super) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    command::timeout(u64::deserialize(deserializer)?).map(Some).map_err(Error::custom)
}
