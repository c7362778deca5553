//! Tests private keys that stand in an image as text.

use super::*;
use crate::format::image::TextEncoding;
use base64ct::{Base64, Base64Unpadded, Base64UrlUnpadded, Encoding};

/// Returns text in pieces of `length` characters, with `joint` between them.
fn pieces(text: &str, length: usize, joint: &str) -> String {
    let pieces: Vec<_> =
        text.as_bytes().chunks(length).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    pieces.join(joint)
}

fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

fn hex(bytes: &[u8], before: &str, after: &str) -> String {
    bytes.iter().map(|byte| format!("{before}{byte:02x}{after}")).collect()
}

type Spelling = fn(&[u8]) -> String;

const IN_BASE64: [(&str, Spelling); 21] = [
    ("one line", base64),
    ("without padding", |bytes| Base64Unpadded::encode_string(bytes)),
    ("for URLs", |bytes| Base64UrlUnpadded::encode_string(bytes)),
    ("lines", |bytes| pieces(&base64(bytes), 64, "\n")),
    ("lines of Windows", |bytes| pieces(&base64(bytes), 76, "\r\n")),
    ("indented lines", |bytes| pieces(&base64(bytes), 40, "\n                    ")),
    ("lines at the right", |bytes| pieces(&base64(bytes), 64, &format!("\n{}", " ".repeat(120)))),
    ("strings of C", |bytes| format!("\"{}\";", pieces(&base64(bytes), 64, "\"\n    \""))),
    ("strings of C with line ends", |bytes| {
        format!("\"{}\\n\";", pieces(&base64(bytes), 64, "\\n\"\r\n\t\""))
    }),
    ("short strings of C", |bytes| format!("\"{}\"", pieces(&base64(bytes), 7, "\" \""))),
    ("a line that goes on", |bytes| pieces(&base64(bytes), 64, "\\\n")),
    ("a string of JSON", |bytes| format!("{{\"key\":\"{}\"}}", pieces(&base64(bytes), 64, "\\n"))),
    ("JSON in JSON", |bytes| pieces(&base64(bytes), 64, "\\\\n")),
    ("JSON with escapes", |bytes| base64(bytes).replace('/', "\\/").replace('+', "\\u002b")),
    ("JSON with other escapes", |bytes| base64(bytes).replace('/', "\\u002F").replace('+', "\\u002B")),
    ("a list of strings", |bytes| format!("['{}']", pieces(&base64(bytes), 60, "',\n  '"))),
    ("strings with zeros behind them", |bytes| pieces(&base64(bytes), 48, "\0")),
    ("strings that JavaScript joins", |bytes| format!("\"{}\"", pieces(&base64(bytes), 64, "\" +\n  \""))),
    ("strings that a plus joins", |bytes| format!("\"{}\"", pieces(&base64(bytes), 64, "\"+\""))),
    ("UTF-16", |bytes| base64(bytes).chars().flat_map(|digit| [digit, '\0']).collect()),
    ("behind other bytes", |bytes| base64(&[b"key:", bytes].concat())),
];

const IN_HEX: [(&str, Spelling); 17] = [
    ("digits", |bytes| hex(bytes, "", "")),
    ("upper case", |bytes| hex(bytes, "", "").to_uppercase()),
    ("lines", |bytes| pieces(&hex(bytes, "", ""), 60, "\n")),
    ("blanks", |bytes| hex(bytes, "", " ")),
    ("colons", |bytes| hex(bytes, "", ":")),
    ("lines of colons", |bytes| pieces(&hex(bytes, "", ":"), 45, "\n    ")),
    ("dashes", |bytes| hex(bytes, "", "-").to_uppercase()),
    ("a list", |bytes| format!("{{{}}}", hex(bytes, "0x", ", "))),
    ("a list in upper case", |bytes| hex(bytes, "", " ").to_uppercase().replace(' ', ",0x")),
    ("lines of a list", |bytes| pieces(&hex(bytes, "0x", ", "), 72, "\n        ")),
    ("a list of short numbers", |bytes| bytes.iter().map(|byte| format!("{byte:#x},")).collect()),
    ("escapes of C", |bytes| format!("\"{}\"", hex(bytes, "\\x", ""))),
    ("strings of escapes", |bytes| format!("\"{}\"", pieces(&hex(bytes, "\\x", ""), 64, "\"\n    \""))),
    ("words", |bytes| pieces(&hex(bytes, "", ""), 8, ", 0x")),
    ("strings of C with line ends", |bytes| {
        format!("\"{}\"", pieces(&hex(bytes, "", ""), 64, "\\n\"\r\n\""))
    }),
    ("strings of digits", |bytes| format!("\"{}\"", pieces(&hex(bytes, "", ""), 64, "\"\n\""))),
    ("behind other bytes", |bytes| hex(&[b"key:", bytes].concat(), "", "")),
];

