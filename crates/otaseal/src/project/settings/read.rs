//! A settings file, read so that every error can name its line.

use super::keys::is_there;
use super::{EMIT_FIELDS, FALLBACK_FIELDS, FILE_NAME, MAX_FILE, Place, SETTINGS, Settings, SettingsError};
use crate::key::material;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Reads the table at `path_in_file` (the whole file when that is empty).
pub(super) fn settings(path: &Path, path_in_file: &[&str]) -> Result<Settings, SettingsError> {
    let read = text(path).map_err(|source| SettingsError::Read { path: path.into(), source });
    let (text, stranger) = read?;
    let file = SettingsFile { path, text: &text };
    let document = DeTable::parse(&text).map_err(|error| file.invalid(&error, 0..0))?;
    let mut table = document.into_inner();
    for name in path_in_file {
        let Some(value) = table.remove(*name) else { return Ok(Settings::default()) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(inner) => table = inner,
            // `metadata` belongs to everybody: only our own table must be one.
            value if *name == "otaseal" => {
                let message = format!("`otaseal` must be a table, this is a {}", value.type_str());
                return Err(SettingsError::Invalid { place: file.place(span), message });
            }
            _ => return Ok(Settings::default()),
        }
    }
    file.check_fields(&table, &SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>())?;
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
    let mut settings = Settings::default();
    let spans: Vec<_> = table.iter().map(|(name, value)| (name.get_ref().clone(), value.span())).collect();
    for (name, value) in table {
        let span = value.span();
        let read = settings.read(name.get_ref(), ValueDeserializer::from(value));
        read.map_err(|error| file.invalid(&error, span))?;
    }
    if let Some((name, message)) = settings.misfit() {
        let span = spans.into_iter().find(|(field, _)| field == name).map_or(0..0, |(_, span)| span);
        return Err(SettingsError::Invalid { place: file.place(span), message: message.into() });
    }
    // The build of a Cargo project runs the repository's programs anyway.
    if let (Some((owner, user)), [], true) = (stranger, path_in_file, settings.signer_cmd.is_some()) {
        return Err(SettingsError::Stranger { path: path.into(), owner, user });
    }
    // An absolute base: a command may be run in another directory than the settings were read from.
    let base = path.parent().unwrap_or(Path::new(""));
    let base = std::path::absolute(if base.as_os_str().is_empty() { Path::new(".") } else { base })
        .map_err(|source| SettingsError::Read { path: path.into(), source })?;
    settings.rebase(&base);
    Ok(settings)
}

/// The text, and where the file belongs to another user, the numbers of its owner and of the user who runs otaseal.
fn text(path: &Path) -> io::Result<(String, Option<(u32, u32)>)> {
    let (mut text, file) = (String::new(), File::open(path)?);
    let stranger = stranger(&file)?;
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB"));
    }
    Ok((text, stranger))
}

#[cfg(unix)]
fn stranger(file: &File) -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    let (owner, user) = (file.metadata()?.uid(), rustix::process::geteuid().as_raw());
    Ok(Some((owner, user)).filter(|_| owner != user))
}

/// Other systems have no number for it.
#[cfg(not(unix))]
fn stranger(_: &File) -> io::Result<Option<(u32, u32)>> {
    Ok(None)
}

/// The settings file for work in this directory: the nearest one up to the top of the repository, which has `.git`.
/// Outside of a repository only the directory itself counts. A link that leads nowhere is a file that cannot be read.
pub(super) fn find(directory: &Path) -> Option<PathBuf> {
    let top = directory.ancestors().position(|above| is_there(&above.join(".git"))).unwrap_or(0);
    let mut files = directory.ancestors().take(top + 1).map(|above| above.join(FILE_NAME));
    files.find(|file| is_there(file))
}

struct SettingsFile<'a> {
    path: &'a Path,
    text: &'a str,
}

impl SettingsFile<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.bytes().take(span.start);
        Place { file: self.path.into(), line: 1 + before.filter(|&byte| byte == b'\n').count() }
    }

    /// `span` is the place of the value, for an error without one of its own.
    fn invalid(&self, error: &toml::de::Error, span: Range<usize>) -> SettingsError {
        // The message quotes the value.
        let message = match material::is_key(error.message().as_bytes()) {
            true => "this is a key itself, and no value that a setting has".into(),
            false => error.message().into(),
        };
        SettingsError::Invalid { place: self.place(error.span().unwrap_or(span)), message }
    }

    /// Refuses the first name that does not exist.
    fn check_fields(&self, table: &DeTable<'_>, valid: &[&'static str]) -> Result<(), SettingsError> {
        let unknown = table.keys().filter(|key| !valid.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let field = key.get_ref().to_string();
        if material::is_key(field.as_bytes()) {
            let message = "this is a key itself, and no name that a setting has".into();
            return Err(SettingsError::Invalid { place: self.place(key.span()), message });
        }
        // Cargo's other spelling, and a slip of one letter in three.
        let distance = |name: &str| strsim::damerau_levenshtein(&field.replace('_', "-"), name);
        let mut valid = valid.to_vec();
        valid.sort_by_key(|name| distance(name));
        let near = valid.first().is_some_and(|name| distance(name) <= name.len().div_ceil(3));
        if !near {
            valid.sort_unstable();
        }
        Err(SettingsError::Unknown { place: self.place(key.span()), field, valid, near })
    }
}
