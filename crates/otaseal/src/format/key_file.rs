//! Recognises the kind of a key file, before any code trusts its contents.
//!
//! One function, `classify`, looks at the bytes and names the container. The loaders of [`crate::key`] and the
//! `inspect` command both ask it, so that a file has the same name everywhere.

mod pem;

use self::pem::{Block, mentions_a_block, next_block};
use super::secret::SecretBytes;
use rsa::pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use rsa::pkcs8::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use rsa::pkcs8::der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use rsa::pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use std::io::{self, Read};
use zeroize::Zeroizing;

/// Largest key file that otaseal reads, in bytes. An RSA-4096 private key in PEM has about 3,300.
pub const MAX_KEY_FILE: usize = 64 * 1024;

/// rsaEncryption, RFC 8017 appendix C.
const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-RSASSA-PSS, RFC 8017 appendix C: such a key must not be used with PKCS#1 v1.5.
const OID_RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// id-ecPublicKey, RFC 5480 section 2.1.1.
const OID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// data and signedData, RFC 5652 sections 4 and 5.1: the content of a PKCS#12 file.
const OID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const OID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// The encoding of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Armor {
    /// Base64 between `-----BEGIN …-----` lines (RFC 7468).
    Pem,
    /// Bare ASN.1 DER.
    Der,
}

/// The content of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyFileKind {
    /// `PRIVATE KEY`: PKCS#8 (RFC 5958) with an RSA key.
    Pkcs8Private,
    /// `RSA PRIVATE KEY`: PKCS#1 (RFC 8017 A.1.2).
    Pkcs1Private,
    /// `PUBLIC KEY`: SPKI (RFC 5280 4.1.2.7) with an RSA key.
    SpkiPublic,
    /// `RSA PUBLIC KEY`: PKCS#1 (RFC 8017 A.1.1).
    Pkcs1Public,
    /// `ENCRYPTED PRIVATE KEY`: PKCS#8 under a passphrase.
    EncryptedPkcs8,
    /// `RSA PRIVATE KEY` with `Proc-Type: 4,ENCRYPTED`: OpenSSL's old form (RFC 1421 headers).
    EncryptedTraditional,
    /// An elliptic-curve private key (SEC 1 or PKCS#8).
    EcPrivate,
    /// An elliptic-curve public key.
    EcPublic,
    /// An RSA key that may be used for RSASSA-PSS only.
    RsaPss,
    /// A private or public key of another algorithm (Ed25519, DSA, …).
    OtherAlgorithm,
    /// An X.509 certificate.
    Certificate,
    /// A PKCS#10 certificate request.
    CertificateRequest,
    /// `OPENSSH PRIVATE KEY`.
    OpensshPrivate,
    /// An `ssh-rsa AAAA…` line.
    OpensshPublic,
    /// A PKCS#12 file (RFC 7292): keys and certificates in one container.
    Pkcs12,
    /// PEM in UTF-16, as Windows editors and PowerShell write it.
    Utf16,
    /// The base64 of a PEM file, as secret stores keep it.
    Base64OfPem,
    /// PEM with another label.
    OtherPem,
}

impl KeyFileKind {
    /// Returns its name in a sentence, with its article.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Pkcs8Private => "an RSA private key (PKCS#8)",
            Self::Pkcs1Private => "an RSA private key (PKCS#1)",
            Self::SpkiPublic => "an RSA public key (SPKI)",
            Self::Pkcs1Public => "an RSA public key (PKCS#1)",
            Self::EncryptedPkcs8 => "an encrypted private key (PKCS#8)",
            Self::EncryptedTraditional => "an encrypted private key (OpenSSL's traditional form)",
            Self::EcPrivate => "an elliptic-curve private key",
            Self::EcPublic => "an elliptic-curve public key",
            Self::RsaPss => "an RSA key restricted to PSS",
            Self::OtherAlgorithm => "a key of another algorithm than RSA",
            Self::Certificate => "a certificate",
            Self::CertificateRequest => "a certificate request",
            Self::OpensshPrivate => "an OpenSSH private key",
            Self::OpensshPublic => "an OpenSSH public key",
            Self::Pkcs12 => "a PKCS#12 file",
            Self::Utf16 => "a PEM file in UTF-16",
            Self::Base64OfPem => "the base64 of a PEM file",
            Self::OtherPem => "a PEM file that is no key",
        }
    }

    /// Returns whether the file holds secret bytes. Such a file is never copied into an output.
    pub fn is_private(self) -> bool {
        matches!(
            self,
            Self::Pkcs8Private
                | Self::Pkcs1Private
                | Self::EncryptedPkcs8
                | Self::EncryptedTraditional
                | Self::EcPrivate
                | Self::OpensshPrivate
                | Self::Pkcs12
                | Self::Utf16
                | Self::Base64OfPem
        )
    }
}

