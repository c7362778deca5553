//! What an uploader says of a release, and what is asked.

use super::{IntakeError, empty_row};
use crate::store::rows::ReleaseRow;
use otaseal::device::homie::is_printable;
use otaseal_delivery::release::Release;
use serde::Serialize;

/// Longest name, version or board, in bytes.
pub const MAX_SAID: usize = 64;

/// Longest notes, in bytes.
pub const MAX_NOTES: usize = 16 << 10;

/// What an uploader says of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Name of the firmware, for an image that says none.
    pub firmware: Option<String>,
    /// Its version, for an image that says none. Empty: it has no version.
    pub version: Option<String>,
    /// Its board, for an image that says none.
    pub board: Option<String>,
    /// Notes for people.
    pub notes: String,
    /// Until when it gets fixes, in seconds since 1970. A manifest may say it too.
    pub support_until: Option<u64>,
    /// Whether it closes a hole. A manifest may say it too.
    pub security: bool,
}

/// What the image does not say, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Name of the firmware. `None`: it is asked.
    pub firmware: Option<String>,
    /// Its version. `None`: it is asked.
    pub version: Option<String>,
}

impl Said {
    /// Checks what does not depend on the image.
    ///
    /// # Errors
    /// [`IntakeError::Said`].
    pub(super) fn check(&self) -> Result<(), IntakeError> {
        let wrong = |field, what: &str| Err(IntakeError::Said { field, what: what.to_owned() });
        for (field, text) in [("firmware name", &self.firmware), ("board", &self.board)] {
            if text.as_ref().is_some_and(String::is_empty) {
                return wrong(field, "is empty");
            }
        }
        for (field, text) in
            [("firmware name", &self.firmware), ("version", &self.version), ("board", &self.board)]
        {
            let text = text.as_deref().unwrap_or_default();
            if text.len() > MAX_SAID {
                return Err(IntakeError::Said { field, what: format!("is longer than {MAX_SAID} bytes") });
            }
            if text != text.trim() || !text.chars().all(is_printable) {
                return wrong(field, "has characters that nobody sees");
            }
        }
        if self.notes.len() > MAX_NOTES {
            return Err(IntakeError::Said {
                field: "note",
                what: format!("is longer than {MAX_NOTES} bytes"),
            });
        }
        match self.notes.chars().all(|it| is_printable(it) || matches!(it, '\n' | '\r' | '\t')) {
            true => Ok(()),
            false => wrong("note", "has characters that nobody sees"),
        }
    }

    /// The row of a release, as far as the image and the uploader say it, or what is asked.
    ///
    /// # Errors
    /// [`IntakeError::Contradiction`].
    pub(super) fn about(&self, release: &Release) -> Result<Result<ReleaseRow, Asked>, IntakeError> {
        let firmware = agreed("firmware name", &release.firmware, &self.firmware)?;
        let version = agreed("version", &release.version, &self.version)?;
        let board = match (&release.board, &self.board) {
            (Some(image), Some(said)) if otaseal_delivery::device::is_same_board(image, said) => {
                Some(image.clone())
            }
            (image, said) => agreed("board", image, said)?,
        };
        let (Some(firmware), Some(version)) = (&firmware, &version) else {
            return Ok(Err(Asked { firmware, version }));
        };
        Ok(Ok(ReleaseRow {
            firmware: firmware.clone(),
            version: version.clone(),
            board,
            notes: self.notes.clone(),
            support_until: self.support_until,
            security: self.security,
            ..empty_row()
        }))
    }
}

/// What the image says, or else the uploader. They may not say different things: devices believe the image.
fn agreed(
    field: &'static str,
    image: &Option<String>,
    said: &Option<String>,
) -> Result<Option<String>, IntakeError> {
    match (image, said) {
        (Some(image), Some(said)) if image != said => {
            let shown = |text: &str| otaseal_delivery::text::said(text.as_bytes());
            Err(IntakeError::Contradiction { field, image: shown(image), said: shown(said) })
        }
        (image, said) => Ok(image.clone().or_else(|| said.clone())),
    }
}

/// The last second of a day in UTC, of a text such as `2030-12-31`, in seconds since 1970.
pub(super) fn end_of_day(day: &str) -> Option<u64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    let end = day.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(end.timestamp().as_second()).ok()
}
