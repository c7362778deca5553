//! Finds keys in the bytes of an image.

use super::der::{Header, private_keys};
use super::pem::{self, Block};
use super::private::Private;
use super::text;
use crate::format::digest::sha256;
use crate::key::{KeySize, PublicKey};
use crate::policy::lint::Finding;
use memchr::memmem;
use otaseal_device::KeyId;
use serde::Serialize;
use std::ops::Range;

/// Most keys that are told apart: no firmware has more.
const MAX_KEYS: usize = 32;
/// The form of a key in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Form {
    /// Text between `-----BEGIN PUBLIC KEY-----` or `RSA PUBLIC KEY` and its end: what the Arduino cores embed.
    Pem,
    /// SubjectPublicKeyInfo (RFC 5280 4.1.2.7).
    SpkiDer,
    /// RSAPublicKey (RFC 8017 A.1.1).
    Pkcs1Der,
    /// The bare modulus, most significant byte first: BearSSL's `br_rsa_public_key`.
    ModulusBigEndian,
    /// The bare modulus, least significant byte first: what `otaseal-device` embeds, on every chip in question.
    ModulusLittleEndian,
}

/// A public key in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Located {
    /// Its key id.
    #[serde(serialize_with = "crate::key::id::serialize")]
    pub key_id: KeyId,
    /// Size of the modulus.
    #[serde(rename = "bits")]
    pub size: KeySize,
    /// How it stands there.
    pub form: Form,
    /// The offset at which it begins.
    pub offset: usize,
    /// The key.
    #[serde(skip)]
    pub key: PublicKey,
    /// Why no device should trust it; of a key that signs [`super::check`] asks elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Located {
    fn new(key: &PublicKey, form: Form, offset: usize) -> Self {
        let (key_id, size) = (key.id(), key.size());
        Self { key_id, size, form, offset, key: key.clone(), findings: Vec::new() }
    }

    pub(super) fn is(&self, id: KeyId) -> bool {
        self.key_id == id
    }
}

/// The result of a search.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Search {
    /// Public keys, each once, by offset.
    pub keys: Vec<Located>,
    /// The first private key.
    pub private: Option<Private>,
}

/// Looks for keys in a plain image, in a few linear passes.
///
/// Public keys that count as an update key: RSA of 2048, 3072 or 4096 bits with e = 65537, as PEM (`PUBLIC KEY`,
/// `RSA PUBLIC KEY`), as DER (SPKI, PKCS#1), and in the form of `otaseal-device`, the modulus with its key id. The
/// keys in `known` are found as a bare modulus too, in either byte order: of any other key that is random bytes.
///
/// Not update keys: a certificate, PEM or DER, with the key inside it, and keys of other algorithms. TLS brings those
/// along. A bare RSA key that is pinned for TLS looks like an update key, and counts as one.
///
/// Private keys that are found: PEM of every kind, if content follows the label (every TLS library holds the bare
/// labels). Its lines may be joined as text, or as strings of C or JSON. In DER: RSA, elliptic curves, PKCS#8 with and
/// without a passphrase, also in a PKCS#12 file. DER, and a whole PEM file, are also found as text: in base64 and in
/// hexadecimal digits, as one text, in lines, in strings or as a list of numbers. A key that is hidden on purpose is not
/// found.
pub fn search(plain: &[u8], known: &[&PublicKey]) -> Search {
    search_for(plain, known, true)
}

/// [`search`], but where a key is found, others in the form of `otaseal-device` are found right beside one alone.
pub fn quick_search(plain: &[u8], known: &[&PublicKey]) -> Search {
    search_for(plain, known, false)
}

fn search_for(plain: &[u8], known: &[&PublicKey], every: bool) -> Search {
    let mut found = Search::default();
    for (at, block) in pem::blocks(plain) {
        match block {
            Block::Public(key) => add(&mut found.keys, &key, Form::Pem, at),
            Block::Private(what) => add_private(&mut found, Private::bare(what, at)),
        }
    }
    let certificates = der(plain, known, &mut found);
    for key in known {
        let swapped: Vec<u8> = key.modulus().iter().rev().copied().collect();
        for (bytes, form) in
            [(key.modulus(), Form::ModulusBigEndian), (&swapped[..], Form::ModulusLittleEndian)]
        {
            if found.keys.iter().any(|seen| seen.is(key.id())) {
                break;
            }
            let mut hits = memmem::find_iter(plain, bytes);
            if let Some(at) = hits.find(|at| !certificates.iter().any(|certificate| certificate.contains(at)))
            {
                add(&mut found.keys, key, form, at);
            }
        }
    }
    if (every || found.keys.is_empty()) && found.private.is_none() {
        device_form(plain, &mut found);
    }
    key_set(plain, &mut found);
    found.keys.sort_by_key(|key| key.offset);
    found
}

fn add(keys: &mut Vec<Located>, key: &PublicKey, form: Form, offset: usize) {
    if keys.len() < MAX_KEYS && !keys.iter().any(|seen| seen.is(key.id())) {
        keys.push(Located::new(key, form, offset));
    }
}

