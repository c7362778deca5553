//! Judges images, and gives permits to sign them. There is no other way to sign an image.
//!
//! A [`Gate`] has judged the key and the ledger. It judges an image and gives a [`Permit`]. Only a permit signs, and
//! only the bytes that were judged.

use super::continuity::{self, Continuity, ContinuityError, Rule, WithoutKey};
use super::guard::{self, Expected, GuardError, ImageFinding, Permitted};
use super::lint::{self, Finding};
use super::{NeedsKey, Policy, Purpose};
use crate::format::digest::{Sha256Digest, sha256};
use crate::format::gzip::{self, lint as gzip_lint};
use crate::format::homie::{self, TokenError, Tokens};
use crate::format::layers::{Encoding, MAX_IMAGE, Payload};
use crate::key::PublicKey;
use crate::ledger::{self, Appended, Entry, LedgerError, NamedDigest};
use crate::profile::Verdict;
use crate::sign::{self, AlreadySigned, Output, Scheme, SignError, Signed, SignedImage, Signer, check_input};
use otaseal_device::PayloadKind;
use otaseal_device::layout::LENGTH_FIELD_LEN;
use otaseal_device::metadata::MetadataBlock;
use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom};

/// Why the policy permits no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A release without a ledger.
    #[error("a release needs a ledger of what was signed")]
    NoLedger,
    /// The ledger is broken, or otaseal could not write it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The key is unfit for a release.
    #[error(transparent)]
    KeyRefused(#[from] lint::Refused),
    /// The key or the image is not the expected one, or the image is damaged.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The keys in the image are not what they must be.
    #[error(transparent)]
    Continuity(#[from] ContinuityError),
    /// The Homie tokens in the image contradict each other, or are damaged.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// A boot loader that inflates this gzip bricks the device.
    #[error("{0}")]
    Gzip(gzip_lint::GzipFinding),
    /// No device that was named accepts the signed image.
    #[error("no device accepts the signed image: {}", reasons.join("; "))]
    NoDevice {
        /// The verdict of each kind of device.
        reasons: Vec<String>,
    },
    /// The payload does not hold the image that was judged.
    #[error("the payload holds another image than the one that was judged")]
    OtherPayload,
    /// There is no key, and one must sign.
    #[error("a key must sign, because {0}")]
    KeyNeeded(NeedsKey),
    /// The gate has no signer: it only judges.
    #[error("there is no key to sign with")]
    NoSigner,
    /// The image could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Bytes for which somebody wants a signature.
pub struct Candidate<'a> {
    bytes: Bytes<'a>,
    build: Option<Sha256Digest>,
    every_key: bool,
}

enum Bytes<'a> {
    Memory(Cow<'a, [u8]>),
    /// More than any firmware has.
    Stream(Box<dyn ReadSeek + 'a>),
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

impl<'a> Candidate<'a> {
    /// Bytes in memory.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { bytes: Bytes::Memory(bytes.into()), build: None, every_key: false }
    }

    /// A file from its start. A file above [`MAX_IMAGE`] is no firmware: otaseal streams it and looks less closely.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn read(mut file: impl Read + Seek + 'a) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        if length > MAX_IMAGE as u64 {
            return Ok(Self { bytes: Bytes::Stream(Box::new(file)), build: None, every_key: false });
        }
        let mut bytes = Vec::with_capacity(length as usize + 1);
        file.take(MAX_IMAGE as u64).read_to_end(&mut bytes)?;
        Ok(Self::new(bytes))
    }

    /// Names the digest of the build's file, where the image was taken out of one (an ELF or UF2): an expected SHA-256
    /// is that file's.
    #[must_use]
    pub fn of_build(self, sha256: Sha256Digest) -> Self {
        Self { build: Some(sha256), ..self }
    }

    /// Searches for every public key in the image. Otherwise the search may end at the key that signs: the whole search
    /// takes about as long as to sign, and without next keys or a release it changes no verdict.
    #[must_use]
    pub fn with_every_key(self) -> Self {
        Self { every_key: true, ..self }
    }
}

/// A policy whose key and ledger passed.
pub struct Gate<'a> {
    policy: &'a Policy,
    signer: Option<&'a dyn Signer>,
    rule: Rule,
    findings: Vec<Finding>,
    /// Whether the devices of the images check no signature, and nobody signs the images.
    unsigned: bool,
}

