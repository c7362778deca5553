//! Which setting counts where several could.

use super::*;

fn settings(text: &str) -> Settings {
    read(FILE_NAME, text).1.unwrap()
}

/// What is made where these settings stand above those.
fn made(above: &str, below: &str) -> Vec<ArtefactKind> {
    let mut options = Options::new("x.bin", "dist");
    settings(above).or(settings(below)).apply(&mut options);
    options.artefacts.sort();
    options.artefacts.dedup();
    options.artefacts
}

#[test]
fn artefacts_legacy_and_devices_together_say_what_is_made() {
    use ArtefactKind::{LegacySig, Plain, Signed};
    let (all, default) = (ArtefactKind::ALL.to_vec(), ArtefactKind::DEFAULT.to_vec());
    for (text, expected) in [
        ("", &default[..]),
        ("legacy = true", &all),
        ("legacy = false", &default),
        ("artefacts = ['plain']", &[Plain]),
        ("artefacts = ['plain']\nlegacy = true", &[Plain, LegacySig]),
        ("artefacts = ['plain', 'legacy-sig']\nlegacy = false", &[Plain]),
        ("for = ['homie-mqtt']", &all),
        ("for = ['homie-mqtt']\nlegacy = true", &all),
        ("for = ['homie-mqtt']\nartefacts = ['signed']", &[Signed]),
        ("for = ['homie-mqtt']\nartefacts = ['signed']\nlegacy = true", &[Signed, LegacySig]),
    ] {
        assert_eq!(made(text, ""), expected, "{text}");
        assert_eq!(made("", text), expected, "{text}");
    }
}

#[test]
fn each_field_counts_by_itself() {
    use ArtefactKind::{Plain, Signed};
    let all = ArtefactKind::ALL.to_vec();
    for (above, below, expected) in [
        ("artefacts = ['plain']", "artefacts = ['signed']", &[Plain][..]),
        ("legacy = true", "legacy = false", &all),
        ("artefacts = ['plain']", "for = ['homie-mqtt']", &[Plain]),
        ("for = ['homie-mqtt']", "artefacts = ['signed']", &[Signed]),
        ("legacy = false", "artefacts = ['signed', 'legacy-sig']", &[Signed]),
    ] {
        assert_eq!(made(above, below), expected, "{above} / {below}");
    }
    let both = settings("name = 'a'").or(settings("name = 'b'\neffort = 'max'"));
    assert_eq!((both.name.as_deref(), both.effort), (Some("a"), Some(Effort::Max)));
}