/// Reads a key file: at most one byte more than [`MAX_KEY_FILE`], to see that it is too large without holding all of
/// it. The bytes never move without being wiped: a vector that grows would leave copies of the key in freed memory.
///
/// # Errors
/// Any error of the reader.
pub fn read(mut reader: impl Read) -> io::Result<SecretBytes> {
    /// More bytes than a usual key file has.
    const USUAL: usize = 8 * 1024;
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL + SPARE));
    reader.by_ref().take(USUAL as u64).read_to_end(&mut bytes)?;
    if bytes.len() == USUAL {
        let mut larger = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE + SPARE));
        larger.extend_from_slice(&bytes);
        reader.take((MAX_KEY_FILE + 1 - USUAL) as u64).read_to_end(&mut larger)?;
        bytes = larger;
    }
    Ok(SecretBytes::new(bytes))
}

/// Free bytes that `read_to_end` wants when it has read everything. Without them it grows the vector.
const SPARE: usize = 32;

/// The kind of a key file, without its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Recognised {
    /// The content.
    #[serde(rename = "holds")]
    pub kind: KeyFileKind,
    /// The encoding.
    pub armor: Armor,
}

impl std::fmt::Display for Recognised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.describe())
    }
}

/// A key file with its DER, which is wiped on drop.
pub(crate) struct KeyFile {
    pub(crate) kind: KeyFileKind,
    armor: Armor,
    pub(crate) der: Zeroizing<Vec<u8>>,
    /// The `DEK-Info` header of OpenSSL's traditional form. If it exists, all of `der` is encrypted.
    pub(crate) dek_info: Option<String>,
}

/// A PEM block that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DamagedPem;

/// Why a file with PEM in it gives no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFile {
    pub(crate) why: Bad,
    /// The kind of the block that would have been taken, if it were whole. Handle the file like one of that kind.
    holds: Option<KeyFileKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Damaged,
    /// The file has more than one private key. Whichever was taken could be the wrong one.
    Ambiguous,
}

impl BadFile {
    fn new(why: Bad, block: Option<&Block<'_>>) -> Self {
        Self { why, holds: block.and_then(|block| from_pem(block).ok()).map(|file| file.kind) }
    }
}

/// Names the content of a key file. Returns `None` if it is no key file at all, and `Err` if it is damaged PEM.
///
/// PEM counts only in a file that is text: a firmware that embeds a PEM key is a firmware.
///
/// If there are several blocks, the one private key counts, wherever it stands: `openssl pkcs12 -nodes` writes the
/// certificate first. If there is no private key, the first block counts that is not `EC PARAMETERS`, which
/// `openssl ecparam -genkey` writes first.
pub(crate) fn classify(bytes: &[u8]) -> Result<Option<KeyFile>, BadFile> {
    if bytes.len() > MAX_KEY_FILE {
        return Ok(None);
    }
    if let Some(kind) = in_other_clothes(bytes) {
        return Ok(Some(KeyFile { kind, armor: Armor::Pem, der: Zeroizing::default(), dek_info: None }));
    }
    let text = if is_text(bytes) { bytes } else { &[] };
    let mut rest = text;
    let (mut first, mut private) = (None, None);
    loop {
        let next = next_block(rest)
            .map_err(|DamagedPem| BadFile::new(Bad::Damaged, private.as_ref().or(first.as_ref())))?;
        let Some(block) = next else { break };
        rest = block.after;
        if block.label.ends_with("PRIVATE KEY") {
            if private.is_some() {
                return Err(BadFile::new(Bad::Ambiguous, private.as_ref()));
            }
            private = Some(block);
        } else if first.is_none() && block.label != "EC PARAMETERS" {
            first = Some(block);
        }
    }
    if let Some(block) = private.or(first) {
        return from_pem(&block).map(Some).map_err(|DamagedPem| BadFile::new(Bad::Damaged, None));
    }
    if mentions_a_block(text) {
        return Err(BadFile::new(Bad::Damaged, None));
    }
    Ok(classify_der(bytes).map(|kind| KeyFile {
        kind,
        armor: Armor::Der,
        der: Zeroizing::new(bytes.to_vec()),
        dek_info: None,
    }))
}

/// Returns whether a file is text, in any encoding that has ASCII in it: the words around a PEM block may be in Latin-1.
/// A program has zero bytes.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
}

