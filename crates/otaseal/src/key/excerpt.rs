//! Makes the start of a foreign text fit for a terminal.

/// Longest excerpt in characters.
const LONGEST: usize = 800;

/// Returns the beginning of another program's words, on one line and without control characters: a terminal must not
/// obey them. Returns nothing if they are not text.
pub(crate) fn excerpt(bytes: &[u8]) -> Option<String> {
    // U+202A and similar characters turn the direction of writing. A reader would then see another text.
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
}
