//! Finds PEM blocks (RFC 7468) among other bytes. A program, a script or a JSON file may hold their lines.

use crate::key::PublicKey;
use crate::key::material::Start;
use memchr::memmem;
use std::iter;

/// Longest PEM block that is looked at: an RSA-4096 public key has 800 bytes, with indented lines some more.
const MAX_PEM: usize = 2048;
/// Longest label of a PEM block.
const MAX_LABEL: usize = 32;

/// A block that matters.
pub(super) enum Block {
    /// A public key that counts as an update key.
    Public(PublicKey),
    /// A private key: what it is, with its article.
    Private(&'static str),
}

/// The blocks that matter, and where each begins.
pub(super) fn blocks(plain: &[u8]) -> impl Iterator<Item = (usize, Block)> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const DASHES: &[u8] = b"-----";
    memmem::find_iter(plain, BEGIN).filter_map(|at| {
        let rest = &plain[at + BEGIN.len()..];
        let rest = &rest[..rest.len().min(MAX_PEM)];
        let label_len = memmem::find(&rest[..rest.len().min(MAX_LABEL + DASHES.len())], DASHES)?;
        let (label, body) = (&rest[..label_len], &rest[label_len + DASHES.len()..]);
        let block = match label {
            b"PUBLIC KEY" | b"RSA PUBLIC KEY" => Block::Public(public(label, body)?),
            label if !(label.ends_with(b"PRIVATE KEY") || label == b"PGP PRIVATE KEY BLOCK") => return None,
            _ if !has_content(&body[..memmem::find(body, DASHES).unwrap_or(body.len())]) => return None,
            b"PRIVATE KEY" => Block::Private("a private key (PKCS#8, PEM)"),
            b"ENCRYPTED PRIVATE KEY" => Block::Private("an encrypted private key (PKCS#8, PEM)"),
            b"RSA PRIVATE KEY" => Block::Private("an RSA private key (PKCS#1, PEM)"),
            b"EC PRIVATE KEY" => Block::Private("an elliptic-curve private key (PEM)"),
            _ => Block::Private("a private key (PEM)"),
        };
        Some((at, block))
    })
}

fn public(label: &[u8], body: &[u8]) -> Option<PublicKey> {
    let label = std::str::from_utf8(label).ok()?;
    let end = memmem::find(body, format!("-----END {label}-----").as_bytes())?;
    let base64: Vec<u8> = joined(&body[..end]).collect();
    let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in base64.chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    PublicKey::from_bytes(&text).ok()
}

/// Whether a label is that of a key and not one of a TLS library's strings, which stand among other words: only white
/// space and then 64 characters of base64 follow, or the headers of OpenSSL's traditional encryption (RFC 1421 4.6), or,
/// whatever stands between, base64 of what a key begins with.
fn has_content(body: &[u8]) -> bool {
    const WINDOW: usize = 64;
    let text: Vec<u8> = joined(body).collect();
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let start: Vec<u8> =
        body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(WINDOW).collect();
    (start.len() == WINDOW && start.iter().all(base64))
        || is_traditionally_encrypted(&text)
        || text.windows(WINDOW).any(|window| begins_a_private_key(window) && window.iter().all(base64))
}

/// Whether the headers are there whole: a TLS library has the words of them, one after the other.
fn is_traditionally_encrypted(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"Proc-Type:4ENCRYPTEDDEK-Info:") else { return false };
    let (name, rest) = rest.split_at(rest.len().min(16));
    let Some(mode) = memmem::find(name, b"CBC") else { return false };
    let vector = [&name[mode + 3..], rest].concat();
    vector.len() >= 16 && vector[..16].iter().all(u8::is_ascii_hexdigit)
}

fn begins_a_private_key(text: &[u8]) -> bool {
    Start::of(text).is_some_and(|start| start != Start::Public)
}

/// A block's lines without what joins them: white space, zero bytes, quotation marks, commas, and the line ends in a string
/// of C or JSON, which are backslashes and a letter.
fn joined(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    iter::from_fn(move || {
        loop {
            match *rest {
                [b'\\', ref after @ ..] => {
                    let letter = matches!(after, [b'n' | b'r' | b't' | b'0', ..]);
                    rest = &after[usize::from(letter)..];
                }
                [byte, ref after @ ..] => {
                    rest = after;
                    if !byte.is_ascii_whitespace() && !matches!(byte, 0 | b'"' | b'\'' | b',') {
                        return Some(byte);
                    }
                }
                [] => return None,
            }
        }
    })
}