/// Names a key whose text is not PEM itself.
fn in_other_clothes(bytes: &[u8]) -> Option<KeyFileKind> {
    const BEGIN: &str = "-----BEGIN ";
    /// The base64 of `-----BEGIN `, as far as its last characters do not depend on the label.
    const BASE64_OF_BEGIN: &[u8] = b"LS0tLS1CRUdJTi";
    if bytes.starts_with(b"ssh-rsa ") {
        return Some(KeyFileKind::OpensshPublic);
    }
    if bytes.trim_ascii_start().starts_with(BASE64_OF_BEGIN) {
        return Some(KeyFileKind::Base64OfPem);
    }
    let has_begin = |wide: fn(u16) -> [u8; 2]| {
        let begin: Vec<u8> = BEGIN.encode_utf16().flat_map(wide).collect();
        memchr::memmem::find(bytes, &begin).is_some()
    };
    let is_utf_16 = match bytes {
        [0xFF, 0xFE, ..] | [b'-', 0, ..] => has_begin(u16::to_le_bytes),
        [0xFE, 0xFF, ..] | [0, b'-', ..] => has_begin(u16::to_be_bytes),
        _ => false,
    };
    is_utf_16.then_some(KeyFileKind::Utf16)
}

/// Names the kind of a key file. If it holds several private keys, the first one counts. Returns `None` if it is no key
/// file, or damaged from the start. Secret bytes are looked at and wiped.
pub fn recognise(bytes: &[u8]) -> Option<Recognised> {
    match classify(bytes) {
        Ok(file) => file.map(|file| Recognised { kind: file.kind, armor: file.armor }),
        Err(bad) => bad.holds.map(|kind| Recognised { kind, armor: Armor::Pem }),
    }
}

fn from_pem(block: &Block<'_>) -> Result<KeyFile, DamagedPem> {
    let bare = |kind| Ok(KeyFile { kind, armor: Armor::Pem, der: Zeroizing::default(), dek_info: None });
    match block.label {
        "RSA PRIVATE KEY" if memchr::memmem::find(block.text, b"Proc-Type: 4,ENCRYPTED").is_some() => {
            return traditional(block);
        }
        "EC PRIVATE KEY" => return bare(KeyFileKind::EcPrivate),
        "EC PUBLIC KEY" => return bare(KeyFileKind::EcPublic),
        "DSA PRIVATE KEY" => return bare(KeyFileKind::OtherAlgorithm),
        "OPENSSH PRIVATE KEY" => return bare(KeyFileKind::OpensshPrivate),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            return bare(KeyFileKind::Certificate);
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            return bare(KeyFileKind::CertificateRequest);
        }
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" | "RSA PRIVATE KEY" | "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        _ => return bare(KeyFileKind::OtherPem),
    }
    let der = block.decode(block.lines()?)?;
    let kind = match block.label {
        "RSA PRIVATE KEY" => KeyFileKind::Pkcs1Private,
        "RSA PUBLIC KEY" => KeyFileKind::Pkcs1Public,
        "ENCRYPTED PRIVATE KEY" => KeyFileKind::EncryptedPkcs8,
        "PRIVATE KEY" => pkcs8_kind(&der).ok_or(DamagedPem)?,
        _ => spki_kind(&der).ok_or(DamagedPem)?,
    };
    Ok(KeyFile { kind, armor: Armor::Pem, der, dek_info: None })
}

/// The identifier of SHA-256 without parameters, in DER: RFC 8017, appendix B.1.
const SHA256: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";

/// Reads `Proc-Type` and `DEK-Info` (RFC 1421 section 4.6.1), an empty line, and the encrypted key in base64.
fn traditional(block: &Block<'_>) -> Result<KeyFile, DamagedPem> {
    let mut headers = block.lines()?.take_while(|line| !line.is_empty());
    let dek_info = headers.find_map(|line| line.strip_prefix("DEK-Info:")).ok_or(DamagedPem)?;
    let body = block.lines()?.skip_while(|line| !line.is_empty());
    let (der, dek_info) = (block.decode(body)?, Some(dek_info.trim().into()));
    Ok(KeyFile { kind: KeyFileKind::EncryptedTraditional, armor: Armor::Pem, der, dek_info })
}

/// Names a key that was decrypted. Returns `None` if it is no private key.
pub(crate) fn unlocked(der: Zeroizing<Vec<u8>>) -> Option<KeyFile> {
    let kind = pkcs8_kind(&der)
        .or_else(|| RsaPrivateKeyRef::from_der(&der).is_ok().then_some(KeyFileKind::Pkcs1Private))?;
    Some(KeyFile { kind, armor: Armor::Der, der, dek_info: None })
}

