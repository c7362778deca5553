//! The chain of the audit log: each line carries the hash of the line before.
//!
//! ```text
//! hash = SHA-256(domain | number | at | actor | action | object | before | after | hash of the line before)
//! ```
//!
//! The domain is [`DOMAIN`]. Numbers are 8 bytes, the most significant first. A text is its length in bytes, as such a
//! number, and its bytes. So no two lines give the same input. Before the first line stand 32 zero bytes.
//!
//! Who changes, removes or swaps lines must make all hashes after them again. The chain does not show that its last lines
//! were cut off, or that all of it was made again: compare the last hash with one that was noted elsewhere.

use sha2::{Digest, Sha256};

use crate::store::rows::AuditRow;
use crate::store::{MAX_PAGE, Page, Reader, StoreError};

/// What the hash of each line begins with.
pub const DOMAIN: &[u8] = b"otaseal-fleet audit log, version 1\n";

/// Something that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deed<'a> {
    /// Who: the name of a user or of a token.
    pub actor: &'a str,
    /// What was done: a stable code.
    pub action: &'a str,
    /// To what.
    pub object: &'a str,
    /// How it was before, as JSON. Empty: it was not there.
    pub before: &'a str,
    /// How it is now, as JSON. Empty: it is gone.
    pub after: &'a str,
}

/// How a line breaks the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Lines are missing or swapped: another number should stand here.
    #[error("line {found} of the audit log stands where line {expected} should be")]
    Number {
        /// The number that should be here.
        expected: u64,
        /// The number that is here.
        found: u64,
    },
    /// The line, or the one before, is not what was written.
    #[error("line {0} of the audit log was changed, or the line before it")]
    Hash(u64),
}

/// Makes the line after another one. `at` is in seconds since 1970.
pub fn next(previous: Option<&AuditRow>, at: u64, deed: Deed<'_>) -> AuditRow {
    let mut line = AuditRow {
        number: previous.map_or(1, |line| line.number.saturating_add(1)),
        at,
        actor: deed.actor.to_owned(),
        action: deed.action.to_owned(),
        object: deed.object.to_owned(),
        before: deed.before.to_owned(),
        after: deed.after.to_owned(),
        hash: [0; 32],
    };
    line.hash = hash(&line, previous);
    line
}

/// Checks that a line follows another one. `None`: it is the first.
///
/// # Errors
/// [`Broken`].
pub fn follows(previous: Option<&AuditRow>, line: &AuditRow) -> Result<(), Broken> {
    let expected = previous.map_or(1, |line| line.number.saturating_add(1));
    if line.number != expected {
        return Err(Broken::Number { expected, found: line.number });
    }
    match line.hash == hash(line, previous) {
        true => Ok(()),
        false => Err(Broken::Hash(line.number)),
    }
}

/// Checks lines from the first on, in their order.
///
/// # Errors
/// The first fault.
pub fn verify(lines: &[AuditRow]) -> Result<(), Broken> {
    let mut previous = None;
    for line in lines {
        follows(previous, line)?;
        previous = Some(line);
    }
    Ok(())
}

/// Checks the whole log of a store. Returns the number of its lines, or the last fault.
///
/// # Errors
/// [`StoreError`], if the log cannot be read.
pub fn verify_log(reader: &mut dyn Reader) -> Result<Result<u64, Broken>, StoreError> {
    let mut after = None;
    let mut count = 0;
    // The newest comes first, so a line waits for the one before it.
    let mut waiting: Option<AuditRow> = None;
    loop {
        let lines = reader.audit(Page { after, rows: MAX_PAGE })?;
        let Some(last) = lines.last() else { break };
        after = Some(last.number);
        count += lines.len() as u64;
        for line in lines {
            if let Some(newer) = &waiting
                && let Err(broken) = follows(Some(&line), newer)
            {
                return Ok(Err(broken));
            }
            waiting = Some(line);
        }
    }
    let first = waiting.map_or(Ok(()), |line| follows(None, &line));
    Ok(first.map(|()| count))
}

fn hash(line: &AuditRow, previous: Option<&AuditRow>) -> [u8; 32] {
    let AuditRow { number, at, actor, action, object, before, after, hash: _ } = line;
    let mut sha = Sha256::new().chain_update(DOMAIN);
    sha.update(number.to_be_bytes());
    sha.update(at.to_be_bytes());
    for text in [actor, action, object, before, after] {
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text);
    }
    sha.update(previous.map_or([0; 32], |line| line.hash));
    sha.finalize().into()
}

#[cfg(test)]
mod tests;
