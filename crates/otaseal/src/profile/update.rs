//! An update for one device: the facts that do not depend on the way of delivery, each computed once.

use std::borrow::Cow;
use std::cell::OnceCell;

use otaseal_device::{Reject, layout};

use super::eboot::Unpacked;
use super::{Assumption, Behaviour, Device, GzipSupport, Reason, SignatureCheck, Verdict, errors};
use crate::format::image::{self, Content, Esp8266File, Kind, esp8266::FlashMode};
use crate::key::PublicKey;
use crate::sign::{Scheme, bearssl, verify};

/// A file on its way to a device.
pub(super) struct Update<'a> {
    pub(super) image: &'a [u8],
    pub(super) device: &'a Device<'a>,
    pub(super) behaviour: Behaviour,
    patched: Cow<'a, [u8]>,
    payload: OnceCell<Result<usize, Verdict>>,
    unpacked: OnceCell<Result<Unpacked, Verdict>>,
    kind: OnceCell<Kind>,
}

/// What one way of delivery found.
#[derive(Default)]
pub(super) struct Course {
    pub(super) passed: Vec<&'static str>,
    pub(super) assumed: Vec<Assumption>,
}

impl Course {
    pub(super) fn passed(&mut self, step: &'static str) {
        self.passed.push(step);
    }

    pub(super) fn assume(&mut self, what: Assumption) {
        if !self.assumed.contains(&what) {
            self.assumed.push(what);
        }
    }
}

impl<'a> Update<'a> {
    pub(super) fn new(image: &'a [u8], device: &'a Device<'a>) -> Self {
        let behaviour = device.profile.behaviour();
        Self {
            image,
            device,
            behaviour,
            patched: patched(image, device, &behaviour),
            payload: OnceCell::new(),
            unpacked: OnceCell::new(),
            kind: OnceCell::new(),
        }
    }

    /// The kind of the file, as it was built: without its trailer, whose bytes are no part of a cut image. An image that
    /// fills the file to its end has no trailer, whatever its last bytes look like.
    pub(super) fn kind(&self) -> &Kind {
        self.kind.get_or_init(|| {
            let image = self.image;
            let whole = image::identify(image);
            let fills = |file: &Esp8266File| file.is_intact() && file.end() == Some(image.len());
            match image::trailer_of(image) {
                Some(guess) if !matches!(&whole, Kind::Esp8266(file) if fills(file)) => {
                    image::identify(&image[..image.len() - layout::trailer_len(guess.signature_len)])
                }
                _ => whole,
            }
        })
    }

    /// Whether the Updater changes byte 2 of the file while it writes.
    pub(super) fn is_patched(&self) -> bool {
        self.patched != self.image
    }

    /// Verifies the signature over the stored bytes, and returns the payload.
    pub(super) fn payload(&self) -> Result<&[u8], Verdict> {
        let length = self.payload.get_or_init(|| self.verified()).clone()?;
        Ok(&self.patched[..length])
    }

    /// The bytes that the boot loader finds. Older cores leave the trailer in place.
    pub(super) fn stored(&self) -> &[u8] {
        match self.payload.get() {
            Some(Ok(length)) if self.behaviour.gzip == GzipSupport::Works => &self.patched[..*length],
            _ => &self.patched,
        }
    }

    /// Inflates the stored gzip as the boot loader does.
    pub(super) fn unpacked(&self) -> Result<&Unpacked, Verdict> {
        let made = self.unpacked.get_or_init(|| Unpacked::of(self.stored(), self.device.profile.verifies()));
        made.as_ref().map_err(Clone::clone)
    }

    /// The device hashes the image after it patched the flash mode. So if the device's mode is unknown, this assumes
    /// the image's.
    pub(super) fn assumed_flash_mode(&self) -> Option<Assumption> {
        let (None, [0xE9, _, byte, ..]) = (self.device.flash_mode, self.image) else { return None };
        FlashMode::from_byte(*byte).map(Assumption::FlashModeOfImage)
    }

    fn verified(&self) -> Result<usize, Verdict> {
        let refuse = |reason| errors::refuse(&self.behaviour, errors::ERROR_SIGN, reason);
        let stored = &*self.patched;
        let scheme = match self.behaviour.signature {
            SignatureCheck::Legacy => Scheme::Legacy,
            _ => Scheme::Pkcs1v15Sha256,
        };
        let guess = image::trailer_of(stored);
        let Some(key) = self.device.key else {
            return match guess {
                None => refuse(Reason::NotSigned { key_given: false }),
                Some(_) => Err(Verdict::Unknown { reason: Reason::KeyNotGiven { may_check_nothing: true } }),
            };
        };
        let payload_len = match verify::judge_bytes(stored, key, scheme) {
            Ok(accepted) => accepted.payload_len,
            Err(reject) => {
                match bearssl::signed_without_null(stored, key).filter(|_| scheme == Scheme::Pkcs1v15Sha256) {
                    Some(payload_len) => payload_len,
                    None => return refuse(self.why_rejected(key, scheme, guess.is_some(), reject)),
                }
            }
        };
        if self.behaviour.needs_aligned_payload && !payload_len.is_multiple_of(4) {
            return refuse(Reason::Misaligned { payload_len });
        }
        Ok(payload_len)
    }

    fn why_rejected(&self, key: &PublicKey, scheme: Scheme, signed: bool, reject: Reject) -> Reason {
        if !signed {
            return Reason::NotSigned { key_given: true };
        }
        let other = match scheme {
            Scheme::Pkcs1v15Sha256 => Scheme::Legacy,
            Scheme::Legacy => Scheme::Pkcs1v15Sha256,
        };
        if self.is_patched() && verify::judge_bytes(self.image, key, scheme).is_ok() {
            return match self.device.flash_mode {
                Some(mode) => Reason::FlashModeHashed { image: self.image[2], device: mode.byte() },
                None => Reason::NoFlashMode { byte: self.image[2] },
            };
        }
        if verify::judge_bytes(&self.patched, key, other).is_ok() {
            return Reason::OtherScheme { expected: scheme };
        }
        Reason::Rejected(reject)
    }
}

/// `Updater::_writeBuffer`: on its way to the flash, byte 2 of a file becomes the device's flash mode, unless the first
/// byte is that of a gzip, or the file is for the filesystem. A byte above 3 is no mode of any device, so the device
/// changes it whichever mode it has.
fn patched<'a>(image: &'a [u8], device: &Device<'_>, behaviour: &Behaviour) -> Cow<'a, [u8]> {
    let mut patched = Cow::Borrowed(image);
    let is_program = device.content == Content::Firmware;
    if !is_program || !behaviour.patches_flash_mode || image.first() == Some(&0x1F) {
        return patched;
    }
    let Some(&byte) = image.get(2) else { return patched };
    let mode = match (device.flash_mode, FlashMode::from_byte(byte)) {
        (Some(mode), _) => mode,
        (None, Some(_)) => return patched,
        (None, None) => FlashMode::Dio,
    };
    if byte != mode.byte() {
        patched.to_mut()[2] = mode.byte();
    }
    patched
}
