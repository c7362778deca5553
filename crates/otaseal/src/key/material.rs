//! Keeps keys out of messages. A user may give a key in place of its name or of a signature, and a program may print
//! one.
//!
//! `--key "$(cat private.pem)"` is a slip of one character, and an error message ends up in the log of a CI system. So
//! all code that prints a given name, or the output of another program, asks here first.

use super::excerpt::excerpt;
use base64ct::{Base64Unpadded, Encoding};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Longest path in bytes, and longest part of it: `PATH_MAX` and `NAME_MAX` of Linux, which are the largest.
const LONGEST: (usize, usize) = (4096, 255);

/// Fewest characters of base64 that count as a key. Ed25519's 48 bytes have 64, an RSA key has 1600.
const SHORTEST_BASE64: usize = 40;

/// Fewest such characters behind a slash: the parts of a path have fewer together.
const SHORTEST_BEHIND_A_PATH: usize = 255;

/// Fewest hexadecimal digits that count as a key: more than a SHA-512 or two SHA-256 have.
const SHORTEST_HEX: usize = 200;

/// `-----BEGIN` in base64. Many CI systems store PEM like this.
const PEM_IN_BASE64: &[u8] = b"LS0tLS1CRUdJTi";
/// The beginnings in hexadecimal digits of a SEQUENCE of more than 127 bytes, and of PEM.
const HEX_STARTS: [&[u8]; 3] = [b"3081", b"3082", b"2d2d2d2d2d424547494e"];

/// The beginning of a key in base64.
#[derive(PartialEq, Eq)]
pub(crate) enum Start {
    /// A SEQUENCE that begins with a version, as every private key in DER does, or OpenSSH's own form.
    Private,
    /// A SEQUENCE that begins with an encryption algorithm.
    Encrypted,
    /// A SEQUENCE that begins with another algorithm: a public key.
    Public,
}

impl Start {
    /// Looks at the first characters, of base64 for PEM or for URLs.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        /// 1.2.840.113549.1, and the next numbers in PBES1 and PBES2, and in PKCS#12's own schemes.
        const ENCRYPTION: [&[u8]; 2] = [
            &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05],
            &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x0C],
        ];
        if text.starts_with(b"b3BlbnNzaC1rZXkt") {
            return Some(Self::Private);
        }
        // 0x30 and the length behind it.
        if !matches!(text, [b'M', b'A'..=b'P', ..]) {
            return None;
        }
        let text = text.first_chunk::<24>()?.map(|letter| match letter {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        });
        let mut bytes = [0; 18];
        let content = match Base64Unpadded::decode(text, &mut bytes).ok()? {
            [0x30, 0x82, _, _, content @ ..]
            | [0x30, 0x81, _, content @ ..]
            | [0x30, 0..=0x7F, content @ ..] => content,
            _ => return None,
        };
        match content {
            [0x02, 1, ..] => Some(Self::Private),
            [0x30, 0..=0x7F, 0x06, _, oid @ ..]
                if ENCRYPTION.iter().any(|scheme| oid.starts_with(scheme)) =>
            {
                Some(Self::Encrypted)
            }
            [0x30, 0..=0x7F, 0x06, ..] => Some(Self::Public),
            _ => None,
        }
    }
}

/// Guesses whether bytes have a key in them, public or private: PEM, also without its line ends; DER; or either as
/// base64 or hexadecimal text. The guess serves messages: it is better wrong about a harmless text than about a key.
pub fn is_key(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
    if has(b"-----BEGIN") || has(b"-----END") || has(b"PRIVATE KEY-----") {
        return true;
    }
    // A SEQUENCE with a length of one or two bytes more. A text seldom begins with 0, and never goes on like this.
    matches!(bytes, [0x30, 0x81 | 0x82, ..]) || is_encoded_key(bytes)
}