fn add_private(found: &mut Search, private: Private) {
    found.private = found.private.into_iter().chain([private]).min_by_key(|private| private.offset);
}

/// INTEGER 65537: the end of every RSA key that counts, with the modulus right before it.
const EXPONENT: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

/// Finds keys in DER. Returns the offsets of keys inside certificates.
fn der(plain: &[u8], known: &[&PublicKey], found: &mut Search) -> Vec<Range<usize>> {
    let mut certificates = Vec::new();
    for at in memmem::find_iter(plain, &EXPONENT) {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
            let spki = Spki::of(size);
            let Some(start) = at.checked_sub(spki.prefix.len() + size.bytes()) else { continue };
            let end = at + EXPONENT.len();
            let pkcs1 = start + spki.pkcs1_at;
            let Some(modulus) = plain.get(start + spki.prefix.len()..at) else { continue };
            if !plain[pkcs1..].starts_with(&spki.prefix[spki.pkcs1_at..]) {
                continue;
            }
            let is_spki = plain[start..].starts_with(&spki.prefix);
            if is_spki && certificates.len() < MAX_KEYS && in_certificate(plain, start) {
                certificates.push(start..end);
                continue;
            }
            let (form, offset) = if is_spki { (Form::SpkiDer, start) } else { (Form::Pkcs1Der, pkcs1) };
            match known.iter().find(|key| key.modulus() == modulus) {
                Some(key) => add(&mut found.keys, key, form, offset),
                // Found and counted up to here only, so that a file made of nothing but keys takes no time.
                None if found.keys.len() < MAX_KEYS => {
                    if let Ok(key) = PublicKey::from_bytes(&plain[pkcs1..end]) {
                        add(&mut found.keys, &key, form, offset);
                    }
                }
                None => {}
            }
        }
    }
    private_keys(plain).chain(text::private_key(plain)).for_each(|private| add_private(found, private));
    certificates
}

/// Whether the SubjectPublicKeyInfo at `at` is a field of a certificate or of a certificate request (RFC 5280 4.1,
/// RFC 2986 4.1): two nested SEQUENCEs that begin before it, and whose fields lead to it.
fn in_certificate(plain: &[u8], at: usize) -> bool {
    /// Names before the key are seldom longer than some hundred bytes.
    const REACH: usize = 2048;
    let from = at.saturating_sub(REACH);
    memchr::memchr_iter(0x30, &plain[from..at]).any(|start| fields_lead_to(plain, from + start, at))
}

fn fields_lead_to(plain: &[u8], outer: usize, at: usize) -> bool {
    let long_sequence = |start: usize| match plain.get(start..)?.first_chunk::<4>()? {
        [0x30, 0x82, high, low] => Some(usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    };
    let (Some(outer_len), Some(inner_len)) = (long_sequence(outer), long_sequence(outer + 4)) else {
        return false;
    };
    if inner_len + 4 > outer_len || outer + 8 + inner_len <= at {
        return false;
    }
    let mut field = outer + 8;
    // A certificate has seven fields up to the key, a request three.
    for _ in 0..7 {
        if field == at {
            return true;
        }
        let Some(header) = plain.get(field..).and_then(Header::read) else { return false };
        field += header.value();
    }
    false
}

/// The bytes of a SubjectPublicKeyInfo before the modulus, which are the same for every key of a size.
struct Spki {
    prefix: Vec<u8>,
    /// The offset at which the PKCS#1 key begins in it.
    pkcs1_at: usize,
}

impl Spki {
    fn of(size: KeySize) -> Self {
        /// SEQUENCE { rsaEncryption, NULL }: RFC 8017 appendix C, RFC 3279 2.3.1.
        const ALGORITHM: [u8; 15] =
            [0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];
        let header = |tag: u8, length: usize| {
            let [high, low] = (length as u16).to_be_bytes();
            [tag, 0x82, high, low]
        };
        let integer = size.bytes() + 1;
        let pkcs1 = 4 + integer + EXPONENT.len();
        let bits = 1 + 4 + pkcs1;
        let mut prefix = header(0x30, ALGORITHM.len() + 4 + bits).to_vec();
        prefix.extend(ALGORITHM);
        prefix.extend(header(0x03, bits));
        prefix.push(0);
        let pkcs1_at = prefix.len();
        prefix.extend(header(0x30, pkcs1));
        prefix.extend(header(0x02, integer));
        prefix.push(0);
        Self { prefix, pkcs1_at }
    }

    /// The key id of the key with this modulus, big-endian; `buffer` holds the key in DER then.
    fn key_id<'a>(&self, modulus: impl Iterator<Item = &'a u8>, buffer: &mut Vec<u8>) -> KeyId {
        buffer.clear();
        buffer.extend_from_slice(&self.prefix);
        buffer.extend(modulus);
        buffer.extend(EXPONENT);
        KeyId(sha256(buffer).0)
    }
}

