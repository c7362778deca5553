//! Reads the values of settings from a file, where every error names its line, and from a command line.

use super::{Emit, Fallback};
use crate::key::uri::Pkcs11Uri;
use crate::sign::command::{self, SigningCommand};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A way to read values of one type.
pub(super) trait Kind<T> {
    /// Reads a value of a command line.
    fn from_text(text: &OsStr) -> Result<T, String>;

    /// Reads a value of a file.
    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
        Self::from_text(String::deserialize(value)?.as_ref()).map_err(Error::custom)
    }

    /// Makes the paths in a value relative to this directory.
    fn rebase(_: &mut T, _: &Path) {}

    /// Removes this directory from the start of a path.
    fn shorten(_: &mut T, _: &Path) {}
}

fn utf8(text: &OsStr) -> Result<&str, String> {
    text.to_str().ok_or_else(|| "this is not UTF-8 text".into())
}

fn from_str<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A path, or a key in a token.
pub(super) struct File;

impl Kind<PathBuf> for File {
    fn from_text(text: &OsStr) -> Result<PathBuf, String> {
        if text.is_empty() { Err("a path is empty".into()) } else { Ok(text.into()) }
    }

    fn rebase(path: &mut PathBuf, base: &Path) {
        // A PKCS#11 URI is not a path.
        if !path.to_str().is_some_and(Pkcs11Uri::is_one) {
            *path = base.join(&*path);
        }
    }

    fn shorten(path: &mut PathBuf, here: &Path) {
        if let Ok(short) = path.strip_prefix(here) {
            *path = short.to_owned();
        }
    }
}

/// A file that otaseal reads and then writes, so it cannot be a stream.
pub(super) struct Ledger;

impl Kind<PathBuf> for Ledger {
    fn from_text(text: &OsStr) -> Result<PathBuf, String> {
        if text == "-" { Err("a ledger is a file, not a stream".into()) } else { File::from_text(text) }
    }

    fn rebase(path: &mut PathBuf, base: &Path) {
        File::rebase(path, base);
    }

    fn shorten(path: &mut PathBuf, here: &Path) {
        File::shorten(path, here);
    }
}

/// A value that its own type parses.
pub(super) struct Parsed;

impl<T: FromStr<Err: Display>> Kind<T> for Parsed {
    fn from_text(text: &OsStr) -> Result<T, String> {
        from_str(utf8(text)?)
    }
}

/// A list of such values. Commas separate them on a command line.
pub(super) struct List;

impl<T: FromStr<Err: Display>> Kind<Vec<T>> for List {
    fn from_text(text: &OsStr) -> Result<Vec<T>, String> {
        utf8(text)?.split(',').map(from_str).collect()
    }

    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<Item<T>>::deserialize(value)?.into_iter().map(|item| item.0).collect())
    }
}

/// One item of a list. The visitor parses it, because an error of a visitor names the line of the item.
struct Item<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_str(Item(PhantomData)).map(Item)
    }
}

impl<T: FromStr<Err: Display>> Visitor<'_> for Item<PhantomData<T>> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        from_str(text).map_err(E::custom)
    }
}

/// A name that becomes an argument of cargo. It must not look like an option: a settings file could then pass any
/// option to cargo.
pub(super) struct Word;

fn word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{}` cannot be a name here", text.escape_debug()));
    }
    Ok(text.into())
}

impl Kind<String> for Word {
    fn from_text(text: &OsStr) -> Result<String, String> {
        word(utf8(text)?)
    }
}

impl Kind<Vec<String>> for Word {
    fn from_text(text: &OsStr) -> Result<Vec<String>, String> {
        utf8(text)?.split(',').map(word).collect()
    }

    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
        let list = Vec::<String>::deserialize(value)?;
        list.iter().map(|text| word(text)).collect::<Result<_, _>>().map_err(Error::custom)
    }
}

/// Reads a list of words for [`Fallback`].
pub(super) fn words<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<String>>, D::Error> {
    Word::from_file(value).map(Some)
}

/// Reads a name for [`Emit`].
pub(super) fn parsed<'de, D, T>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    Parsed::from_file(value).map(Some)
}

/// A number or a boolean: TOML has its own types for these.
pub(super) struct Plain;

impl<T: FromStr<Err: Display> + for<'de> Deserialize<'de>> Kind<T> for Plain {
    fn from_text(text: &OsStr) -> Result<T, String> {
        from_str(utf8(text)?)
    }

    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
        T::deserialize(value)
    }
}

/// A time in seconds.
pub(super) struct Seconds;

impl Kind<Duration> for Seconds {
    fn from_text(text: &OsStr) -> Result<Duration, String> {
        // Text that is not a number becomes zero, and gets the same message.
        Ok(command::timeout(utf8(text)?.parse().unwrap_or(0))?)
    }

    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
        command::timeout(u64::deserialize(value)?).map_err(Error::custom)
    }
}

/// A command. otaseal runs it in the directory of the file that names it.
pub(super) struct Command;

impl Kind<SigningCommand> for Command {
    fn from_text(text: &OsStr) -> Result<SigningCommand, String> {
        from_str(utf8(text)?)
    }

    fn rebase(command: &mut SigningCommand, base: &Path) {
        command.run_in(base);
    }
}

/// Tables. A command line cannot hold them.
pub(super) struct Table;

impl Kind<Vec<Emit>> for Table {
    fn from_text(_: &OsStr) -> Result<Vec<Emit>, String> {
        Err("set this in a settings file".into())
    }

    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<Emit>, D::Error> {
        Vec::deserialize(value)
    }

    fn rebase(list: &mut Vec<Emit>, base: &Path) {
        for emit in list {
            emit.path = base.join(&emit.path);
        }
    }
}

impl Kind<Fallback> for Table {
    fn from_text(_: &OsStr) -> Result<Fallback, String> {
        Err("set this in a settings file".into())
    }

    fn from_file<'de, D: Deserializer<'de>>(value: D) -> Result<Fallback, D::Error> {
        Fallback::deserialize(value)
    }

    fn rebase(fallback: &mut Fallback, base: &Path) {
        // The system looks up a bare name in PATH.
        for program in [&mut fallback.cargo, &mut fallback.rustc].into_iter().flatten() {
            if program.components().count() > 1 {
                *program = base.join(&*program);
            }
        }
    }
}
