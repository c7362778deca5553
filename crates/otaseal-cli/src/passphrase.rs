//! Gets passphrases and PINs from the place that an option names, or asks for them on the terminal. They never stand on
//! the command line itself, which every user of the machine can read.

use crate::error::Failure;
use crate::io::Place;
use crate::progress::Asking;
use clap::builder::{StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args};
use otaseal::key::passphrase::{
    NotASource, Passphrase, PassphraseSource, SecretError, SecretKind, SecretPlace, Secrets,
    descriptor_number, variable_name,
};
use otaseal::project::advice::{Advice, Speaker};
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, IsTerminal};
#[cfg(unix)]
use {
    otaseal::output::signals,
    rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr},
    std::fs::File,
    std::sync::{Mutex, MutexGuard, PoisonError},
    std::thread,
    std::time::Duration,
};

/// Options for the passphrase of a key. Without any of these, otaseal asks on the terminal.
#[derive(Debug, Default, Args)]
#[group(id = "passphrase", multiple = false)]
pub(crate) struct PassphraseArgs {
    /// Read the key's passphrase from a file
    ///
    /// A line end at the end of the file is not part of the passphrase.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Key")]
    passphrase_file: Option<Place>,
    /// Read the key's passphrase from an open file descriptor
    #[arg(long, value_name = "N", value_parser = Unshown(descriptor_number), allow_hyphen_values = true, help_heading = "Key", hide_short_help = true)]
    passphrase_fd: Option<u32>,
    /// Read the key's passphrase from this environment variable
    #[arg(long, value_name = "NAME", value_parser = Unshown(variable_name), allow_hyphen_values = true, help_heading = "Key", hide_short_help = true)]
    passphrase_env: Option<String>,
}

/// Reads the value of a passphrase option, and never shows a wrong value: it may be the passphrase itself. An error of
/// `clap` would quote it. If it begins with a dash, `clap` would also take it for an unknown option and quote it.
#[derive(Clone, Copy)]
struct Unshown<T>(fn(&str) -> Result<T, NotASource>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Unshown<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        option: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let option = option.and_then(Arg::get_long).unwrap_or_default();
        let refused = |error: &dyn Display, help: &str| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("--{option}: {error}\n{help}"))
        };
        let text = StringValueParser::new().parse_ref(command, None, value);
        let text = text.map_err(|_| refused(&"expected a name, and this is not UTF-8 text", "see --help"))?;
        (self.0)(&text).map_err(|error| refused(&error, &error.advice(Speaker::Program)))
    }
}

/// Options for a new passphrase. Without any of these, otaseal asks on the terminal, twice.
#[derive(Debug, Default, Args)]
#[group(id = "new_passphrase", multiple = false)]
pub(crate) struct NewPassphraseArgs {
    /// Read the new passphrase from a file
    ///
    /// A line end at the end of the file is not part of the passphrase.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Key")]
    new_passphrase_file: Option<Place>,
    /// Read the new passphrase from an open file descriptor
    #[arg(long, value_name = "N", value_parser = Unshown(descriptor_number), allow_hyphen_values = true, help_heading = "Key", hide_short_help = true)]
    new_passphrase_fd: Option<u32>,
    /// Read the new passphrase from this environment variable
    #[arg(long, value_name = "NAME", value_parser = Unshown(variable_name), allow_hyphen_values = true, help_heading = "Key", hide_short_help = true)]
    new_passphrase_env: Option<String>,
}

impl PassphraseArgs {
    fn source(&self) -> Option<PassphraseSource> {
        source(&self.passphrase_file, self.passphrase_fd, self.passphrase_env.as_ref())
    }

    /// Returns whether an option says where the passphrase is.
    pub(crate) fn is_given(&self) -> bool {
        self.source().is_some()
    }

    /// Returns the file with the passphrase. No output may replace it, and only one input may be standard input.
    pub(crate) fn input(&self) -> Option<Place> {
        place(self.source()?)
    }

    /// Returns the passphrase that a key gets.
    pub(crate) fn new_secret(&self, what: &str) -> Result<Passphrase, Failure> {
        new_secret(self.source(), what, "--passphrase")
    }
}

impl Secrets for PassphraseArgs {
    fn secret(&self, kind: SecretKind, what: &str) -> Result<Passphrase, SecretError> {
        match self.source() {
            Some(source) => source.read(kind),
            None => match ask(kind, &format!("{kind} of {what}"))? {
                typed if typed.expose().is_empty() => {
                    Err(SecretError::Empty { kind, from: Some(SecretPlace::Terminal) })
                }
                typed => Ok(typed),
            },
        }
    }
}

impl NewPassphraseArgs {
    fn source(&self) -> Option<PassphraseSource> {
        source(&self.new_passphrase_file, self.new_passphrase_fd, self.new_passphrase_env.as_ref())
    }

    /// Returns whether an option says where the new passphrase is.
    pub(crate) fn is_given(&self) -> bool {
        self.source().is_some()
    }

