//! The public keys in an image: which there are, which of them signed it, and what `otaseal package` says of it.

use super::super::KeyInfo;
use crate::cmd::judged::{self, Judged};
use crate::error::Failure;
use otaseal::format::image::Content;
use otaseal::key::PublicKey;
use otaseal::policy::Policy;
use otaseal::policy::continuity::{self, Form};
use otaseal::sign::Scheme;
use otaseal::sign::verify::{JudgeError, judge};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek};

/// The public keys in a plain image. Its devices judge the next update with them.
#[derive(Debug, Serialize)]
pub(super) struct Carried {
    keys: Vec<Key>,
    /// What `otaseal package` says of the plain image.
    package: Judged,
}

#[derive(Debug, Serialize)]
struct Key {
    #[serde(flatten)]
    info: KeyInfo,
    form: Form,
    /// Its offset in the plain image, in bytes.
    offset: usize,
    /// Whether it made the signature of the image. Absent without a signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_it: Option<bool>,
    #[serde(skip)]
    key: PublicKey,
}

impl Carried {
    /// Looks for keys in a plain image. The user has named `known` keys, which count in every form. `package` signs with
    /// one of them, or with a key that is in the image.
    pub(super) fn of(plain: &[u8], known: &[PublicKey]) -> Result<Self, Failure> {
        let found = continuity::search(plain, &known.iter().collect::<Vec<_>>()).keys;
        let keys = found.into_iter().map(|located| Key {
            info: KeyInfo::of(&located.key),
            form: located.form,
            offset: located.offset,
            signed_it: None,
            key: located.key,
        });
        let policy = Policy::default();
        let judge = |signer: Option<&PublicKey>| {
            let gate = policy.open(signer.map(|key| key as _))?;
            Ok::<_, Failure>(judged::build("the image", plain.to_vec(), None, Content::Firmware, &gate))
        };
        let mut package = judge(known.first())?;
        for key in known.iter().skip(1) {
            if matches!(package, Judged::Takes { .. }) {
                break;
            }
            package = judge(Some(key))?;
        }
        Ok(Self { keys: keys.collect(), package })
    }

    /// Finds out which of the keys signed the image.
    pub(super) fn find_signer(&mut self, image: &mut File, length: u64) -> io::Result<()> {
        for key in &mut self.keys {
            let mut signed = false;
            for scheme in [Scheme::Pkcs1v15Sha256, Scheme::Legacy] {
                image.rewind()?;
                signed |= match judge(image, usize::try_from(length).ok(), &key.key, scheme) {
                    Ok(_) => true,
                    Err(JudgeError::Rejected(_)) => false,
                    Err(JudgeError::Read(error)) => return Err(error),
                };
            }
            key.signed_it = Some(signed);
        }
        Ok(())
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keys.is_empty() {
            writeln!(f, "carries  no public key")?;
        }
        for Key { info, form, offset, signed_it, .. } in &self.keys {
            let form = match form {
                Form::Pem => "PEM",
                Form::SpkiDer => "SPKI DER",
                Form::Pkcs1Der => "PKCS#1 DER",
                Form::ModulusBigEndian => "bare modulus, big-endian",
                Form::ModulusLittleEndian => "bare modulus, little-endian",
                _ => "another form",
            };
            let signed = if *signed_it == Some(true) { ", signed this image" } else { "" };
            let published = if info.published_at.is_some() { ", published" } else { "" };
            writeln!(f, "carries  {info}, {form} at {offset:#x}{published}{signed}")?;
        }
        if !self.keys.is_empty() && self.keys.iter().all(|key| key.signed_it == Some(false)) {
            writeln!(f, "         another key signed this image, or its signature is damaged")?;
        }
        write!(f, "package  {}", self.package)
    }
}
