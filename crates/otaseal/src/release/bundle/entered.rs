//! Finds the signatures of a package in the ledger, and compares the build that they were made from.

use super::judge::Judged;
use super::{BundleError, LEDGER};
use crate::format::digest::Sha256Digest;
use crate::ledger::Record;
use crate::package::{shown, wrong};
use std::fmt;

/// Looks for every signature of a package among the lines of a ledger.
pub(super) struct InLedger<'a> {
    judged: &'a Judged,
    found: Vec<Entered>,
}

#[derive(Clone)]
enum Entered {
    No,
    /// Made from another build: its size and SHA-256.
    Of(u64, Sha256Digest),
    Yes,
}

impl<'a> InLedger<'a> {
    pub(super) fn new(judged: &'a Judged) -> Self {
        Self { judged, found: vec![Entered::No; judged.signed.len()] }
    }

    /// Looks at a line. Returns whether it belongs to this package.
    pub(super) fn see(&mut self, record: &Record) -> bool {
        let Judged { signed, package, key, .. } = self.judged;
        let (key_id, source) = (key.id, &package.manifest().source.digests);
        let Some(at) = signed.iter().position(|item| item.sha256 == record.output.sha256) else {
            return false;
        };
        let input = &record.input;
        if record.key_id != key_id || record.signature != signed[at].scheme {
            return true;
        }
        // One line that agrees is enough: somebody may have signed the same bytes on their own as well.
        match (&self.found[at], input.sha256 == source.sha256 && input.size_bytes == source.size_bytes) {
            (_, true) => self.found[at] = Entered::Yes,
            (Entered::No, false) => self.found[at] = Entered::Of(input.size_bytes, input.sha256),
            _ => {}
        }
        true
    }

    /// # Errors
    /// [`BundleError::NotInLedger`]: a signature has no line. [`BundleError::Wrong`]: the ledger names another build
    /// than the manifest.
    pub(super) fn finish(self) -> Result<(), BundleError> {
        let source = &self.judged.package.manifest().source;
        for (item, found) in self.judged.signed.iter().zip(self.found) {
            match found {
                Entered::Yes => {}
                Entered::No => return Err(BundleError::NotInLedger(item.file.clone())),
                Entered::Of(size, digest) => {
                    let said = |what: String, entered: &dyn fmt::Display| {
                        format!(
                            "the manifest says {what}, the ledger says that {} was made from a build with {entered}",
                            item.file
                        )
                    };
                    let is = &source.digests;
                    return Err(match digest == is.sha256 {
                        true => wrong(&source.file, "source.size_bytes", said(shown(&is.size_bytes), &size)),
                        false => {
                            wrong(&source.file, "source.sha256", said(shown(&is.sha256), &shown(&digest)))
                        }
                    }
                    .into());
                }
            }
        }
        Ok(())
    }
}

/// Looks for every signature in lines that were taken out of a ledger. They are not a chain.
pub(super) fn excerpt(judged: &Judged, lines: &[u8]) -> Result<(), BundleError> {
    let mut entered = InLedger::new(judged);
    for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        let record: Record = serde_json::from_slice(line)
            .map_err(|error| wrong(LEDGER, format_args!("line {number}"), error))?;
        entered.see(&record);
    }
    entered.finish()
}