/// Every spelling, with the encoding that a report names.
fn spellings() -> impl Iterator<Item = (&'static str, TextEncoding, Spelling)> {
    let base64 = IN_BASE64.iter().map(|(name, spell)| (*name, TextEncoding::Base64, *spell));
    base64.chain(IN_HEX.iter().map(|(name, spell)| (*name, TextEncoding::Hex, *spell)))
}

/// The example key in PKCS#8 and PKCS#1, and keys of other algorithms.
fn keys() -> Vec<(&'static str, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key.pem"), private("keys.example/private.pem")).unwrap();
    fs::write(dir.path().join("large.pem"), private("fixtures/keys/rsa4096.pem")).unwrap();
    for words in [
        "pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out pkcs8",
        "rsa -in key.pem -traditional -outform DER -out pkcs1",
        "pkcs8 -topk8 -nocrypt -in large.pem -outform DER -out rsa4096",
        "ecparam -name prime256v1 -genkey -noout -out ec.pem",
        "ec -in ec.pem -outform DER -out ec",
        "pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec8",
        "genpkey -algorithm ed25519 -outform DER -out ed25519",
        "pkcs8 -topk8 -in key.pem -passout pass:secret -outform DER -out locked",
        "pkcs8 -topk8 -in ec.pem -v1 PBE-SHA1-3DES -passout pass:secret -outform DER -out pbes1",
    ] {
        openssl(dir.path(), words);
    }
    let names = ["pkcs8", "pkcs1", "rsa4096", "ec", "ec8", "ed25519", "locked", "pbes1", "key.pem", "ec.pem"];
    names.map(|name| (name, fs::read(dir.path().join(name)).unwrap())).to_vec()
}

#[test]
fn private_keys_are_found_as_text() {
    for (key, bytes) in keys() {
        for (name, encoding, spell) in spellings() {
            // A piece of a key is still a secret.
            for bytes in [&bytes[..], &bytes[..(bytes.len() * 7 / 8).max(48)]] {
                let text = spell(bytes);
                for before in ["", "k", "ke", "key", "const char *key = \"", "0x", "f", "{\"d\": \""] {
                    let image = within(&[before.as_bytes(), text.as_bytes()].concat());
                    let found = search(&image, &[&example()]).private;
                    let found =
                        found.unwrap_or_else(|| panic!("{key}, {name}, behind {before:?}: {text:.80}"));
                    assert_eq!(found.encoding, Some(encoding), "{key}, {name}: {found}");
                    // PKCS#8 has the key some 26 bytes behind its beginning.
                    let latest = 1000 + before.len() + text.len() / bytes.len() * 34 + 40;
                    assert!((1000..latest).contains(&found.offset), "{key}, {name}: {found}");
                    assert!(quick_search(&image, &[&example()]).private.is_some(), "{key}, {name}");
                }
            }
        }
    }
}

#[test]
fn the_report_says_the_form_and_the_place_and_shows_no_digit() {
    let image = [b"<script>key='", &*base64(&keys()[5].1).into_bytes(), b"'</script>"].concat();
    let refused = check(&image, Content::Filesystem, Some(&example()), &Rule::default()).unwrap_err();
    assert_eq!(refused.to_string(), "it contains a private key (PKCS#8, DER) as base64 text at offset 0xd");
    let image = [b"key = ", &*hex(&keys()[1].1, "0x", ",").into_bytes()].concat();
    let refused = check(&image, Content::Filesystem, None, &Rule::default()).unwrap_err();
    assert_eq!(refused.to_string(), "it contains an RSA private key (DER) as hexadecimal text at offset 0x8");
}

