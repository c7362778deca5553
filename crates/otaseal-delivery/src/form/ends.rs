//! The ends of a push to a web form, in words.

use crate::evidence::{By, End, Evidence};
use crate::text::said;
use crate::updater;

use super::Form;

pub(super) fn taken() -> End {
    End::Reached {
        evidence: Evidence::Taken,
        more: "The device restarts now. It runs the new image when it is seen again: by mDNS, by its own page, or by its \
               next request to a server."
            .into(),
    }
}

pub(super) fn refused_by_us(code: &str, why: &str) -> End {
    End::Refused { by: By::Us, code: code.into(), says: String::new(), why: why.into() }
}

/// The updater refuses.
pub(super) fn refused(form: Form, words: &[u8]) -> End {
    let says = said(words);
    let (code, why) = match form {
        Form::UpdateServer => {
            let found = updater::explain(&says);
            (found.code, found.why)
        }
        Form::Tasmota => tasmota(&says),
    };
    End::Refused { by: By::Device, code, says, why: why.into() }
}

/// The errors of Tasmota's form by their English words.
///
/// Source: arendst/Tasmota `tasmota/language/en_GB.h` (`D_UPLOAD_ERR_1` and the others).
const TASMOTA: &[(u8, &str, &str)] = &[
    (1, "No file selected", "The form had no file."),
    (
        2,
        "Not enough space",
        "There is no room for the image beside the firmware that runs. Send the gzip, or install tasmota-minimal first.",
    ),
    (
        3,
        "Magic byte is not 0xE9",
        "The file is no image for this device: its first byte is neither E9 nor 1F.",
    ),
    (
        3,
        "Invalid file signature",
        "The file is no image for this device: its first byte is neither E9 nor 1F.",
    ),
    (
        4,
        "Program flash size is larger than real flash size",
        "The image was built for a larger flash chip than the board has. Build it for this board.",
    ),
    (5, "Upload buffer miscompare", "There is no room for the image. Install tasmota-minimal first."),
    (
        6,
        "Upload failed",
        "The updater refuses the image. The log of the device says more: set its level to 3.",
    ),
    (7, "Upload aborted", "The connection broke. Try again."),
    (8, "File invalid", "The device took the file for something else. Try again."),
    (9, "File too large", "The file is larger than its place. Install tasmota-minimal first."),
];

fn tasmota(says: &str) -> (String, &'static str) {
    match TASMOTA.iter().find(|(_, words, _)| says.contains(words)) {
        Some((number, _, why)) => (number.to_string(), why),
        None => {
            ("upload-failed".into(), "The device refuses the image. Its own words say why, in its language.")
        }
    }
}

/// The device answers with another status than 200.
pub(super) fn status(status: u16) -> End {
    let (says, why) = match status {
        401 => (
            "Unauthorized",
            "The user or the password is wrong, or none was given: http://user:password@host/path.",
        ),
        404 => (
            "Not Found",
            "The device has no web form at this path. A sketch may choose another one than /update.",
        ),
        300..=399 => ("", "The device sends us to another address. Give that address."),
        _ => ("", "The device does not take the file. What answers may be no web form for updates."),
    };
    End::Refused { by: By::Device, code: status.to_string(), says: says.into(), why: why.into() }
}

/// A page that says neither success nor failure.
pub(super) fn other(page: &[u8], evidence: Evidence) -> End {
    let shown = said(page.trim_ascii());
    failed(evidence, &format!("The answer says neither success nor failure: {shown}"), ADVICE_UNKNOWN)
}

pub(super) fn nonsense(evidence: Evidence) -> End {
    failed(evidence, "The answer is no HTTP, or it has no end.", ADVICE_UNKNOWN)
}

/// Every byte is there, and nobody refused.
fn sent(more: &str) -> End {
    End::Reached { evidence: Evidence::Sent, more: more.into() }
}

/// The connection ended without an answer.
pub(super) fn no_answer(evidence: Evidence) -> End {
    match evidence {
        Evidence::Sent => sent(
            "The connection ended without an answer. The device may have taken the image and restarted, or not. Check \
             what it runs.",
        ),
        Evidence::HandedOver => failed(
            evidence,
            "The connection ended after the last byte, without an answer.",
            "The device may have taken the image and restarted, or not. Check what it runs.",
        ),
        _ => failed(evidence, "The connection ended before the device had the whole image.", "Try again."),
    }
}

pub(super) fn silent(evidence: Evidence) -> End {
    match evidence {
        Evidence::Sent => sent(
            "The device did not answer. Check what it runs, and whether the path is that of its web form.",
        ),
        Evidence::HandedOver => {
            failed(evidence, "The device got the image and did not answer.", ADVICE_UNKNOWN)
        }
        _ => failed(evidence, "The device stopped to take bytes.", "Restart the device and try again."),
    }
}

const ADVICE_UNKNOWN: &str = "Check what the device runs, and whether the path is that of its web form.";

/// Tasmota says nothing to a stranger.
pub(super) fn no_page() -> End {
    failed(
        Evidence::Contact,
        "The device did not show its page for updates.",
        "Give the address of the device instead of its name. If that does not help, type SetOption128 1 in its console.",
    )
}

pub(super) fn failed(evidence: Evidence, why: &str, advice: &str) -> End {
    End::Failed { evidence, why: why.into(), advice: advice.into() }
}