fn classify_der(bytes: &[u8]) -> Option<KeyFileKind> {
    if bytes.first() != Some(&0x30) {
        return None;
    }
    if let Some(kind) = pkcs8_kind(bytes).or_else(|| spki_kind(bytes)) {
        return Some(kind);
    }
    if RsaPrivateKeyRef::from_der(bytes).is_ok() {
        return Some(KeyFileKind::Pkcs1Private);
    }
    if RsaPublicKeyRef::from_der(bytes).is_ok() {
        return Some(KeyFileKind::Pkcs1Public);
    }
    other_sequence(bytes)
}

fn pkcs8_kind(der: &[u8]) -> Option<KeyFileKind> {
    let info = PrivateKeyInfoRef::from_der(der).ok()?;
    Some(match info.algorithm.oid {
        OID_RSA => KeyFileKind::Pkcs8Private,
        OID_RSA_PSS => KeyFileKind::RsaPss,
        OID_EC => KeyFileKind::EcPrivate,
        _ => KeyFileKind::OtherAlgorithm,
    })
}

fn spki_kind(der: &[u8]) -> Option<KeyFileKind> {
    let (algorithm, _) = spki(der)?;
    Some(match algorithm.oid {
        OID_RSA => KeyFileKind::SpkiPublic,
        OID_RSA_PSS => KeyFileKind::RsaPss,
        OID_EC => KeyFileKind::EcPublic,
        _ => KeyFileKind::OtherAlgorithm,
    })
}

/// Returns the algorithm and the key bits of a SubjectPublicKeyInfo.
pub(crate) fn spki(der: &[u8]) -> Option<(AlgorithmIdentifierRef<'_>, BitStringRef<'_>)> {
    let info = rsa::pkcs8::SubjectPublicKeyInfoRef::from_der(der).ok()?;
    Some((info.algorithm, info.subject_public_key))
}

/// Tells an encrypted private key, a SEC 1 private key, a certificate and a certificate request apart by their
/// outermost fields.
fn other_sequence(der: &[u8]) -> Option<KeyFileKind> {
    let outer = AnyRef::from_der(der).ok()?;
    let mut fields = SliceReader::new(outer.value()).ok()?;
    let first = AnyRef::decode(&mut fields).ok()?;
    let second = AnyRef::decode(&mut fields).ok()?;
    // RFC 7292 section 4: version 3, then a ContentInfo of PKCS#7.
    if first.tag() == Tag::Integer && first.value() == [3] && second.tag() == Tag::Sequence {
        let mut content = SliceReader::new(second.value()).ok()?;
        let kind = ObjectIdentifier::decode(&mut content).ok()?;
        return matches!(kind, OID_DATA | OID_SIGNED_DATA).then_some(KeyFileKind::Pkcs12);
    }
    if second.tag() == Tag::OctetString {
        return match first.tag() {
            // SEC 1 C.4: version 1, then the key.
            Tag::Integer if first.value() == [1] => Some(KeyFileKind::EcPrivate),
            // A DigestInfo has the same form. A hash encrypts nothing: RFC 8017, section 9.2, note 1.
            Tag::Sequence if first.value() == SHA256 => None,
            // RFC 5958 section 3: the algorithm, then the encrypted key, and nothing else.
            Tag::Sequence if fields.is_finished() => Some(KeyFileKind::EncryptedPkcs8),
            _ => None,
        };
    }
    // RFC 5280 4.1 and RFC 2986 4.2: the signed part, the algorithm, the signature as BIT STRING.
    let third = AnyRef::decode(&mut fields).ok()?;
    let signed = first.tag() == Tag::Sequence && second.tag() == Tag::Sequence;
    if !signed || third.tag() != Tag::BitString || !fields.is_finished() {
        return None;
    }
    // A certificate starts with a [0] version or with the serial number, and has six fields or more. A request starts
    // with version 0 and has four fields, the last of them [0] attributes.
    let mut inner = SliceReader::new(first.value()).ok()?;
    let mut last = AnyRef::decode(&mut inner).ok()?;
    let mut count = 1;
    while !inner.is_finished() {
        last = AnyRef::decode(&mut inner).ok()?;
        count += 1;
    }
    let attributes = last.tag().to_der().ok()? == [0xA0];
    Some(if count <= 4 && attributes { KeyFileKind::CertificateRequest } else { KeyFileKind::Certificate })
}