/// The first key of several is the one that is reported, whatever its form.
#[test]
fn the_first_key_is_reported() {
    let [(_, der), ..] = &keys()[..] else { panic!() };
    let (one, two) = (base64(der).into_bytes(), hex(der, "", "").into_bytes());
    let gap = noise(100, 3);
    for parts in [[&one, &two, der], [&two, &one, der], [der, &one, &two]] {
        let image = [parts[0], &gap[..], parts[1], &gap, parts[2]].concat();
        let found = search(&image, &[]).private.unwrap();
        assert!(found.offset < parts[0].len() / 8, "{found}");
    }
}

/// A key lies across the place at which a long text is divided. Another text stands before it.
#[test]
fn a_key_anywhere_in_a_long_text_is_found() {
    let key = base64(&keys()[0].1);
    for before in (20_000..36_000).step_by(331).chain(32_700..32_800) {
        let other = ["z".repeat(200), "!".repeat(100)].concat();
        let text = [&*other, &"x".repeat(before), &key, &"y".repeat(1000)].concat();
        let found = search(text.as_bytes(), &[]).private.unwrap_or_else(|| panic!("behind {before}"));
        let place = other.len() + before;
        assert!((place..place + 50).contains(&found.offset), "{found}");
    }
}

#[test]
fn text_without_a_private_key_is_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key.pem"), private("keys.example/private.pem")).unwrap();
    openssl(dir.path(), "req -x509 -new -key key.pem -subj /CN=example -days 9 -outform DER -out c.der");
    openssl(dir.path(), "dgst -sha256 -sign key.pem -out signature c.der");
    let files = [
        ("a public key", example().to_spki_der().to_vec()),
        ("a large public key", fixture("rsa4096").to_spki_der().to_vec()),
        ("a public key in PEM", example().to_spki_pem().as_bytes().to_vec()),
        ("a modulus", example().modulus().to_vec()),
        ("a certificate", fs::read(dir.path().join("c.der")).unwrap()),
        ("a signature", fs::read(dir.path().join("signature")).unwrap()),
        ("labels", b"-----BEGIN PRIVATE KEY-----\n-----BEGIN RSA PRIVATE KEY-----\n".repeat(9)),
        ("noise", noise(100_000, 5)),
        ("versions", [2, 1, 0].repeat(5000)),
        ("identifiers", [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, 13].repeat(999)),
        ("an image", esp_image()),
    ];
    for (what, bytes) in files {
        for (name, _, spell) in spellings() {
            let found = search(&within(spell(&bytes).as_bytes()), &[&example()]);
            assert_eq!(found.private, None, "{what}: {name}");
        }
    }
    // A change in a digit of a header makes other bytes of it.
    let good = base64(&keys()[5].1);
    for at in [0, 1, 2, 3, 4, 5, 7, 8, 16] {
        let mut bad = good.clone().into_bytes();
        bad[at] = if bad[at] == b'x' { b'7' } else { b'x' };
        assert_eq!(search(&bad, &[]).private, None, "digit {at}");
    }
}

/// Text of 4 MiB that gives the search as much work as it can.
#[test]
fn a_large_text_takes_linear_time() {
    let key = keys().swap_remove(0).1;
    let nearly = base64(&key[..11]);
    for unit in [
        "AgEA",
        "IBAA",
        "CAQA",
        "AgEAIBAACAQA",
        "KoZIhvcNAQUN",
        "MIIE",
        "LS0tLS1CRUdJTi",
        "0201",
        "020100",
        "3082",
        "0x2,0x1,0x0,",
        "\\x02\\x01\\x00",
        "2a864886f70d01050d",
        "2d2d2d2d2d424547494e20",
        "A ",
        "0 ",
        "\\",
        "\\u002b",
        "+",
        "\"+\"",
        "A\0\0\0\0\0\0\0",
        "0x",
        &nearly,
        &hex(&key[..11], "", ""),
        &hex(&key[..20], "\\x", ""),
    ] {
        let text = unit.repeat((4 << 20) / unit.len());
        assert_eq!(search(text.as_bytes(), &[]).private, None, "{unit}");
    }
}