/// Tells whether text has the bytes of a key in it, in base64 or hexadecimal digits.
fn is_encoded_key(bytes: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let starts = |text: &[u8]| text.starts_with(PEM_IN_BASE64) || Start::of(text).is_some();
    let starts_in_hex = |text: &[u8]| {
        HEX_STARTS
            .iter()
            .any(|start| text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start)))
    };
    let looks = |run: &[u8]| {
        run.len() >= SHORTEST_BASE64 && starts(run)
            || run.len() >= SHORTEST_HEX && run.iter().all(u8::is_ascii_hexdigit) && starts_in_hex(run)
            // The name may have been made absolute, so that a directory stands before the key.
            || (1..run.len().saturating_sub(SHORTEST_BEHIND_A_PATH))
                .any(|at| run[at - 1] == b'/' && starts(&run[at..]))
    };
    // The key may be broken into short lines.
    let joined: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    [bytes, &joined].into_iter().any(|text| text.split(|byte| !is_base64(byte)).any(looks))
}

/// Tells whether a text can be the name of a file or a variable, and may be shown as one: no key, no line break, and
/// not longer than the name of any file.
pub fn is_name(text: &OsStr) -> bool {
    let bytes = text.as_encoded_bytes();
    let (path, part) = LONGEST;
    let line_break = bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    let too_long =
        bytes.len() > path || bytes.split(|byte| b"/\\".contains(byte)).any(|name| name.len() > part);
    !line_break && !too_long && !is_key(bytes)
}

/// Returns the name of a file for a message, or [`NOT_A_NAME`] if it is none.
pub fn shown(path: &Path) -> String {
    match is_name(path.as_os_str()) {
        true => path.display().to_string(),
        false => NOT_A_NAME.into(),
    }
}

/// Hides an error message that has a key in it. Other checks come before this one: it is the last, for a message that
/// quotes a value nobody checked.
pub fn without_keys(message: String) -> String {
    match is_encoded_key(message.as_bytes()) {
        true => "a value is wrong (hidden, because it is a key)".into(),
        false => message,
    }
}

/// Stands in a message in the place of a text that is no file name.
pub const NOT_A_NAME: &str = "(hidden, because it is not a file name)";

/// A key on a command line, in the place of its name. It repeats nothing of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {IS_KEY}")]
#[non_exhaustive]
pub struct KeyOnCommandLine {
    /// The option that it follows, or "one of the arguments".
    place: String,
}

/// Looks for a key on a command line, which every user of the machine can read.
///
/// # Errors
/// [`KeyOnCommandLine`].
pub fn check_command_line(arguments: impl Iterator<Item = OsString>) -> Result<(), KeyOnCommandLine> {
    let is_option = |text: &[u8]| {
        let name = text.strip_prefix(b"--").or_else(|| text.strip_prefix(b"-")).unwrap_or_default();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        name.first().is_some_and(u8::is_ascii_lowercase) && name.len() <= 30 && name.iter().all(plain)
    };
    let mut before = OsString::new();
    for argument in arguments {
        if is_key(argument.as_encoded_bytes()) {
            let own = argument.as_encoded_bytes().split(|&byte| byte == b'=').next().unwrap_or_default();
            let option = [own, before.as_encoded_bytes()].into_iter().find(|text| is_option(text));
            let place = option.map_or("one of the arguments".into(), String::from_utf8_lossy);
            return Err(KeyOnCommandLine { place: place.into_owned() });
        }
        before = argument;
    }
    Ok(())
}

/// The message for a key in the place of its name.
pub const IS_KEY: &str = "this is a key itself, not the name of a file";

/// Tells whether a text can be the name of an environment variable in every shell.
pub fn is_variable(text: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| letter(&first))
        && bytes.all(|byte| letter(&byte) || byte.is_ascii_digit())
}

/// Names the kind of bytes that should have been something else, and shows nothing of them.
pub fn kind(bytes: &[u8]) -> String {
    if let Some(label) = pem_label(bytes) {
        return format!("a PEM block ({label})");
    }
    match excerpt(bytes) {
        _ if is_key(bytes) => "a key, or part of one".into(),
        Some(_) => "text".into(),
        None => "binary".into(),
    }
}