impl PolicyError {
    /// Whether this is a verdict on the ledger, and not a failure to read or write it.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Ledger(error) if error.is_verdict())
    }
}

impl Policy {
    /// Judges the key and the ledger, once for any number of images. Without a signer, or with a public key in its
    /// place, the gate judges images and signs none.
    ///
    /// # Errors
    /// [`PolicyError::Guard`] for another key than the expected one, [`PolicyError::KeyRefused`],
    /// [`PolicyError::NoLedger`], [`PolicyError::Ledger`].
    pub fn open<'a>(&'a self, signer: Option<&'a dyn Signer>) -> Result<Gate<'a>, PolicyError> {
        let mut findings = Vec::new();
        if let Some(signer) = signer {
            self.expect.check_key(signer.public_key())?;
            findings = lint::judge(lint::signing_key(signer.public_key(), signer.kept()), self.purpose)?;
        }
        if self.purpose == Purpose::Release {
            self.ledger.as_ref().ok_or(PolicyError::NoLedger)?.verify_once()?;
        }
        let rule = self.continuity.clone().for_purpose(self.purpose);
        Ok(Gate { policy: self, signer, rule, findings, unsigned: false })
    }

    /// Opens a gate for images that nobody signs. It judges images, and signs none.
    ///
    /// The images need no public key: their devices check no signature, and no image without a key changes that.
    ///
    /// # Errors
    /// [`PolicyError::KeyNeeded`], as [`Policy::needs_key`] decides.
    pub fn open_unsigned(&self) -> Result<Gate<'_>, PolicyError> {
        if let Some(why) = self.needs_key() {
            return Err(PolicyError::KeyNeeded(why));
        }
        let rule =
            Rule { without_key: WithoutKey::Allow, ..self.continuity.clone().for_purpose(self.purpose) };
        Ok(Gate { policy: self, signer: None, rule, findings: Vec::new(), unsigned: true })
    }
}

impl<'a> Gate<'a> {
    /// Returns findings about the key. None of them forbids this signature.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Judges an image, plain or in a gzip: not signed already, expected, undamaged, of the right kind, with the right
    /// keys in it, with Homie tokens that can be believed, and in no gzip that bricks a device. The order of the checks
    /// is the order of this list.
    ///
    /// # Errors
    /// [`PolicyError`] of the first check that fails.
    pub fn judge<'c>(&'c self, candidate: Candidate<'c>) -> Result<Permit<'c>, PolicyError> {
        let Candidate { bytes, build, every_key } = candidate;
        let payload = match bytes {
            Bytes::Memory(payload) => payload,
            Bytes::Stream(stream) => return self.judge_stream(stream),
        };
        check_input(tail(&payload), payload.len() as u64, self.policy.already_signed)?;
        if self.policy.expect.sha256.is_some() {
            self.policy.expect.check_build(build.unwrap_or_else(|| sha256(&payload)))?;
        }
        let plain = guard::plain_of(&payload);
        let &Policy { content, damaged, expect: Expected { flash_mode, ref board, .. }, .. } = self.policy;
        let tokens = plain.as_deref().map_or_else(|| Ok(Tokens::default()), homie::extract);
        let permitted =
            Permitted { content, damaged, flash_mode, board: board.as_ref(), tokens: tokens.as_ref().ok() };
        let findings = guard::check_plain(plain.as_ref(), permitted)?;
        if !matches!(plain, Some(Cow::Borrowed(_))) {
            continuity::check_wrapping(&payload)?;
        }
        let continuity = match plain.as_deref() {
            Some(plain) => {
                let rule = Rule { quick: !every_key, ..self.rule.clone() };
                let continuity = continuity::check(plain, content, self.signer, &rule)?;
                Some(if self.unsigned { continuity.of_unsigned() } else { continuity })
            }
            None => {
                self.unsearched("a gzip that cannot be inflated")?;
                None
            }
        };
        drop(plain);
        let tokens = tokens?;
        let gzip = lint_gzip(&payload)?;
        // Named devices are asked themselves. These findings are about devices that somebody may have.
        let (findings, gzip) =
            if self.policy.devices.profiles.is_empty() { (findings, gzip) } else { (Vec::new(), None) };
        Ok(Permit { gate: self, bytes: Bytes::Memory(payload), continuity, tokens, findings, gzip })
    }

