//! Passwords: from a file, a variable, a descriptor or the terminal. Never from the command line, which others can see.

use crate::error::Failure;
use clap::Args;
use otaseal::format::input::Input;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest password in bytes.
const MAX_SECRET: usize = 4096;

/// Where a password is.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordArgs {
    /// Read the password from the first line of a file
    #[arg(long, value_name = "FILE", help_heading = "Password")]
    pub(crate) password_file: Option<PathBuf>,
    /// Read the password from an environment variable
    #[arg(long, value_name = "VARIABLE", help_heading = "Password")]
    pub(crate) password_env: Option<String>,
    /// Read the password from an open file descriptor
    #[cfg(unix)]
    #[arg(long, value_name = "NUMBER", help_heading = "Password")]
    pub(crate) password_fd: Option<u32>,
    /// Ask for the password
    #[arg(long, help_heading = "Password")]
    pub(crate) ask_password: bool,
}

impl PasswordArgs {
    /// Returns the password, if the user says where it is.
    pub(crate) fn read(&self, what: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        #[cfg(unix)]
        if let Some(number) = self.password_fd {
            return line_of(Path::new(&format!("/dev/fd/{number}"))).map(Some);
        }
        if let Some(path) = &self.password_file {
            return line_of(path).map(Some);
        }
        if let Some(name) = &self.password_env {
            return match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Some(Zeroizing::new(value))),
                _ => Err(Failure::new(
                    format!("the variable {name} has no password"),
                    "set it, or give the password in another way",
                )),
            };
        }
        if self.ask_password {
            return match rpassword::prompt_password(format!("Password of {what}: ")) {
                Ok(password) => Ok(Some(Zeroizing::new(password))),
                Err(error) => Err(Failure::new(
                    format!("no password could be read from the terminal: {error}"),
                    "use --password-file, --password-env or --password-fd where there is no terminal",
                )),
            };
        }
        Ok(None)
    }
}

/// The first line of a file, without its end.
pub(crate) fn line_of(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = Input::named(path).and_then(|input| input.read(MAX_SECRET));
    let bytes = Zeroizing::new(read.map_err(|error| Failure::file(path, &error))?);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(Failure::new(
            format!("{}: its first line is no password", otaseal::key::material::shown(path)),
            "write the password into the first line of the file, as UTF-8",
        )),
    }
}