/// Finds keys in the form of `otaseal-device`: the modulus, least significant byte first, and right behind or before
/// it the key id, which proves it. Only what is as random as a modulus is worth the hash.
///
/// Data that are compressed or encrypted are random as well, and there every offset would cost three hashes. A key has
/// an end of such a run within its own length, so only the ends of a run are looked at: a key that lies between two
/// such runs without anything else beside it is not found.
fn device_form(plain: &[u8], found: &mut Search) {
    /// A modulus spans a whole block of half its size.
    const BLOCK: usize = 128;
    /// So many different values are among 64 random bytes in all but one of ten thousand cases (the mean is 57).
    const RANDOM: u32 = 48;
    /// Blocks at either end of a random run that are looked at: a key of 4096 bits, its id and a self-test signature.
    const END: usize = 10;
    /// Hashes in all, about a millisecond of them: code has few random blocks, and this is for what has many.
    const MAX_HASHES: usize = 4096;
    let sizes = [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096].map(|size| (size, Spki::of(size)));
    let random: Vec<bool> =
        plain.as_chunks::<BLOCK>().0.iter().map(|block| different(block) >= RANDOM).collect();
    let mut from = 0;
    let ends = random.chunk_by(|one, other| one == other).flat_map(|run| {
        let whole = from..from + run.len();
        from = whole.end;
        let near_an_end = move |block: &usize| block - whole.start < END || whole.end - block <= END;
        (whole.end - run.len()..whole.end).filter(near_an_end).filter(|_| run[0])
    });
    // Every offset at which a modulus, an array of words, would have this block as its first whole one.
    let starts = ends.flat_map(|block| {
        let at = block * BLOCK;
        ((at + 1).saturating_sub(BLOCK).next_multiple_of(align_of::<u32>())..=at).step_by(align_of::<u32>())
    });
    let candidates = starts.flat_map(|start| {
        sizes.iter().filter_map(move |(size, spki)| Some((start, spki, Candidate::at(plain, start, *size)?)))
    });
    let mut buffer = Vec::new();
    for (start, spki, candidate) in candidates.take(MAX_HASHES) {
        if let Some(key) = candidate.key(spki, &mut buffer) {
            add(&mut found.keys, &key, Form::ModulusLittleEndian, start);
        }
    }
}

/// Bytes that may be a key in the form of `otaseal-device`.
struct Candidate<'a> {
    /// Least significant byte first.
    modulus: &'a [u8],
    id_after: Option<&'a [u8]>,
    id_before: Option<&'a [u8]>,
}

impl<'a> Candidate<'a> {
    /// A number that can be a modulus, with something beside it that can be its key id.
    fn at(plain: &'a [u8], start: usize, size: KeySize) -> Option<Self> {
        let end = start + size.bytes();
        let modulus = plain.get(start..end)?;
        if modulus[0] & 1 == 0 || modulus[size.bytes() - 1] >> 7 == 0 {
            return None;
        }
        // Cheaper than the hash: an id is as random as the rest.
        let random = |id: &&[u8]| memchr::memchr_iter(0, id).count() < 4;
        let id_after = plain.get(end..end + 32).filter(random);
        let id_before = start.checked_sub(32).and_then(|from| plain.get(from..start)).filter(random);
        (id_after.is_some() || id_before.is_some()).then_some(Self { modulus, id_after, id_before })
    }

    /// The key, where one of the ids is its own.
    fn key(&self, spki: &Spki, buffer: &mut Vec<u8>) -> Option<PublicKey> {
        let id = spki.key_id(self.modulus.iter().rev(), buffer);
        let proved = [self.id_after, self.id_before].into_iter().flatten().any(|bytes| bytes == id.0);
        proved.then(|| PublicKey::from_bytes(buffer).ok()).flatten()
    }
}

/// Finds the keys beside one that was found in the form of `otaseal-device`: a device that trusts several has them in
/// one array, each a modulus and a key id.
fn key_set(plain: &[u8], found: &mut Search) {
    const ID: usize = 32;
    let is_device_form = |key: &&Located| key.form == Form::ModulusLittleEndian;
    let mut next: Vec<_> = found.keys.iter().filter(is_device_form).cloned().collect();
    let mut buffer = Vec::new();
    while let Some(Located { key, offset, .. }) = next.pop() {
        let (size, spki) = (key.size(), Spki::of(key.size()));
        let stride = size.bytes() + ID;
        for start in [offset.checked_sub(stride), Some(offset + stride)].into_iter().flatten() {
            let neighbour = Candidate::at(plain, start, size).and_then(|it| it.key(&spki, &mut buffer));
            let Some(key) = neighbour else { continue };
            let known = found.keys.len();
            add(&mut found.keys, &key, Form::ModulusLittleEndian, start);
            next.extend_from_slice(&found.keys[known..]);
        }
    }
}

/// How many different values half of the bytes have.
fn different(block: &[u8; 128]) -> u32 {
    let mut seen = [0u64; 4];
    for byte in block.iter().step_by(2) {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|word| word.count_ones()).sum()
}