    /// A stream is too large for firmware. otaseal looks only at its start, which must not be that of another kind of
    /// file. A boot loader reads the start of a gzip all the same.
    fn judge_stream<'c>(&'c self, mut stream: Box<dyn ReadSeek + 'c>) -> Result<Permit<'c>, PolicyError> {
        if self.policy.expect.flash_mode.is_some() {
            return Err(GuardError::NoFlashMode.into());
        }
        self.unsearched("larger than any firmware")?;
        let start = start(&mut stream).map_err(SignError::Read)?;
        guard::check_start(&start)?;
        let gzip = lint_gzip(&start)?;
        let (tokens, findings) = (Tokens::default(), Vec::new());
        Ok(Permit { gate: self, bytes: Bytes::Stream(stream), continuity: None, tokens, findings, gzip })
    }

    /// Refuses a release whose keys otaseal cannot look at.
    fn unsearched(&self, found: &str) -> Result<(), ContinuityError> {
        match self.rule.without_key {
            WithoutKey::Refuse => Err(ContinuityError::NoKey { found: found.into() }),
            _ => Ok(()),
        }
    }

    /// Returns the signer. The signatures of a stand-in never leave a dry run.
    fn signer(&self) -> Result<&'a dyn Signer, PolicyError> {
        let fits = |signer: &&dyn Signer| signer.stand_in().is_none() || self.policy.run.is_dry();
        self.signer.filter(fits).ok_or(PolicyError::NoSigner)
    }
}

fn tail(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(LENGTH_FIELD_LEN)..]
}

/// Returns as much of a gzip as a boot loader could take, or else the first bytes. The stream stands at its start
/// again.
fn start(stream: &mut dyn ReadSeek) -> io::Result<Vec<u8>> {
    /// Enough to recognise a format by, in bytes.
    const START: u64 = 64 << 10;
    let mut bytes = Vec::new();
    stream.take(START).read_to_end(&mut bytes)?;
    if PayloadKind::of(&bytes) == PayloadKind::Gzip {
        stream.take(MAX_IMAGE as u64).read_to_end(&mut bytes)?;
    }
    stream.rewind()?;
    Ok(bytes)
}

/// Finds a fault for which some cores refuse a gzip. A fault that bricks a device is an error.
fn lint_gzip(payload: &[u8]) -> Result<Option<gzip_lint::GzipFinding>, PolicyError> {
    if PayloadKind::of(payload) != PayloadKind::Gzip {
        return Ok(None);
    }
    match gzip_lint::lint(payload).objection() {
        Some(finding) if finding.severity() == gzip_lint::GzipSeverity::Bricks => {
            Err(PolicyError::Gzip(finding))
        }
        objection => Ok(objection),
    }
}

/// The right to a signature of the bytes that a [`Gate`] judged.
pub struct Permit<'g> {
    gate: &'g Gate<'g>,
    bytes: Bytes<'g>,
    continuity: Option<Continuity>,
    tokens: Tokens,
    findings: Vec<ImageFinding>,
    gzip: Option<gzip_lint::GzipFinding>,
}

/// The result of [`Permit::sign`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SignedOutputs {
    /// The signatures.
    pub signed: Signed,
    /// Their entries in the ledger.
    pub entered: Option<Appended>,
}