    /// Returns the file with the passphrase. No output may replace it, and only one input may be standard input.
    pub(crate) fn input(&self) -> Option<Place> {
        place(self.source()?)
    }

    /// Returns the passphrase that a key gets.
    pub(crate) fn new_secret(&self, what: &str) -> Result<Passphrase, Failure> {
        new_secret(self.source(), what, "--new-passphrase")
    }
}

fn source(file: &Option<Place>, descriptor: Option<u32>, name: Option<&String>) -> Option<PassphraseSource> {
    let file = file.as_ref().map(|place| match place {
        Place::Std => PassphraseSource::Descriptor(0),
        Place::Path(path) => PassphraseSource::File(path.clone()),
    });
    file.or_else(|| descriptor.map(PassphraseSource::Descriptor))
        .or_else(|| name.cloned().map(PassphraseSource::Environment))
}

fn place(source: PassphraseSource) -> Option<Place> {
    match source {
        PassphraseSource::File(path) => Some(Place::Path(path)),
        PassphraseSource::Descriptor(0) => Some(Place::Std),
        PassphraseSource::Descriptor(number) => Some(Place::Path(format!("/dev/fd/{number}").into())),
        _ => None,
    }
}

fn new_secret(source: Option<PassphraseSource>, what: &str, option: &str) -> Result<Passphrase, Failure> {
    let Some(source) = source else { return ask_twice(what, option) };
    let passphrase = source.read(SecretKind::NewPassphrase)?;
    passphrase.check_new()?;
    Ok(passphrase)
}

fn ask_twice(what: &str, option: &str) -> Result<Passphrase, Failure> {
    let kind = SecretKind::NewPassphrase;
    let first = ask(kind, &format!("{kind} of {what}")).map_err(|error| match error {
        SecretError::NoneGiven(_) => Failure::new(
            "no new passphrase was given",
            format_args!(
                "give it with {option}-file, {option}-fd or {option}-env, or run this in a terminal"
            ),
        ),
        error => error.into(),
    })?;
    // Refuse a bad passphrase before the user types it again.
    first.check_new()?;
    if ask(kind, &format!("same again, {kind} of {what}"))? != first {
        return Err(Failure::new(
            "the two passphrases differ",
            "type the same one twice; otaseal wrote nothing",
        ));
    }
    Ok(first)
}

/// Asks on the terminal for `what`, such as `passphrase of keys/private.pem`. It also asks if standard input is a pipe.
/// It does not ask if neither standard input nor standard error is a terminal: nobody could answer.
pub(crate) fn ask(kind: SecretKind, what: &str) -> Result<Passphrase, SecretError> {
    if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
        return Err(SecretError::NoneGiven(kind));
    }
    let mut prompt = what.to_owned();
    if let Some(first) = prompt.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let asking = Asking::begin();
    let typed = hidden(&format!("{prompt}: "));
    drop(asking);
    match typed {
        Ok(typed) => Ok(Passphrase::new(typed)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SecretError::NoneGiven(kind)),
        Err(error) => Err(SecretError::Terminal { kind, what: what.to_owned(), why: error.to_string() }),
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::of(&error)
    }
}

/// Reads a line that the terminal does not show. If a signal ended the program in the meantime, the terminal would stay
/// without echo. So [`show_typing`] turns the echo on again at the end.
#[cfg(unix)]
fn hidden(prompt: &str) -> io::Result<String> {
    signals::end_cleanly(show_typing)?;
    let terminal = File::open("/dev/tty").and_then(|file| Ok((tcgetattr(&file)?, file)));
    *lock() = terminal.ok();
    let typed = rpassword::prompt_password(prompt);
    *lock() = None;
    if typed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
        // Ctrl-C was typed: the signal is about to end the program. If the parent process ignores it, go on.
        thread::sleep(Duration::from_secs(1));
    }
    typed
}

/// The terminal and its settings before a prompt.
#[cfg(unix)]
static TERMINAL: Mutex<Option<(Termios, File)>> = Mutex::new(None);

#[cfg(unix)]
fn lock() -> MutexGuard<'static, Option<(Termios, File)>> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal the settings that it had before the prompt, if there is one.
#[cfg(unix)]
pub(crate) fn show_typing() {
    if let Some((settings, file)) = &*lock() {
        // The program ends: nobody could do anything about an error.
        let _ = tcsetattr(file, OptionalActions::Now, settings);
    }
}

#[cfg(not(unix))]
pub(crate) fn show_typing() {}

#[cfg(not(unix))]
fn hidden(prompt: &str) -> io::Result<String> {
    rpassword::prompt_password(prompt)
}

/// Forbids core dumps. The program has a key in its memory, and a dump after a crash would write it to the disk.
#[cfg(unix)]
pub(crate) fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    // If the system refuses this, everything else still works.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
}

#[cfg(not(unix))]
pub(crate) fn forbid_core_dumps() {}
