//! Cleans the output of another program, so that a message can show it: no keys, no control characters, bounded length.

use super::excerpt::excerpt;
use crate::key::material;

/// Most characters that are shown of an answer that is no signature.
const START: usize = 40;

/// Returns the words of another program on standard error, after "said:". Returns nothing if it said nothing. If there
/// is a key in them, as `sh -x` prints one, none of the words is shown.
pub(crate) fn said(bytes: &[u8]) -> Option<String> {
    match material::is_key(bytes) {
        true => Some("said something (hidden, because it contains a key)".into()),
        false => excerpt(bytes).map(|text| format!("said: {text}")),
    }
}

/// Returns the first words of an answer that should have been a signature: they may say why there is none. Returns
/// nothing if the answer may be a key, or has a word that looks like a secret.
pub(crate) fn start(bytes: &[u8]) -> Option<String> {
    /// Length of the longest word, and of the longest word of small and large letters and digits.
    const LONGEST_WORD: (usize, usize) = (30, 15);
    let text = excerpt(bytes)?;
    let secret = |word: &str| {
        let mixed =
            [char::is_lowercase, char::is_uppercase, char::is_numeric].iter().all(|is| word.contains(*is));
        word.chars().count() > if mixed { LONGEST_WORD.1 } else { LONGEST_WORD.0 }
    };
    if material::is_key(bytes) || text.split(' ').any(secret) {
        return None;
    }
    match text.char_indices().nth(START) {
        None => Some(text),
        Some((end, _)) => Some(format!("{}…", text[..end].trim_end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_short_and_no_secret() {
        assert_eq!(start(b"AccessDenied: not for you!\n").as_deref(), Some("AccessDenied: not for you!"));
        let long = start("Föhn und Wetterleuchten über den nahen Bergen, sagt man".as_bytes());
        assert_eq!(long.as_deref(), Some("Föhn und Wetterleuchten über den nahen B…"));
        let word = "x".repeat(31);
        for secret in [
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh\n",
            "-----BEGIN RSA",
            "here it is: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
            // The last line of a key, which has no mark.
            "p5mSGoG1cxfFWNOR1Gs4jI8c",
            &format!("the passphrase is {word}"),
            &format!("a text that is long enough that the word is not in its start, which is {word}"),
        ] {
            assert_eq!(start(secret.as_bytes()), None, "{secret}");
        }
    }

    #[test]
    fn what_has_a_key_in_it_is_not_repeated() {
        assert_eq!(said(b" no such key\n").as_deref(), Some("said: no such key"));
        assert_eq!(said(b"\n"), None);
        let trace = said(b"+ echo '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh\n").unwrap();
        assert!(trace.contains("hidden") && !trace.contains("MII"), "{trace}");
    }
}
