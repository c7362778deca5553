//! The status that a device reports on `$implementation/ota/status`.
//!
//! Source: homieiot/homie-esp8266 `src/Homie/Boot/BootNormal.cpp`, seen running in 3.0.1 and develop.

use crate::text::said;

/// Bytes of the longest status that is read. The longest real one has about 25.
const MAX_STATUS: usize = 64;

/// One status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// `202`: the device begins to receive. It has checked nothing yet.
    Accepted,
    /// `206 DONE/TOTAL`. Some releases report every chunk, others none.
    Progress {
        /// Bytes so far.
        done: u64,
        /// Bytes of all.
        total: u64,
    },
    /// `200`: the updater took the image.
    Taken,
    /// `304`: the MD5 in the topic is that of the running image.
    Same,
    /// The device refuses: 4xx or 5xx. The explanation is ours.
    Refused {
        /// Its words, escaped.
        says: String,
        /// A stable code: its words in lower case, joined with `-`.
        code: String,
        /// What it means.
        why: &'static str,
        /// Whether the updater was left running by an earlier failure, so that a second try can succeed.
        again: bool,
    },
    /// None of the known texts. It is escaped.
    Unknown(String),
}

impl Status {
    /// Reads a payload. An empty one is [`Status::Unknown`].
    pub fn read(payload: &[u8]) -> Self {
        let text = match std::str::from_utf8(payload) {
            Ok(text) if payload.len() <= MAX_STATUS => text,
            _ => return Self::Unknown(said(payload)),
        };
        match text {
            "202" => return Self::Accepted,
            "200" => return Self::Taken,
            "304" => return Self::Same,
            _ => {}
        }
        if let Some((done, total)) = text.strip_prefix("206 ").and_then(|rest| rest.split_once('/'))
            && let (Some(done), Some(total)) = (number(done), number(total))
        {
            return Self::Progress { done, total };
        }
        match explained(text) {
            Some((why, again)) => Self::Refused {
                says: said(payload),
                code: text.to_ascii_lowercase().replace([' ', '_'], "-"),
                why,
                again,
            },
            None => Self::Unknown(said(payload)),
        }
    }
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn explained(text: &str) -> Option<(&'static str, bool)> {
    let plain = |why| Some((why, false));
    match text {
        "403" => plain(
            "Updates are switched off in the device's configuration. Set ota.enabled to true, wait for its restart, and \
             push again.",
        ),
        "400 BAD_CHECKSUM" => plain(
            "The device computed another MD5 than the one in the topic: the transfer was damaged, or its core is older \
             than 3.0.0, has no key, and got a signed image under the MD5 of the unsigned one. An ESP32 says the same \
             of an image that is none for it.",
        ),
        "400 BAD_FIRMWARE" => plain(
            "The device takes a plain or signed ESP8266 image here. It refuses gzip and everything else by the first byte, \
             and images for a larger flash chip by their header.",
        ),
        "400 NOT_ENOUGH_SPACE" => plain(
            "The image does not fit beside the running one. Make it smaller, or choose a smaller filesystem.",
        ),
        "400 NOT_REQUESTED" => plain(
            "This is Homie 2.0.0-beta.1, which wants a request first. Update it by HTTP or over the cable.",
        ),
        "500 FLASH_ERROR" => {
            plain("The flash chip could not be read, erased or written. It may be worn out.")
        }
        _ => {
            let error = text.strip_prefix("500 INTERNAL_ERROR ").and_then(number)?;
            Some(match error {
                0 => (
                    "The updater was still busy with an earlier failure, or the end of the image did not come.",
                    true,
                ),
                6 => ("The bytes stopped coming.", false),
                8 => ("The flash chip is smaller than the running firmware says.", false),
                11 => (
                    "The device was flashed over the cable and not switched off since. Switch it off and on.",
                    false,
                ),
                12 => (
                    "The signature is not valid for the public key in the device, or the image has none. The device keeps \
                     its firmware.",
                    false,
                ),
                13 => ("No bytes arrived.", false),
                14 => ("The device has too little memory for an update now.", false),
                15 => ("The updater was still busy with an earlier failure.", true),
                16 => ("The core does not know this kind of update.", false),
                _ => ("The updater failed.", false),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        match Status::read(text.as_bytes()) {
            Status::Refused { code, says, .. } => {
                assert_eq!(says, text);
                code
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_status_of_the_specification_is_known() {
        assert_eq!(Status::read(b"202"), Status::Accepted);
        assert_eq!(Status::read(b"200"), Status::Taken);
        assert_eq!(Status::read(b"304"), Status::Same);
        assert_eq!(Status::read(b"206 1460/400000"), Status::Progress { done: 1460, total: 400_000 });
        assert_eq!(code("403"), "403");
        assert_eq!(code("400 BAD_CHECKSUM"), "400-bad-checksum");
        assert_eq!(code("400 BAD_FIRMWARE"), "400-bad-firmware");
        assert_eq!(code("400 NOT_ENOUGH_SPACE"), "400-not-enough-space");
        assert_eq!(code("400 NOT_REQUESTED"), "400-not-requested");
        assert_eq!(code("500 FLASH_ERROR"), "500-flash-error");
        for error in [0, 6, 8, 11, 12, 13, 14, 15, 16] {
            assert_eq!(code(&format!("500 INTERNAL_ERROR {error}")), format!("500-internal-error-{error}"));
        }
    }

    #[test]
    fn other_texts_are_shown_escaped_and_mean_nothing() {
        assert_eq!(Status::read(b""), Status::Unknown(String::new()));
        assert_eq!(Status::read(b"200\x1b[2J"), Status::Unknown("200\\u{1b}[2J".into()));
        for text in [
            "201",
            "206",
            "206 /",
            "206 1",
            "206 -1/2",
            "206 +1/2",
            "206 1/2 ",
            " 200",
            "200 ",
            "0200",
            "20\u{0660}0",
        ] {
            assert!(matches!(Status::read(text.as_bytes()), Status::Unknown(_)), "{text:?}");
        }
        let long = format!("206 {}/2", "9".repeat(40));
        assert!(matches!(Status::read(long.as_bytes()), Status::Unknown(_)));
        assert!(matches!(Status::read(&[b'2'; 1_000_000]), Status::Unknown(text) if text.len() < 1000));
        assert!(matches!(Status::read(b"\xff\xfe"), Status::Unknown(text) if text == "\\xff\\xfe"));
    }
}
