//! Compares texts without regard to case.

/// Returns the text in lower case, character by character. The store keeps names in this form, so the form of a character
/// must not depend on its neighbours: a part of the folded text is the folded part of the text.
pub fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_is_folded_beyond_ascii() {
        assert_eq!(fold("KÜCHE 3"), "küche 3");
        assert_eq!(fold("ΟΔΟΣ"), "οδοσ", "the last letter is no special case");
        assert!(fold("ΟΔΟΣ 7").contains(&fold("ΟΔΟΣ")));
        assert_eq!(fold("İ"), "i\u{307}");
    }
}
