//! Reads a settings file. Every error names its line.

use super::keys::is_there;
use super::{EMIT_FIELDS, FALLBACK_FIELDS, FILE_NAME, MAX_FILE, Place, SETTINGS, Settings, SettingsError};
use crate::format::input::Input;
use crate::key::material;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Reads the table at `path_in_file`. An empty path is the whole file.
pub(super) fn settings(path: &Path, path_in_file: &[&str]) -> Result<Settings, SettingsError> {
    parse(path, Input::found(path), path_in_file)
}

/// Does the same for a file that is open.
pub(super) fn parse(
    path: &Path,
    input: io::Result<Input>,
    path_in_file: &[&str],
) -> Result<Settings, SettingsError> {
    let is_file = input.as_ref().is_ok_and(|input| input.length().is_some());
    let read = input.and_then(text).map_err(|source| SettingsError::Read { path: path.into(), source });
    let (text, stranger) = read?;
    let file = SettingsFile { path, text: &text };
    let document = DeTable::parse(&text).map_err(|error| file.invalid(&error, 0..0))?;
    let mut table = document.into_inner();
    for name in path_in_file {
        let Some(value) = table.remove(*name) else { return Ok(Settings::default()) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(inner) => table = inner,
            // Other tools may write anything into `metadata`. Only `otaseal` must be a table.
            value if *name == "otaseal" => {
                let message = format!("`otaseal` must be a table, and this is a {}", value.type_str());
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
    // A settings file of another user could run any program here. In a `Cargo.toml` it gains nothing: building a Cargo
    // project runs the repository's programs anyway.
    if let (Some((owner, user)), [], true) = (stranger, path_in_file, settings.signer_cmd.is_some()) {
        return Err(SettingsError::Stranger { path: path.into(), owner, user });
    }
    // A stream has no directory, although `/dev/fd/63` looks as if it had. The base is absolute, because otaseal may run
    // a command in another directory.
    let base = path.parent().filter(|_| is_file).unwrap_or(Path::new(""));
    let base = std::path::absolute(if base.as_os_str().is_empty() { Path::new(".") } else { base })
        .map_err(|source| SettingsError::Read { path: path.into(), source })?;
    settings.rebase(&base);
    Ok(settings)
}

/// Reads the text. If the file belongs to another user, it also returns the ids of its owner and of the running user.
fn text(input: Input) -> io::Result<(String, Option<(u32, u32)>)> {
    let stranger = stranger(input.file())?;
    let text = String::from_utf8(input.read(MAX_FILE)?);
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    Ok((text, stranger))
}

#[cfg(unix)]
fn stranger(file: &File) -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    let (owner, user) = (file.metadata()?.uid(), rustix::process::geteuid().as_raw());
    Ok(Some((owner, user)).filter(|_| owner != user))
}

/// Other systems have no user id.
#[cfg(not(unix))]
fn stranger(_: &File) -> io::Result<Option<(u32, u32)>> {
    Ok(None)
}

/// Finds the settings file for work in this directory: the nearest one, up to the directory that has `.git`. Outside a
/// repository, only the directory itself counts. It also returns a link that leads nowhere: reading it then fails.
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

    /// Makes an error. `span` is the place of the value, for an error that has no place itself.
    fn invalid(&self, error: &toml::de::Error, span: Range<usize>) -> SettingsError {
        // The parser's message quotes the value, and must not show a key.
        let message = match material::is_key(error.message().as_bytes()) {
            true => "this is a key itself, not the value of a setting".into(),
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
            let message = "this is a key itself, not the name of a setting".into();
            return Err(SettingsError::Invalid { place: self.place(key.span()), message });
        }
        // A name is near if it has `_` in place of `-`, or at most one wrong letter in three.
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
