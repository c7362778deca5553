//! Finds private keys in DER among other bytes, by their headers. A key that was cut off is still a secret.

use super::private::Private;
use memchr::memmem;
use std::cmp::Ordering;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// 1.2.840.113549.1: what PKCS#5 and PKCS#12 have in common.
pub(super) const PKCS: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01];

/// The header of a value.
#[derive(Clone, Copy)]
pub(super) struct Header {
    tag: u8,
    /// Length of the header itself.
    bytes: usize,
    /// Length of what follows it.
    content: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`, of a value of up to 64 KiB.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (bytes, content) = match *rest {
            [short, ..] if short < 0x80 => (2, usize::from(short)),
            [0x81, length, ..] => (3, usize::from(length)),
            [0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return None,
        };
        Some(Self { tag: *tag, bytes, content })
    }

    /// Reads a header of this tag.
    fn of(tag: u8, bytes: &[u8]) -> Option<Self> {
        Self::read(bytes).filter(|header| header.tag == tag)
    }

    /// Length of the whole value.
    pub(super) fn value(self) -> usize {
        self.bytes + self.content
    }
}

/// The SEQUENCE headers that end at `at`, and where each begins: bytes can be read as more than one.
fn sequences_up_to(plain: &[u8], at: usize) -> impl Iterator<Item = (usize, Header)> {
    (2..=4).filter_map(move |bytes| {
        let start = at.checked_sub(bytes)?;
        let header = Header::of(SEQUENCE, plain.get(start..)?)?;
        (header.bytes == bytes).then_some((start, header))
    })
}

/// Private keys: RSA (RFC 8017 A.1.2), elliptic curves (RFC 5915 3), PKCS#8 of every algorithm (RFC 5958 2), and PKCS#8
/// under a passphrase (RFC 5958 3), which is also how a PKCS#12 file holds one.
pub(super) fn private_keys(plain: &[u8]) -> impl Iterator<Item = Private> {
    // Each of the first three begins with a version: an INTEGER of one byte.
    let open = memmem::find_iter(plain, &[INTEGER, 1]).filter_map(|at| {
        let (what, is_one): (_, fn(&[u8], Header) -> bool) = match *plain.get(at + 2..)?.first_chunk::<2>()? {
            [0, INTEGER] => ("an RSA private key (DER)", is_rsa),
            [1, OCTET_STRING] => ("an elliptic-curve private key (DER)", is_elliptic),
            [0 | 1, SEQUENCE] => ("a private key (PKCS#8, DER)", is_pkcs8),
            _ => return None,
        };
        let fields = &plain[at + 3..];
        let mut sequences = sequences_up_to(plain, at);
        let (offset, _) = sequences.find(|(_, sequence)| {
            // Without the version.
            let fields_len = sequence.content.checked_sub(3);
            fields_len.is_some_and(|content| is_one(fields, Header { content, ..*sequence }))
        })?;
        Some(Private::bare(what, offset))
    });
    let locked = memmem::find_iter(plain, PKCS).filter_map(|at| {
        let scheme_len = match plain.get(at + PKCS.len()..)? {
            // PBES1 and PBES2 (RFC 8018 A.3, A.4).
            [5, 1 | 3 | 4 | 6 | 10 | 11 | 13, ..] => PKCS.len() + 2,
            // RFC 7292 appendix C.
            [12, 1, 1..=6, ..] => PKCS.len() + 3,
            _ => return None,
        };
        let oid = at.checked_sub(2)?;
        let header = Header::of(OBJECT_IDENTIFIER, &plain[oid..])?;
        if header.content != scheme_len {
            return None;
        }
        sequences_up_to(plain, oid).find_map(|(algorithm_at, algorithm)| {
            let key = Header::of(OCTET_STRING, plain.get(algorithm_at + algorithm.value()..)?)?;
            let content = algorithm.value() + key.value();
            let mut outer = sequences_up_to(plain, algorithm_at);
            let (offset, _) = outer.find(|(_, outer)| outer.content == content)?;
            Some(Private::bare("an encrypted private key (PKCS#8, DER)", offset))
        })
    });
    open.chain(locked)
}

/// Whether the SEQUENCE has room for the numbers of a key, which are the modulus once, the private exponent once and five
/// times half as much; a modulus of a size that is in use comes first, odd and with its highest bit set.
fn is_rsa(fields: &[u8], sequence: Header) -> bool {
    let modulus = || {
        let header = Header::of(INTEGER, fields)?;
        let (zero, modulus) = fields.get(header.bytes..header.value())?.split_first()?;
        let plausible = *zero == 0
            && modulus.len() >= 64
            && modulus.len() % 8 == 0
            && modulus.first()? >> 7 == 1
            && modulus.last()? & 1 == 1;
        plausible.then_some(modulus.len())
    };
    modulus().is_some_and(|length| (length * 4..length * 5 + 64).contains(&sequence.content))
}

/// Whether a number as long as a curve's fills the SEQUENCE, or is followed by the curve or the public key.
fn is_elliptic(fields: &[u8], sequence: Header) -> bool {
    const CURVE: u8 = 0xA0;
    const PUBLIC_KEY: u8 = 0xA1;
    let Some(number) = Header::of(OCTET_STRING, fields) else { return false };
    // From secp112 to sect571.
    (14..=72).contains(&number.content)
        && is_random(&fields[number.bytes..], number.content)
        && ends_or_goes_on(fields, number.value(), sequence, &[CURVE, PUBLIC_KEY])
}

/// Whether an algorithm comes, then the key's octets, and then nothing, or attributes or the public key. Octets that are a
/// SEQUENCE are one of the forms above, and found as that; others are the key itself, or one value with the key in it. (A
/// library that writes keys holds all that stands before them.)
fn is_pkcs8(fields: &[u8], sequence: Header) -> bool {
    const ATTRIBUTES: u8 = 0xA0;
    const PUBLIC_KEY: [u8; 2] = [0x81, 0xA1];
    let key_ends = || {
        let algorithm = Header::of(SEQUENCE, fields)?;
        let oid = Header::of(OBJECT_IDENTIFIER, &fields[algorithm.bytes..])?;
        let octets = fields.get(algorithm.value()..)?;
        let key = Header::of(OCTET_STRING, octets)?;
        let plausible = (3..=16).contains(&oid.content) && oid.value() <= algorithm.content;
        let content = &octets[key.bytes..];
        let inner = Header::read(content).filter(|inner| inner.value() == key.content);
        let is_key = match inner {
            Some(Header { tag: SEQUENCE, .. }) => false,
            Some(inner) => is_random(&content[inner.bytes..], inner.content),
            None => is_random(content, key.content),
        };
        (plausible && is_key).then(|| algorithm.value() + key.value())
    };
    let more = [ATTRIBUTES, PUBLIC_KEY[0], PUBLIC_KEY[1]];
    key_ends().is_some_and(|end| ends_or_goes_on(fields, end, sequence, &more))
}

/// Whether the next bytes can be a secret number: neither text, nor headers, nor zeros. Of 32 random bytes, at least two
/// thirds are different and one has its highest bit set, in all but one of a billion cases.
fn is_random(bytes: &[u8], length: usize) -> bool {
    /// The rest looks the same.
    const MOST: usize = 32;
    let length = length.min(MOST);
    let Some(number) = bytes.get(..length) else { return false };
    let mut seen = [false; 256];
    number.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    length >= 14 && different * 3 >= length * 2 && number.iter().any(|byte| byte >> 7 == 1)
}

/// Whether the fields of a SEQUENCE end here, or go on with one of these tags.
fn ends_or_goes_on(fields: &[u8], end: usize, sequence: Header, tags: &[u8]) -> bool {
    match end.cmp(&sequence.content) {
        Ordering::Less => fields.get(end).is_some_and(|tag| tags.contains(tag)),
        Ordering::Equal => true,
        Ordering::Greater => false,
    }
}