impl Permit<'_> {
    /// Returns the judged bytes, or `None` for a stream.
    pub fn payload(&self) -> Option<&[u8]> {
        match &self.bytes {
            Bytes::Memory(payload) => Some(payload),
            Bytes::Stream(_) => None,
        }
    }

    /// Returns the verdict on the public keys in the image, or `None` if otaseal could not search it.
    pub fn continuity(&self) -> Option<&Continuity> {
        self.continuity.as_ref()
    }

    /// Returns the Homie tokens in the image. There are none if otaseal could not search it.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Returns findings about the image: some devices refuse it. If the policy names devices, there are none.
    pub fn image_findings(&self) -> &[ImageFinding] {
        &self.findings
    }

    /// Returns the fault for which some cores refuse the gzip. If the policy names devices, there is none.
    pub fn gzip_finding(&self) -> Option<&gzip_lint::GzipFinding> {
        self.gzip.as_ref()
    }

    /// Signs the bytes that were judged into each output, verifies each with the code that runs on the device, and
    /// enters the signatures into the ledger. `input` is what the ledger calls the bytes. The outputs may get their
    /// names afterwards, not before.
    ///
    /// # Errors
    /// [`PolicyError`]; the outputs then hold something unfinished and must be thrown away.
    pub fn sign(&mut self, input: &str, outputs: &mut [Output<'_>]) -> Result<SignedOutputs, PolicyError> {
        let signer = self.gate.signer()?;
        let policy = self.gate.policy;
        let signed = match &mut self.bytes {
            Bytes::Memory(payload) => {
                let signed = sign::sign_bytes(payload, outputs, signer)?;
                ask_devices(policy, outputs, sign::judging_key(signer))?;
                signed
            }
            Bytes::Stream(stream) => sign::sign_stream(stream, outputs, signer, |tail, total, found| {
                check_input(tail, total, policy.already_signed)?;
                Ok::<_, PolicyError>(policy.expect.check_build(found)?)
            })?,
        };
        let entries: Vec<_> = outputs
            .iter()
            .zip(&signed.output_sha256)
            .map(|(output, sha256)| Entry {
                input: NamedDigest::new(input, signed.payload_len, signed.sha256),
                output: NamedDigest::new(&*output.name, signed.output_len(), *sha256),
                signature: output.scheme,
                key_id: signer.public_key().id(),
            })
            .collect();
        let entered = ledger::enter(policy.ledger.as_ref(), &entries)?;
        Ok(SignedOutputs { signed, entered })
    }

    /// Signs a payload that holds the plain image that was judged: the image itself, the image with a metadata block
    /// behind it, or the image in a gzip.
    ///
    /// # Errors
    /// [`PolicyError::OtherPayload`] when it holds anything else, [`PolicyError::Gzip`], [`PolicyError::Sign`].
    pub fn sign_payload<'p>(
        &self,
        payload: &'p Payload<'_>,
        scheme: Scheme,
    ) -> Result<SignedImage<'p>, PolicyError> {
        let judged = self.payload().ok_or(PolicyError::OtherPayload)?;
        let bytes = payload.bytes();
        if !holds(payload, judged) {
            return Err(PolicyError::OtherPayload);
        }
        lint_gzip(bytes)?;
        check_input(tail(bytes), bytes.len() as u64, AlreadySigned::Refuse)?;
        Ok(sign::sign_in_memory(bytes, scheme, self.gate.signer()?)?)
    }
}

/// Asks the named devices about each signed image. At least one device accepts at least one of the images, and an image
/// that nobody accepts is one that every device refuses by itself.
fn ask_devices(policy: &Policy, outputs: &mut [Output<'_>], key: &PublicKey) -> Result<(), PolicyError> {
    let Policy { devices, content, .. } = policy;
    if devices.profiles.is_empty() {
        return Ok(());
    }
    let (mut accepted, mut reasons) = (false, Vec::new());
    for Output { file, .. } in outputs.iter_mut() {
        let mut signed = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut signed)).and_then(|_| file.rewind());
        read.map_err(SignError::Write)?;
        let verdicts = devices.judge([&signed, &[]], *content, Some(key));
        if !verdicts.nobody_accepts() {
            accepted = true;
        } else if verdicts.refused.iter().any(|refusal| !matches!(refusal.verdict, Verdict::Refuses { .. })) {
            return Err(PolicyError::NoDevice { reasons: verdicts.reasons() });
        } else {
            reasons.extend(verdicts.reasons());
        }
    }
    if accepted { Ok(()) } else { Err(PolicyError::NoDevice { reasons }) }
}

/// Whether a payload holds exactly this plain image.
fn holds(payload: &Payload<'_>, image: &[u8]) -> bool {
    match payload.encoding() {
        Encoding::Gzip => gzip::gunzip(payload.bytes(), MAX_IMAGE).is_ok_and(|plain| plain == image),
        Encoding::Plain if payload.bytes() == image => true,
        Encoding::Plain => {
            let block = MetadataBlock::of_unverified(payload.bytes()).ok().flatten();
            let length = block.and_then(|block| usize::try_from(block.raw_len?).ok());
            length == Some(image.len()) && payload.bytes().starts_with(image)
        }
    }
}

#[cfg(test)]
mod tests;
