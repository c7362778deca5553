//! Enters signatures. Many signatures of many threads need one lock, one write and one wait for the disk.

use super::{Entry, FIRST, Head, Ledger, LedgerError, MAX_LINE, Record, Recovered};
use crate::format::digest::sha256;
use crate::format::input;
use crate::output::{Access, Overwrite, Planned};
use fd_lock::RwLock;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The beginning of every line.
const START: &[u8] = b"{\"seq\":";

/// The result of entering signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Appended {
    /// Number of the first new line. The last one is the end of the ledger.
    pub first: u64,
    /// The new end of the ledger.
    pub head: Head,
    /// An unfinished line that was moved aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
}

/// Enters signatures, if there is a ledger and at least one signature. See [`Ledger::append`].
pub(crate) fn enter(ledger: Option<&Ledger>, entries: &[Entry]) -> Result<Option<Appended>, LedgerError> {
    match ledger {
        Some(ledger) if !entries.is_empty() => ledger.append(entries).map(Some),
        _ => Ok(None),
    }
}

impl Ledger {
    /// Enters signatures. When this returns, they are on the disk. Only then may the signed files get their names.
    /// Several processes and threads may do this at once. Processes take turns. Threads with this ledger or a clone of
    /// it that come meanwhile share the next turn.
    ///
    /// A power cut or a `kill -9` leaves an unfinished last line. This moves it to a file beside the ledger, and the
    /// next line says so. Of the lines before, it checks only the last: [`super::verify`] checks all of them.
    ///
    /// # Errors
    /// [`LedgerError`]. Nothing was entered then.
    pub fn append(&self, entries: &[Entry]) -> Result<Appended, LedgerError> {
        self.group.enter(entries, |all| self.append_all(all))
    }