/// Returns the label of the first PEM block, if it is a label that otaseal knows. Another label may be anybody's text.
fn pem_label(bytes: &[u8]) -> Option<&'static str> {
    const LABELS: &[&str] = &[
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "CERTIFICATE",
        "CERTIFICATE REQUEST",
        "EC PARAMETERS",
        "PKCS7",
        "CMS",
    ];
    let start = memchr::memmem::find(bytes, b"-----BEGIN ")? + b"-----BEGIN ".len();
    let rest = bytes.get(start..)?;
    let end = memchr::memmem::find(rest, b"-----")?;
    LABELS.iter().copied().find(|label| rest.get(..end) == Some(label.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeySize, PrivateKey};
    use base64ct::{Base64, Base64UrlUnpadded, Encoding};

    #[test]
    fn a_key_is_known_in_every_form_in_which_it_is_pasted() {
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        let (pem, der) = (key.to_pkcs8_pem().unwrap(), key.to_pkcs8_der().unwrap());
        let pem = std::str::from_utf8(&pem).unwrap();
        let pkcs1 = key.to_pkcs1_der().unwrap();
        let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = Base64::encode_string(&der);
        let lines = body.as_bytes().chunks(20).map(|line| std::str::from_utf8(line).unwrap());
        for text in [
            pem.to_string(),
            pem.replace('\n', " "),
            pem.replace('\n', "\\n"),
            pem.replace('\n', ""),
            pem[..40].to_owned(),
            pem[pem.len() - 40..].to_owned(),
            body.clone(),
            lines.collect::<Vec<_>>().join("\n"),
            format!("--key={body}"),
            format!("/home/somebody/firmware/{body}"),
            Base64::encode_string(&pkcs1),
            Base64UrlUnpadded::encode_string(&der),
            Base64::encode_string(pem.as_bytes()),
            hex.to_uppercase(),
            hex,
        ] {
            assert!(is_key(text.as_bytes()) && !is_name(OsStr::new(&text)), "{text}");
        }
        assert!(is_key(&der) && is_key(&pkcs1) && is_key(key.public().to_spki_der()));
    }

    #[test]
    fn names_are_names() {
        let digest = "5b9f928e55dad54f814e761962795325d228d578d57212232f1cb8975307b48b";
        let deep = "workspaces/firmware/build/esp8266/release/objects/".repeat(20);
        for name in [
            "private.pem",
            "keys/MII.pem",
            "MIGRATION/build/esp8266/nodemcu/release/firmware/of-the-sensor",
            "MIIgration-of-everything-to-another-place-in-the-north",
            "PRIVATE KEYS/fw.pem",
            "pkcs11-tool --label 'OTA PRIVATE KEY' -s",
            &digest.repeat(4)[..250],
            "/home/somebody/MIIE/private.pem",
            "pkcs11:token=Release;object=firmware?module-path=/usr/lib/softhsm/libsofthsm2.so",
            "C:\\Users\\somebody\\keys\\private.pem",
            "https://example.com/advisories/2024/MIIadvisory",
            "Füße und Hände",
            digest,
            &deep,
            "",
        ] {
            assert!(is_name(OsStr::new(name)), "{name}");
        }
        for other in ["two\nlines", "a\r", &"x".repeat(256), &"x/".repeat(3000)] {
            assert!(!is_name(OsStr::new(other)), "{other}");
        }
        for name in ["A", "_", "RELEASE_PASSPHRASE", "a1"] {
            assert!(is_variable(name), "{name}");
        }
        for other in ["", "1A", "A B", "A-B", "A=B", "$A", "${A}", "pässe", "A\n"] {
            assert!(!is_variable(other), "{other}");
        }
    }

    #[test]
    fn what_a_file_is_is_said_without_a_word_of_it() {
        let block = b"x\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(kind(block), "a PEM block (RSA PRIVATE KEY)");
        assert_eq!(kind(b"-----BEGIN my secret-----\n"), "a key, or part of one");
        assert_eq!(kind(b"a passphrase\n"), "text");
        assert_eq!(kind(&[0xFF; 40]), "binary");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            let _ = (is_key(&bytes), kind(&bytes));
        }
    }
}
