//! Makes a stranger's text fit to be shown: what devices, brokers and servers say.

/// Most characters that are shown of one text.
pub const MAX_SAID: usize = 200;

/// Returns the text of some bytes: on one line, without control characters, and at most [`MAX_SAID`] characters long.
///
/// A device can send escape sequences that change a terminal's title, its colours, or what stands on the lines above.
/// Bytes that are no printable text appear as `\xNN`.
pub fn said(bytes: &[u8]) -> String {
    let mut shown = String::new();
    let mut count = 0;
    // Four bytes are the longest character, and an escape shows each byte for itself.
    for chunk in bytes[..bytes.len().min(4 * MAX_SAID + 4)].utf8_chunks() {
        for character in chunk.valid().chars() {
            if count == MAX_SAID {
                shown.push('…');
                return shown;
            }
            count += 1;
            match is_shown(character) {
                true => shown.push(character),
                false => shown.extend(character.escape_default()),
            }
        }
        for byte in chunk.invalid() {
            if count == MAX_SAID {
                shown.push('…');
                return shown;
            }
            count += 1;
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Whether a character is shown as it is. Characters that are invisible or turn the direction of the text are not.
fn is_shown(character: char) -> bool {
    let hides = matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{00AD}' | '\u{061C}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}');
    !character.is_control() && !hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_one_harmless_line() {
        assert_eq!(said(b"kitchen"), "kitchen");
        assert_eq!(said("Küche °C".as_bytes()), "Küche °C");
        assert_eq!(said(b"\x1b]0;owned\x07"), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(said(b"a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(said(b"\xff\xfeok"), "\\xff\\xfeok");
        assert_eq!(said("x\u{202E}y".as_bytes()), "x\\u{202e}y");
        assert_eq!(said("\u{FEFF}x".as_bytes()), "\\u{feff}x");
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = said("é".repeat(1_000_000).as_bytes());
        assert_eq!(shown.chars().count(), MAX_SAID + 1);
        assert!(shown.ends_with('…'));
        assert_eq!(said(&vec![0xFF; 1_000_000]).len(), 4 * MAX_SAID + '…'.len_utf8());
        assert_eq!(said("x".repeat(MAX_SAID).as_bytes()).len(), MAX_SAID);
    }
}
