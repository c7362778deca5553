use super::*;
use std::process::Command;

/// What the esp8266 core and its `espota.py` computed for these values.
#[test]
fn the_md5_answer_is_that_of_the_recorded_vector() {
    let nonce = Nonce::parse("fcea920f7412b5da7be0cf42b8c93759").unwrap();
    assert_eq!(nonce.scheme(), Scheme::Md5);
    let found =
        response(&Password::new("123".into()), &nonce, "61e71678e376e52df31923e8f1f95008", Kept::Sha256);
    assert_eq!(found, "672b788c0091494fe05055ed8e669061");
}

/// What arduino-esp32's `espota.py` computes for these values.
#[test]
fn the_sha256_answer_is_that_of_the_recorded_vector() {
    let nonce = Nonce::parse(&"ab".repeat(32)).unwrap();
    assert_eq!(nonce.scheme(), Scheme::Sha256);
    let password = Password::new("a-real-password".into());
    let line = answer(&password, &nonce, &[0xCD; 32], Kept::Sha256);
    let expected = "4d63ba8b1efa8949a0c5caefe7e8bc77db582e5531bdf2667c663394b4551b93";
    assert_eq!(line, format!("200 {} {expected}\n", "cd".repeat(32)));
    assert_ne!(answer(&password, &nonce, &[0xCD; 32], Kept::Md5), line);
}

#[test]
fn the_fields_of_an_answer_are_as_long_as_the_nonce() {
    let password = Password::new("pass".into());
    for digits in [32, 64] {
        let nonce = Nonce::parse(&"0".repeat(digits)).unwrap();
        let line = answer(&password, &nonce, &[0xEF; 32], Kept::Sha256);
        let fields: Vec<&str> = line.trim_end().split(' ').collect();
        assert_eq!(fields.iter().map(|field| field.len()).collect::<Vec<_>>(), [3, digits, digits]);
        assert!(line.bytes().all(|byte| !byte.is_ascii_uppercase()));
    }
}

#[test]
fn a_nonce_of_another_length_or_kind_is_none() {
    for text in ["", "0", &"0".repeat(31), &"0".repeat(33), &"0".repeat(63), &"0".repeat(65), &"g".repeat(32)]
    {
        assert_eq!(Nonce::parse(text), None, "{text}");
    }
}

#[test]
fn nothing_shows_a_password() {
    assert_eq!(format!("{:?}", Password::new("hunter2".into())), "Password(…)");
}

/// Python's `hashlib` computes the answers as the tools of the cores do.
#[allow(clippy::print_stderr)]
#[test]
fn python_computes_the_same_answers() {
    let script = r#"
import hashlib, sys
password, nonce, cnonce, kept = sys.argv[1:]
text = lambda name, value: hashlib.new(name, value.encode()).hexdigest()
if len(nonce) == 32:
    print(text("md5", "%s:%s:%s" % (text("md5", password), nonce, cnonce)))
else:
    key = hashlib.pbkdf2_hmac("sha256", text(kept, password).encode(), (nonce + ":" + cnonce).encode(), 10000, 32)
    print(text("sha256", "%s:%s:%s" % (key.hex(), nonce, cnonce)))
"#;
    if Command::new("python3").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs python3");
        eprintln!("SKIPPED: no python3");
        return;
    }
    for (password, digits, kept) in [
        ("123", 32, Kept::Sha256),
        ("", 32, Kept::Sha256),
        ("Käse: 1 %", 32, Kept::Sha256),
        ("Käse: 1 %", 64, Kept::Sha256),
        ("Käse: 1 %", 64, Kept::Md5),
        ("", 64, Kept::Md5),
    ] {
        let (nonce, cnonce) = ("5e".repeat(digits / 2), "07".repeat(digits / 2));
        let name = if kept == Kept::Md5 { "md5" } else { "sha256" };
        let output =
            Command::new("python3").args(["-c", script, password, &nonce, &cnonce, name]).output().unwrap();
        let peer = String::from_utf8(output.stdout).unwrap();
        let ours = response(&Password::new(password.into()), &Nonce::parse(&nonce).unwrap(), &cnonce, kept);
        assert_eq!(ours, peer.trim(), "{password} {digits} {kept:?}");
    }
}
