//! The directory of one case, and the programs that run in it.

use super::WINE;
use crate::Result;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Longest time of one program, in seconds. The first run under wine also makes wine's own directory.
const TIMEOUT: &str = "120";

/// The programs of all cases.
pub(super) struct Programs {
    pub(super) otaseal: PathBuf,
    pub(super) hold: PathBuf,
    pub(super) native: PathBuf,
    /// Wine's own directory: its drives and its registry.
    pub(super) prefix: PathBuf,
}

/// A new directory with `image.bin`, `private.pem` and `public.pem`.
pub(super) struct Bench<'a> {
    programs: &'a Programs,
    folder: TempDir,
}

impl<'a> Bench<'a> {
    pub(super) fn new(root: &Path, programs: &'a Programs) -> Result<Self> {
        let bench = Self { programs, folder: TempDir::new()? };
        bench.write("image.bin", &fs::read(root.join("fixtures/plain/demo-firmware.bin"))?)?;
        for name in ["private.pem", "public.pem"] {
            bench.write(name, &fs::read(root.join("keys.example").join(name))?)?;
        }
        Ok(bench)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::write(self.path(name), bytes).map_err(|error| format!("{name}: {error}").into())
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.path(name)).map_err(|error| format!("{name}: {error}").into())
    }

    /// Returns the names in the directory, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.folder.path())?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn wine(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg(TIMEOUT).arg(WINE).arg(program).args(words).current_dir(self.folder.path());
        command.env("WINEPREFIX", &self.programs.prefix).env("WINEDEBUG", "-all");
        // No menus on the desktop, and no questions about Mono and Gecko, which otaseal does not need.
        command.env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=");
        // Wine reads the names of the command line in the character set of the locale.
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs `otaseal.exe` with a file as its standard input. Returns its standard output.
    pub(super) fn filter(&self, words: &[&str], input: &str) -> Result<Vec<u8>> {
        let mut command = self.wine(&self.programs.otaseal, words);
        let output = command.stdin(File::open(self.path(input))?).output()?;
        ended(words, 0, &output)?;
        Ok(output.stdout)
    }

    /// Runs `otaseal.exe`, which must end with this code. Returns all that it says.
    pub(super) fn ends(&self, code: i32, words: &[&str]) -> Result<String> {
        ended(words, code, &self.wine(&self.programs.otaseal, words).stdin(Stdio::null()).output()?)
    }

    /// Signs `image.bin` with `otaseal.exe`, which must end with this code.
    pub(super) fn sign(&self, code: i32, output: &str, more: &[&str]) -> Result<String> {
        self.ends(code, &[&["sign", "image.bin", "-k", "private.pem", "-o", output], more].concat())
    }

    /// Runs the native program, which must succeed.
    pub(super) fn native(&self, words: &[&str]) -> Result<()> {
        let output =
            Command::new(&self.programs.native).args(words).current_dir(self.folder.path()).output()?;
        ended(words, 0, &output).map(drop)
    }

    /// Runs OpenSSL with these words, separated by blanks. Returns its standard output.
    pub(super) fn openssl(&self, words: &str) -> Result<Vec<u8>> {
        let words: Vec<_> = words.split(' ').collect();
        let output = Command::new("openssl").args(&words).current_dir(self.folder.path()).output()?;
        ended(&words, 0, &output)?;
        Ok(output.stdout)
    }

    /// Lets another process open a file, until the returned value is dropped.
    pub(super) fn hold(&self, name: &str, others: &str) -> Result<Held> {
        let mut command = self.wine(&self.programs.hold, &[name, others]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let held = Held(child);
        if line.trim() == "held" { Ok(held) } else { Err(format!("hold.exe cannot open {name}").into()) }
    }

    /// Fails unless two files have the same bytes.
    pub(super) fn same(&self, one: &str, other: &str) -> Result<()> {
        require(self.read(one)? == self.read(other)?, &format!("{one} and {other} differ"))
    }

    /// Fails if otaseal left a file that is not finished.
    pub(super) fn has_no_temporary_file(&self) -> Result<()> {
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                require(!name.starts_with(".otaseal-"), &format!("{name} is left"))?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(())
    }
}

/// A file that another process has open.
pub(super) struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // The process ends with its standard input. `timeout` ends it otherwise.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Fails with a text.
pub(super) fn require(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Returns what a program said, if it ended with this code.
fn ended(words: &[&str], code: i32, output: &Output) -> Result<String> {
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    match output.status.code() == Some(code) {
        true => Ok(said),
        false => Err(format!("{}: {}, not {code}: {said}", words.join(" "), output.status).into()),
    }
}
