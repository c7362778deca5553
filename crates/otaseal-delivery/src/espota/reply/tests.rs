use super::*;

fn heard(parts: &[&[u8]], handed: u64, of: u64) -> Vec<Heard> {
    let mut listener = Listener::default();
    parts.iter().map(|part| listener.hear(part, handed, of)).collect()
}

#[test]
fn reply_ok() {
    for text in [&b"OK"[..], b"OK\r\n", b"OK\n"] {
        assert_eq!(Reply::parse(text), Reply::Ok);
    }
}

#[test]
fn reply_auth_with_32_digits() {
    let reply = Reply::parse(b"AUTH fcea920f7412b5da7be0cf42b8c93759");
    assert_eq!(reply, Reply::Auth(Nonce::parse("fcea920f7412b5da7be0cf42b8c93759").unwrap()));
}

#[test]
fn reply_auth_with_64_digits() {
    let text = format!("AUTH {}", "ab".repeat(32));
    assert_eq!(Reply::parse(text.as_bytes()), Reply::Auth(Nonce::parse(&"ab".repeat(32)).unwrap()));
}

#[test]
fn reply_authentication_failed() {
    assert_eq!(Reply::parse(b"Authentication Failed"), Reply::AuthenticationFailed);
}

#[test]
fn reply_err_is_an_error_although_it_has_an_o() {
    for text in [
        "ERR: ERROR[4]: Not Enough Space\n",
        "ERR: ERROR[11]: Invalid bootstrapping state\r\n",
        "ERR: No Filesystem",
    ] {
        assert_eq!(Reply::parse(text.as_bytes()), Reply::Error(text.trim_end().into()));
    }
}

#[test]
fn other_datagrams_are_unknown_and_bounded() {
    for text in [&b""[..], b"ok", b"OKOK", b"AUTH", b"AUTH ", b"AUTH 1234", b"AUTH \xff\xfe", b"\0\0\0"] {
        assert_eq!(Reply::parse(text), Reply::Unknown(text.trim_ascii_end().to_vec()));
    }
    let Reply::Unknown(kept) = Reply::parse(&[b'x'; 70_000]) else { panic!("it is not unknown") };
    assert_eq!(kept.len(), MAX_DATAGRAM);
}

#[test]
fn numbers_alone_mean_nothing() {
    assert_eq!(heard(&[b"1460", b"1460536", b"924"], 4380, 4380), vec![Heard::Nothing; 3]);
}

#[test]
fn ok_for_itself_after_the_last_number() {
    assert_eq!(heard(&[b"1460", b"OK"], 1460, 1460), [Heard::Nothing, Heard::Ok]);
}

#[test]
fn ok_joined_to_the_last_number() {
    assert_eq!(heard(&[b"1024OK"], 1024, 1024), [Heard::Ok]);
}

#[test]
fn ok_in_two_parts() {
    assert_eq!(heard(&[b"1024O", b"K"], 1024, 1024), [Heard::Words, Heard::Ok]);
}

#[test]
fn ok_before_the_whole_image_was_handed_over_is_no_success() {
    assert_eq!(heard(&[b"1024OK"], 1024, 4096), [Heard::EarlyOk]);
}

#[test]
fn an_error_is_never_taken_for_ok() {
    let text = b"1460ERROR[12]: Signature verification failed\n";
    assert_eq!(heard(&[text], 1460, 1460), [Heard::Error(text[4..text.len() - 1].to_vec())]);
    // Byte by byte, it is the same.
    let mut listener = Listener::default();
    let all: Vec<Heard> = text.iter().map(|byte| listener.hear(&[*byte], 1460, 1460)).collect();
    assert!(!all.contains(&Heard::Ok));
    assert_eq!(all.last(), Some(&Heard::Error(text[4..text.len() - 1].to_vec())));
}

#[test]
fn the_words_of_an_esp32_have_no_number() {
    assert_eq!(heard(&[b"1460Could Not Activate", b" The Firmware\r\n"], 1460, 1460)[1], {
        Heard::Error(b"Could Not Activate The Firmware".to_vec())
    });
}

#[test]
fn words_without_an_end_are_known_when_the_device_closes() {
    let mut listener = Listener::default();
    assert_eq!(listener.ended(), None);
    assert_eq!(listener.hear(b"1460ERROR[7]: MD5 Fai", 1460, 1460), Heard::Words);
    assert_eq!(listener.ended().unwrap(), b"ERROR[7]: MD5 Fai");
}

#[test]
fn repeated_last_numbers_are_no_flood() {
    // An ESP32 that waits says its last number three times more.
    let mut listener = Listener::default();
    for _ in 0..3 {
        assert_eq!(listener.hear(b"1460", 1460, 4096), Heard::Nothing);
    }
}

#[test]
fn more_numbers_than_bytes_are_a_flood() {
    let mut listener = Listener::default();
    let mut last = Heard::Nothing;
    for _ in 0..100 {
        last = listener.hear(&[b'9'; 1024], 1000, 1_000_000);
    }
    assert_eq!(last, Heard::TooMuch);
}

#[test]
fn endless_words_are_cut() {
    let mut listener = Listener::default();
    assert!(
        matches!(listener.hear(&[b'x'; 4096], 1_000_000, 1_000_000), Heard::Error(words) if words.len() == 512)
    );
    listener.hear(&[b'y'; 4096], 1_000_000, 1_000_000);
    assert_eq!(listener.ended().unwrap().len(), 512);
}
