//! A settings file, read so that every error can name its line.

use super::{EMIT_FIELDS, FALLBACK_FIELDS, FIELDS, MAX_FILE, Place, Settings, SettingsError};
use crate::key::material;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Reads the table at `path_in_file` (the whole file when that is empty).
pub(super) fn settings(path: &Path, path_in_file: &[&str]) -> Result<Settings, SettingsError> {
    let text = text(path).map_err(|source| SettingsError::Read { path: path.into(), source })?;
    let file = SettingsFile { path, text: &text };
    let document = DeTable::parse(&text).map_err(|error| file.invalid(&error))?;
    let mut table = document.get_ref();
    for name in path_in_file {
        match table.get(*name).map(|value| value.get_ref()) {
            Some(DeValue::Table(inner)) => table = inner,
            // `metadata` belongs to everybody: only our own table must be one.
            Some(value) if *name == "otaseal" => {
                let span = table.get(*name).map_or(0..0, |value| value.span());
                let message = format!("`otaseal` must be a table, this is a {}", value.type_str());
                return Err(SettingsError::Invalid { place: file.place(Some(span)), message });
            }
            _ => return Ok(Settings::default()),
        }
    }
    file.check_fields(table, FIELDS)?;
    if let Some(DeValue::Table(fallback)) = table.get("fallback").map(|value| value.get_ref()) {
        file.check_fields(fallback, FALLBACK_FIELDS)?;
    }
    if let Some(DeValue::Array(list)) = table.get("emit").map(|value| value.get_ref()) {
        for entry in list.iter() {
            if let DeValue::Table(entry) = entry.get_ref() {
                file.check_fields(entry, EMIT_FIELDS)?;
            }
        }
    }
    file.check_signer(table)?;
    let mut settings = typed(&text, path_in_file).map_err(|error| file.invalid(&error))?;
    // An absolute base: a command may be run in another directory than the settings were read from.
    let base = path.parent().unwrap_or(Path::new(""));
    let base = std::path::absolute(if base.as_os_str().is_empty() { Path::new(".") } else { base })
        .map_err(|source| SettingsError::Read { path: path.into(), source })?;
    settings.rebase(&base);
    Ok(settings)
}

/// The same text once more, by types: the errors carry the place of the value.
fn typed(text: &str, path_in_file: &[&str]) -> Result<Settings, toml::de::Error> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct CargoToml {
        package: Section,
        workspace: Section,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Section {
        metadata: Metadata,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Metadata {
        otaseal: Settings,
    }
    Ok(match path_in_file.first() {
        None => toml::from_str(text)?,
        Some(&"package") => toml::from_str::<CargoToml>(text)?.package.metadata.otaseal,
        Some(_) => toml::from_str::<CargoToml>(text)?.workspace.metadata.otaseal,
    })
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB"));
    }
    Ok(text)
}

struct SettingsFile<'a> {
    path: &'a Path,
    text: &'a str,
}

impl SettingsFile<'_> {
    fn place(&self, span: Option<Range<usize>>) -> Place {
        let start = span.map_or(0, |span| span.start);
        let before = self.text.bytes().take(start);
        Place { file: self.path.into(), line: 1 + before.filter(|&byte| byte == b'\n').count() }
    }

    fn invalid(&self, error: &toml::de::Error) -> SettingsError {
        // The message quotes the value.
        let message = match material::is_key(error.message().as_bytes()) {
            true => "this is a key itself, and no value that a setting has".into(),
            false => error.message().into(),
        };
        SettingsError::Invalid { place: self.place(error.span()), message }
    }

    /// Refuses two holders of one key, and what is said of a command that is not there.
    fn check_signer(&self, table: &DeTable<'_>) -> Result<(), SettingsError> {
        let span = |name: &str| table.get(name).map(|value| value.span());
        let (place, message) = match (span("signer-cmd"), span("key")) {
            (Some(command), Some(_)) => {
                (command, "`key` says already what signs; beside `signer-cmd` stands `public-key`")
            }
            (Some(_), None) => return Ok(()),
            (None, _) => match ["signer-cmd-input", "signer-timeout"].into_iter().find_map(span) {
                Some(place) => (place, "this belongs to `signer-cmd`, which is not here"),
                None => return Ok(()),
            },
        };
        Err(SettingsError::Invalid { place: self.place(Some(place)), message: message.into() })
    }

    /// Refuses the first name that does not exist.
    fn check_fields(&self, table: &DeTable<'_>, valid: &'static [&'static str]) -> Result<(), SettingsError> {
        let unknown = table.keys().filter(|key| !valid.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let field = key.get_ref().to_string();
        if material::is_key(field.as_bytes()) {
            let message = "this is a key itself, and no name that a setting has".into();
            return Err(SettingsError::Invalid { place: self.place(Some(key.span())), message });
        }
        // Cargo's other spelling, and a slip of one letter in three.
        let distance = |name: &str| strsim::damerau_levenshtein(&field.replace('_', "-"), name);
        let mut valid = valid.to_vec();
        valid.sort_by_key(|name| distance(name));
        let near = valid.first().is_some_and(|name| distance(name) <= name.len().div_ceil(3));
        if !near {
            valid.sort_unstable();
        }
        Err(SettingsError::Unknown { place: self.place(Some(key.span())), field, valid, near })
    }
}