    fn append_all(&self, all: &[Vec<Entry>]) -> Result<Vec<Appended>, LedgerError> {
        let failed = |action| move |source| LedgerError::Io { path: self.path.clone(), action, source };
        if self.run.is_dry() {
            return self.append_dry(all);
        }
        let mut lock = self.open().map_err(failed("written"))?;
        loop {
            let mut guard = match lock.write() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(failed("locked"))?,
            };
            // If somebody moved the file away during the wait, the lines must not go there: they would be lost.
            if is_at(&guard, &self.path) {
                return self.append_locked(&mut guard, all);
            }
            drop(guard);
            lock = self.open().map_err(failed("written"))?;
        }
    }

    /// Does what [`Self::append_all`] does, up to the first change.
    fn append_dry(&self, all: &[Vec<Entry>]) -> Result<Vec<Appended>, LedgerError> {
        let failed = |source| LedgerError::Io { path: self.path.clone(), action: "written", source };
        let tail = match input::check_regular(&self.path)
            .and_then(|()| OpenOptions::new().read(true).write(true).open(&self.path))
        {
            Ok(mut file) => self.tail(&mut file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.run.check_place(&self.path).map_err(failed)?;
                Tail { whole: 0, torn: Vec::new(), head: Head { records: 0, sha256: FIRST } }
            }
            Err(error) => return Err(failed(error)),
        };
        let mut recovered = None;
        if !tail.torn.is_empty() {
            recovered = Some(self.move_aside(&tail.torn)?);
        }
        let (appended, _) = self.append_to(tail.head, all, recovered);
        let lines = all.iter().map(Vec::len).sum();
        self.run.skips(|| Planned::Enter { path: self.path.clone(), lines });
        Ok(appended)
    }

    fn open(&self) -> io::Result<RwLock<File>> {
        input::check_regular(&self.path)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        input::regular(&file.metadata()?)?;
        Ok(RwLock::new(file))
    }

    fn append_locked(&self, file: &mut File, all: &[Vec<Entry>]) -> Result<Vec<Appended>, LedgerError> {
        let failed = |action| move |source| LedgerError::Io { path: self.path.clone(), action, source };
        let tail = self.tail(file)?;
        let mut recovered = None;
        if !tail.torn.is_empty() {
            recovered = Some(self.move_aside(&tail.torn)?);
            file.set_len(tail.whole).map_err(failed("written"))?;
        }
        let (appended, text) = self.append_to(tail.head, all, recovered);
        let written = file
            .seek(SeekFrom::Start(tail.whole))
            .and_then(|_| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_data());
        if let Err(source) = written {
            // The next writer would move a partial line aside. It is better to leave nothing.
            let _ = file.set_len(tail.whole);
            return Err(failed("written")(source));
        }
        if tail.head.records == 0 {
            sync_directory(&self.path).map_err(failed("written"))?;
        }
        Ok(appended)
    }

    /// Returns the lines of all entries behind a head, and what each group of them becomes.
    fn append_to(
        &self,
        mut head: Head,
        all: &[Vec<Entry>],
        mut recovered: Option<Recovered>,
    ) -> (Vec<Appended>, String) {
        let mut text = String::new();
        let mut appended = Vec::with_capacity(all.len());
        for entries in all {
            let (first, recovered) = (head.records + 1, recovered.take());
            head = self.lines(head, entries, recovered.clone(), &mut text);
            appended.push(Appended { first, head, recovered });
        }
        (appended, text)
    }

    /// Adds one line for each entry to `text`. Returns the head behind them.
    fn lines(
        &self,
        mut head: Head,
        entries: &[Entry],
        mut recovered: Option<Recovered>,
        text: &mut String,
    ) -> Head {
        let time = now();
        for entry in entries {
            let record = Record {
                seq: head.records + 1,
                prev: head.sha256,
                time: time.clone(),
                input: entry.input.clone(),
                output: entry.output.clone(),
                signature: entry.signature,
                key_id: entry.key_id,
                tool: concat!("otaseal ", env!("CARGO_PKG_VERSION")).into(),
                git_commit: self.origin.git_commit.clone(),
                build_id: self.origin.build_id.clone(),
                who: self.origin.who.clone(),
                recovered: recovered.take(),
            };
            // The record consists of strings, numbers and structures of them. So it always has a JSON form, with line
            // ends escaped.
            let line = serde_json::to_string(&record).unwrap_or_default();
            head = Head { records: record.seq, sha256: sha256(line.as_bytes()) };
            text.push_str(&line);
            text.push('\n');
        }
        head
    }

    /// Returns the last whole line, and the bytes behind it.
    fn tail(&self, file: &mut File) -> Result<Tail, LedgerError> {
        let failed = |source| LedgerError::Io { path: self.path.clone(), action: "read", source };
        let not_a_ledger = || LedgerError::NotALedger(self.path.clone());
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        // This has room for an unfinished line and the line before it.
        let from = length.saturating_sub(2 * (MAX_LINE as u64 + 1));
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut bytes)).map_err(failed)?;
        let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        let torn = bytes.split_off(end);
        if torn.len() > MAX_LINE || (end == 0 && from > 0) || !could_be_torn(&torn) {
            return Err(not_a_ledger());
        }
        let head = match bytes.split_last() {
            None => Head { records: 0, sha256: FIRST },
            Some((_, lines)) => {
                let start = memchr::memrchr(b'\n', lines).map_or(0, |at| at + 1);
                let line = &lines[start..];
                let record: Record = serde_json::from_slice(line).map_err(|_| not_a_ledger())?;
                // No ledger has so many lines that their number does not fit.
                record.seq.checked_add(u64::from(u32::MAX)).ok_or_else(not_a_ledger)?;
                Head { records: record.seq, sha256: sha256(line) }
            }
        };
        Ok(Tail { whole: from + end as u64, torn, head })
    }

    /// Writes an unfinished line to another file, before otaseal removes it from the ledger.
    fn move_aside(&self, torn: &[u8]) -> Result<Recovered, LedgerError> {
        let digest = sha256(torn);
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".torn-{}", &digest.to_string()[..16]));
        let path = self.path.with_file_name(&name);
        // Access for the owner alone means that the file is on the disk before anything goes on.
        self.run.write(&path, torn, Overwrite::Replace, Access::OwnerOnly).map_err(|error| {
            LedgerError::Io { path: path.clone(), action: "written", source: io::Error::other(error) }
        })?;
        Ok(Recovered {
            file: name.to_string_lossy().into_owned(),
            size_bytes: torn.len() as u64,
            sha256: digest,
        })
    }
}

struct Tail {
    /// Length of all whole lines in bytes.
    whole: u64,
    torn: Vec<u8>,
    head: Head,
}

/// Tells whether these bytes can be the start of a line, or zeros: some filesystems fill a file with zeros in a power
/// cut. Any other bytes mean that the file is no ledger, and was named by mistake.
fn could_be_torn(bytes: &[u8]) -> bool {
    let length = bytes.len().min(START.len());
    bytes[..length] == START[..length] || bytes.iter().all(|byte| *byte == 0)
}

/// Returns the time of the system's clock, as a line of a ledger has it: in UTC, to the second, such as
/// `2026-11-27T21:27:47Z`. Later times are greater as text, until the year 9999.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Tells whether the path still names the open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// On other systems an open file cannot be moved away.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Waits until the directory is on the disk, and with it the name of a new file.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
