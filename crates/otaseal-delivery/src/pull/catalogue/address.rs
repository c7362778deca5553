//! What an address names. Its text never becomes a path: it is looked up in tables.

use otaseal::format::digest::{Digests, Sha256Digest};

/// Longest name in an address, in bytes.
const MAX_NAME: usize = 128;

/// What the path of an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// `/ota/NAME`, `/ota/NAME/BOARD`: a firmware.
    Firmware {
        /// Its name.
        name: &'a str,
        /// The board.
        board: Option<&'a str>,
    },
    /// `/NAME`: one file.
    File(FileWanted<'a>),
    /// `/NAME.md5`, `/NAME.sha256`: the digest of one file.
    Digest(FileWanted<'a>, DigestOf),
    /// `/file/SHA256`: one file, by a redirect.
    Content(Sha256Digest),
    /// Anything else, such as `/` and `/ota`.
    Other,
}

/// A file by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileWanted<'a> {
    /// The name.
    pub name: &'a str,
}

/// Which digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestOf {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
}

impl DigestOf {
    pub(super) fn text(self, digests: &Digests) -> String {
        match self {
            Self::Md5 => format!("{}\n", digests.md5),
            Self::Sha256 => format!("{}\n", digests.sha256),
        }
    }
}

impl<'a> Address<'a> {
    /// Reads the path of an address.
    pub fn parse(path: &'a str) -> Self {
        let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').take(4).collect();
        if !parts.iter().all(|part| is_name(part)) {
            return Self::Other;
        }
        match parts.as_slice() {
            ["ota", name] => Self::Firmware { name, board: None },
            ["ota", name, board] => Self::Firmware { name, board: Some(board) },
            ["file", digest] => digest.parse().map_or(Self::Other, Self::Content),
            ["ota"] => Self::Other,
            [name] => {
                let of = |suffix: &str| name.strip_suffix(suffix).filter(|name| is_name(name));
                match (of(".md5"), of(".sha256")) {
                    (Some(name), _) => Self::Digest(FileWanted { name }, DigestOf::Md5),
                    (_, Some(name)) => Self::Digest(FileWanted { name }, DigestOf::Sha256),
                    _ => Self::File(FileWanted { name }),
                }
            }
            _ => Self::Other,
        }
    }
}

/// Letters, digits and the characters of versions, and not only dots.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@~".contains(&byte);
    !text.is_empty()
        && text.len() <= MAX_NAME
        && text.bytes().all(plain)
        && text.bytes().any(|byte| byte != b'.')
}

/// The name under which Tasmota asks for the small firmware that makes room for this one. What follows the last dash, such
/// as a language, is left out.
///
/// Source: arendst/Tasmota `support_tasmota.ino` (`Every250mSeconds`), commit `3fb12310`.
pub(super) fn minimal(name: &str) -> String {
    let dot = name.find('.').unwrap_or(name.len());
    let stem = name.rfind('-').unwrap_or(dot);
    format!("{}-minimal{}", &name[..stem], &name[dot..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_firmware_a_file_or_a_digest() {
        let file = |name| FileWanted { name };
        for (path, is) in [
            ("/ota/lamp", Address::Firmware { name: "lamp", board: None }),
            ("/ota/lamp/d1_mini", Address::Firmware { name: "lamp", board: Some("d1_mini") }),
            ("/arduino.bin", Address::File(file("arduino.bin"))),
            ("arduino.bin", Address::File(file("arduino.bin"))),
            ("/arduino.bin.md5", Address::Digest(file("arduino.bin"), DigestOf::Md5)),
            ("/arduino.bin.sha256", Address::Digest(file("arduino.bin"), DigestOf::Sha256)),
            (&format!("/file/{}", "07".repeat(32)), Address::Content(Sha256Digest([7; 32]))),
        ] {
            assert_eq!(Address::parse(path), is, "{path}");
        }
    }

    #[test]
    fn nothing_else_names_anything() {
        for path in [
            "",
            "/",
            "//",
            "/ota",
            "/ota/",
            "/ota//x",
            "/ota/a/b/c",
            "/ota/..",
            "/..",
            "/.",
            "/../etc/passwd",
            "/a/../b",
            "/ota/%2e%2e",
            "/a b",
            "/a\\b",
            "/a\0b",
            "/é",
            "/file/00",
            "/file/x",
            "/x/y",
            "/a?b",
            "/a;b",
            &format!("/{}", "a".repeat(MAX_NAME + 1)),
            &"/a".repeat(10_000),
        ] {
            assert_eq!(Address::parse(path), Address::Other, "{}", &path[..path.len().min(50)]);
        }
    }

    #[test]
    fn the_minimal_firmware_has_the_name_that_tasmota_asks_for() {
        for (name, wanted) in [
            ("tasmota.bin", "tasmota-minimal.bin"),
            ("tasmota-DE.bin.gz", "tasmota-minimal.bin.gz"),
            ("tasmota-minimal.bin", "tasmota-minimal.bin"),
            ("tasmota", "tasmota-minimal"),
            ("a-b", "a-minimal"),
            ("", "-minimal"),
            ("-", "-minimal"),
            (".-", ".-minimal.-"),
        ] {
            assert_eq!(minimal(name), wanted);
        }
    }
}
