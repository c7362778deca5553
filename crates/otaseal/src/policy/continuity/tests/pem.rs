//! Tests how a private key in PEM is told from a bare label, and what a report calls it.

use super::*;

/// Base64 that begins like no key that otaseal knows.
const UNKNOWN: &str = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4";

fn found(text: &str) -> Option<String> {
    search(&within(text.as_bytes()), &[]).private.map(|private| private.to_string())
}

#[test]
fn the_report_names_the_kind_of_key_that_the_label_names() {
    let longest = format!("{} PRIVATE KEY", "X".repeat(32 - " PRIVATE KEY".len()));
    for (label, kind) in [
        ("PRIVATE KEY", "a private key (PKCS#8, PEM)"),
        ("ENCRYPTED PRIVATE KEY", "an encrypted private key (PKCS#8, PEM)"),
        ("RSA PRIVATE KEY", "an RSA private key (PKCS#1, PEM)"),
        ("EC PRIVATE KEY", "an elliptic-curve private key (PEM)"),
        ("OPENSSH PRIVATE KEY", "a private key (PEM)"),
        ("PGP PRIVATE KEY BLOCK", "a private key (PEM)"),
        (&longest, "a private key (PEM)"),
    ] {
        let text = format!("-----BEGIN {label}-----\n{UNKNOWN}");
        assert_eq!(found(&text), Some(format!("{kind} at offset 0x3e8")), "{label}");
    }
    for label in ["PUBLIC KEY", "CERTIFICATE", "PRIVATE KEY BLOCK", &format!("X{longest}")] {
        assert_eq!(found(&format!("-----BEGIN {label}-----\n{UNKNOWN}")), None, "{label}");
    }
}

/// A TLS library holds labels, and words behind them.
#[test]
fn a_label_needs_as_much_base64_as_the_shortest_key_has() {
    let with = |content: &str| found(&format!("-----BEGIN OPENSSH PRIVATE KEY-----{content}")).is_some();
    let (start, end) = UNKNOWN.split_at(40);
    assert_eq!(UNKNOWN.len(), 64);
    for content in [UNKNOWN.to_owned(), format!("\n  {start}\r\n{end}\n"), format!("{UNKNOWN}-----END")] {
        assert!(with(&content), "{content}");
    }
    let short = &UNKNOWN[..63];
    for content in
        [format!("{short}-----END"), format!("{short}."), format!("{start}: {end}"), format!("\0{UNKNOWN}")]
    {
        assert!(!with(&content), "{content}");
    }
}

/// The headers of OpenSSL's traditional encryption, RFC 1421 4.6.
#[test]
fn the_headers_of_an_encrypted_key_need_its_initial_vector() {
    let with = |headers: &str| {
        let text =
            format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {headers}\n\n.");
        found(&text).is_some()
    };
    for headers in ["DES-CBC,0123456789ABCDEF", "AES-256-CBC,0123456789abcdef0123456789abcdef"] {
        assert!(with(headers), "{headers}");
    }
    for headers in
        ["DES-CBC,0123456789ABCDE", "DES-CBC,0123456789ABCDEX", "DES-ECB,0123456789ABCDEF", "DES-CBC,"]
    {
        assert!(!with(headers), "{headers}");
    }
}
