//! The files of an upload, as temporary objects.

use super::{IntakeError, MAX_FILES};
use crate::objects::{Depot, Incoming, ObjectError};
use otaseal_delivery::text::said;
use std::io::{self, Read};
use std::sync::Arc;

/// Longest name of a file in bytes.
const MAX_NAME: usize = 200;

/// Files that come in, under one limit.
#[derive(Debug)]
pub(super) struct Files {
    depot: Arc<Depot>,
    limit: u64,
    bytes: u64,
    files: Vec<(String, Incoming)>,
}

impl Files {
    pub(super) fn new(depot: &Arc<Depot>, limit: u64) -> Self {
        Self { depot: Arc::clone(depot), limit, bytes: 0, files: Vec::new() }
    }

    pub(super) fn depot(&self) -> &Arc<Depot> {
        &self.depot
    }

    /// The limit of all files together, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Begins a file. Its name was checked.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), IntakeError> {
        if self.files.len() >= MAX_FILES {
            return Err(IntakeError::TooMany);
        }
        if self.files.iter().any(|(other, _)| other == name) {
            return Err(IntakeError::Entry { name: said(name.as_bytes()), what: "it is there twice" });
        }
        self.files.push((name.to_owned(), self.depot.begin(self.limit - self.bytes)?));
        Ok(())
    }

    /// Takes the next bytes of the file that was begun last.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        let Some((_, incoming)) = self.files.last_mut() else { return Err(IntakeError::Empty) };
        incoming.write(bytes).map_err(|error| match error {
            ObjectError::TooLarge { .. } => IntakeError::TooLarge { limit: self.limit },
            error => error.into(),
        })?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Takes the file that was begun last from a reader. `failed` makes the error of the reader's.
    pub(super) fn copy(
        &mut self,
        reader: &mut dyn Read,
        failed: impl FnOnce(io::Error) -> IntakeError,
    ) -> Result<(), IntakeError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.write(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Incoming)> {
        self.files.iter().map(|(name, incoming)| (name.as_str(), incoming))
    }

    /// The file, if there is no other.
    pub(super) fn only(&self) -> Option<&Incoming> {
        self.only_named().map(|(_, incoming)| incoming)
    }

    /// The file and its name, if there is no other.
    pub(super) fn only_named(&self) -> Option<(&str, &Incoming)> {
        match &self.files[..] {
            [(name, incoming)] => Some((name, incoming)),
            _ => None,
        }
    }

    /// Takes a file out.
    pub(super) fn take(&mut self, name: &str) -> Option<Incoming> {
        let at = self.files.iter().position(|(other, _)| other == name)?;
        Some(self.files.swap_remove(at).1)
    }
}

/// Checks a name that an uploader chose. It names no path: releases show it, and devices may ask for it.
pub(super) fn checked_name(name: &str) -> Result<&str, IntakeError> {
    let fault = if name.is_empty() {
        "it has no name"
    } else if name.len() > MAX_NAME {
        "its name is too long"
    } else if name.contains(['/', '\\', ':', '\0']) || name == ".." {
        "its name is a path"
    } else if name.starts_with('.') {
        "it is a hidden file"
    } else if name.starts_with('-') || !name.chars().all(|it| it.is_alphanumeric() || "-_.+ @()".contains(it))
    {
        "its name has characters that the name of a firmware file cannot have"
    } else {
        return Ok(name);
    };
    Err(IntakeError::Entry { name: said(name.as_bytes()), what: fault })
}
