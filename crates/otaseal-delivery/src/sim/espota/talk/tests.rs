use super::*;
use crate::sim::board::Board;
use crate::sim::image::Sample;

const MD5: &str = "0123456789abcdef0123456789abcdef";

fn ota(password: Option<&str>, sha256: Option<Kept>) -> Ota {
    let running = Sample { name: "lamp", version: "1.0.0", bytes: 1000, seed: 1 }.esp8266();
    let mut settings = Settings::new(Board::new("esp8266@3.1.2/unsigned".parse().unwrap(), &running));
    settings.password = password.map(str::to_owned);
    settings.flags.sha256 = sha256;
    Ota::new(&settings)
}

/// What the specification recorded from the tools.
#[test]
fn the_expected_answers_are_those_of_the_recorded_vectors() {
    let (nonce, cnonce) = ("fcea920f7412b5da7be0cf42b8c93759", "61e71678e376e52df31923e8f1f95008");
    assert_eq!(expected("123", nonce, cnonce, None), "672b788c0091494fe05055ed8e669061");
    let found = expected("a-real-password", &"ab".repeat(32), &"cd".repeat(32), Some(Kept::Sha256));
    assert_eq!(found, "4d63ba8b1efa8949a0c5caefe7e8bc77db582e5531bdf2667c663394b4551b93");
}

/// The line of the tools, with and without its newline.
#[test]
fn an_invitation_runs() {
    for end in ["\n", ""] {
        let reaction = ota(None, None).datagram(format!("0 40123 123456 {MD5}{end}").as_bytes());
        let invitation = Invitation { command: 0, port: 40123, bytes: 123_456, md5: MD5.into() };
        assert_eq!(reaction, Reaction::Runs(invitation));
    }
}

#[test]
fn a_bad_command_or_md5_is_ignored_in_silence() {
    for text in ["7 1 1 ", "1 1 1 ", "-1 1 1 ", "200 1 1 "] {
        assert_eq!(ota(None, None).datagram(format!("{text}{MD5}\n").as_bytes()), Reaction::Silence);
    }
    assert_eq!(ota(None, None).datagram(b"0 1 1 0123\n"), Reaction::Silence);
    assert_eq!(ota(None, None).datagram(b""), Reaction::Silence);
}

#[test]
fn numbers_have_at_most_fifteen_digits() {
    let bytes = |digits: usize| {
        let line = format!("0 1 {} {MD5}\n", "9".repeat(digits));
        match ota(None, None).datagram(line.as_bytes()) {
            Reaction::Runs(invitation) => Some(invitation.bytes),
            _ => None,
        }
    };
    assert_eq!(bytes(15), Some(999_999_999_999_999));
    // Sixteen are read and count as 0. A seventeenth is taken for the blank before the MD5.
    assert_eq!((bytes(16), bytes(17)), (Some(0), Some(0)));
    // More of them stand in the MD5.
    assert_eq!(bytes(18), None);
}

/// The silent WAITAUTH of the real device.
#[test]
fn an_invitation_in_waitauth_is_swallowed_and_the_next_one_is_answered() {
    let mut ota = ota(Some("x"), None);
    let invitation = format!("0 1 1 {MD5}\n");
    assert!(matches!(ota.datagram(invitation.as_bytes()), Reaction::Says(_)));
    assert_eq!(ota.datagram(invitation.as_bytes()), Reaction::Silence);
    assert!(matches!(ota.datagram(invitation.as_bytes()), Reaction::Says(text) if text.len() == 37));
}

#[test]
fn an_answer_with_fields_of_another_length_is_swallowed() {
    let mut ota = ota(Some("x"), None);
    ota.datagram(format!("0 1 1 {MD5}\n").as_bytes());
    assert_eq!(ota.datagram(b"200 abc def\n"), Reaction::Silence);
    // An answer to an idle device is nothing.
    assert_eq!(ota.datagram(format!("200 {MD5} {MD5}\n").as_bytes()), Reaction::Silence);
}

#[test]
fn a_wrong_answer_fails() {
    let mut ota = ota(Some("x"), Some(Kept::Sha256));
    let Reaction::Says(text) = ota.datagram(format!("0 1 1 {MD5}\n").as_bytes()) else { panic!("no nonce") };
    assert_eq!(text.len(), 69);
    let fields = "00".repeat(32);
    let reaction = ota.datagram(format!("200 {fields} {fields}\n").as_bytes());
    assert_eq!(reaction, Reaction::Says("Authentication Failed".into()));
    assert_eq!(ota.wrong_passwords, 1);
}
