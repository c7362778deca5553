//! What another program said, made fit to be shown.

use crate::key::material;

/// Longest excerpt in characters.
const LONGEST: usize = 800;

/// Longest start of what should have been a signature, in characters.
const START: usize = 40;

/// The beginning of what another program said, on one line and without control characters: a terminal must not obey
/// it. Nothing when it is not text.
pub(crate) fn excerpt(bytes: &[u8]) -> Option<String> {
    // U+202A and its kind turn the direction of writing: what is read is then not what stands there.
    let turns =
        |c: char| matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let readable = |c: char| !c.is_control() && !turns(c) && c != char::REPLACEMENT_CHARACTER;
    let text = String::from_utf8_lossy(bytes);
    let strange = text.chars().filter(|&c| !readable(c) && !c.is_whitespace()).count();
    if text.trim().is_empty() || strange * 4 > text.chars().count() {
        return None;
    }
    let clean: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|&c| readable(c)).collect();
    let words = clean.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let mut short: String = words.chars().take(LONGEST).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    Some(short)
}

/// What another program said on standard error, with the words that introduce it; nothing when it said nothing. A key
/// that is in it, as `sh -x` shows one, is left out with all the rest.
pub(crate) fn said(bytes: &[u8]) -> Option<String> {
    match material::is_key(bytes) {
        true => Some("said something that is not shown, for there is a key in it".into()),
        false => excerpt(bytes).map(|text| format!("said: {text}")),
    }
}

/// The first words of what should have been a signature, for what it says may be why there is none. Nothing where it may
/// be a key, or where it has a word as only secrets have.
pub(crate) fn start(bytes: &[u8]) -> Option<String> {
    /// Longest word, and longest one of small and large letters and digits.
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
    fn an_excerpt_is_one_line_and_cannot_move_the_cursor() {
        assert_eq!(excerpt(b"a\n\tb \x1b[31mred\r\n").as_deref(), Some("a b [31mred"));
        assert_eq!(excerpt(b""), None);
        assert_eq!(excerpt(b" \n"), None);
        assert_eq!(excerpt(&[0xFF; 40]), None);
        let long = excerpt("ä".repeat(900).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

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
        assert!(trace.contains("not shown") && !trace.contains("MII"), "{trace}");
    }
}
