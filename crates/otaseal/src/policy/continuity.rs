//! Continuity: checks that the image still holds the public key with which its devices judge the next update.
//!
//! A build without a public key installs everywhere, and from then on every device takes any update from anybody. A
//! device with another key takes no update from this key any more. otaseal looks for both in the plain image before it
//! signs. [`search`] says which keys it finds.

mod der;
mod pem;
mod private;
mod scan;
mod text;

use crate::format::image::{self, Kind, uf2};
use crate::format::input::Input;
use crate::key::{KeyError, PublicKey};
use crate::policy::Purpose;
use crate::policy::guard::Content;
use crate::policy::lint::{self, Finding};
use crate::sign::Signer;
use otaseal_device::KeyId;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

pub use self::private::Private;
pub use self::scan::{Form, Located, Search, quick_search, search};

/// The rule for the public keys in an image.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// The keys that the devices trust from this image on, if they are not the key that signs. The image must hold each
    /// of them, and no other key besides the signer's.
    pub rotate_to: Vec<NextKey>,
    /// What otaseal does with an image without a key.
    pub without_key: WithoutKey,
    /// The purpose. A release must not make a device trust a key that is unfit for a release.
    pub(crate) purpose: Purpose,
    /// Whether the search ends at the key that signs. The search for further keys in the form of `otaseal-device` takes
    /// about as long as to sign. A release, and next keys, make it complete.
    pub(crate) quick: bool,
}

impl Rule {
    /// Returns the rule for a purpose. A release refuses what otherwise gets a warning, unless the rule allows it.
    #[must_use]
    pub(crate) fn for_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        if purpose == Purpose::Release && self.without_key == WithoutKey::Judge {
            self.without_key = WithoutKey::Refuse;
        }
        self
    }
}

/// The key that a release brings to the devices.
#[derive(Debug, Clone)]
pub enum NextKey {
    /// Its key id. It does not find a key of which the image holds the bare modulus alone.
    Id(KeyId),
    /// The key itself. It is found in every form.
    Key(PublicKey),
}

impl NextKey {
    /// Its key id.
    pub fn id(&self) -> KeyId {
        match self {
            Self::Id(id) => *id,
            Self::Key(key) => key.id(),
        }
    }
}

/// What otaseal does with an image that holds no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutKey {
    /// It refuses firmware, and warns of an unknown format and of a filesystem.
    #[default]
    Judge,
    /// It refuses everything but a filesystem: for a release.
    Refuse,
    /// It warns, because the user means it.
    Allow,
}

/// The verdict on the keys of an image that may be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Continuity {
    /// The image holds the key that signs it.
    Kept {
        /// Every key found, that one among them.
        keys: Vec<Located>,
    },
    /// The image holds the keys that were named as the next.
    Rotates {
        /// Their key ids.
        #[serde(serialize_with = "crate::key::id::serialize_list")]
        to: Vec<KeyId>,
        /// Every key found.
        keys: Vec<Located>,
    },
    /// Nobody signs the image, because its devices check no signature.
    Unsigned {
        /// Every key found. Devices that install the image check signatures by these keys from then on.
        keys: Vec<Located>,
    },
    /// The image holds no key. It may be no firmware, or the user means it.
    NoKey {
        /// Its kind, with the article.
        found: String,
    },
}

impl Continuity {
    /// The keys that were found.
    pub fn keys(&self) -> &[Located] {
        match self {
            Self::Kept { keys } | Self::Rotates { keys, .. } | Self::Unsigned { keys } => keys,
            Self::NoKey { .. } => &[],
        }
    }

    /// Returns the verdict on the same image, if nobody signs it.
    pub(super) fn of_unsigned(self) -> Self {
        match self {
            Self::Kept { keys } => Self::Unsigned { keys },
            Self::NoKey { .. } => Self::Unsigned { keys: Vec::new() },
            named => named,
        }
    }

    /// Returns the warnings for the user, as sentences without full stops.
    pub fn warnings(&self) -> Vec<String> {
        let without = match self {
            Self::NoKey { found } => Some(format!(
                "no public key was found in it ({found}): firmware without one does not check its next update"
            )),
            _ => None,
        };
        let unfit = self.keys().iter().flat_map(|key| {
            key.findings
                .iter()
                .map(|finding| format!("its devices will trust the key {}: {finding}", key.key_id))
        });
        without.into_iter().chain(unfit).collect()
    }
}

/// Why an image must not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContinuityError {
    /// A private key is in the image.
    #[error("it contains {}", .0)]
    PrivateKey(Private),
    /// Firmware without a key.
    #[error("there is no public key in it ({found}): this release switches signature checking off")]
    NoKey {
        /// Its kind, with the article.
        found: String,
    },
    /// Only other keys than the one that signs.
    #[error("it carries another key than the one that signs: {}, not {signer}", ids(found))]
    OtherKey {
        /// The keys found.
        found: Vec<Located>,
        /// The key that signs.
        signer: KeyId,
    },
    /// A key that no device may trust.
    #[error("its devices would trust the key {}: {finding}", key.key_id)]
    UnfitKey {
        /// The key.
        key: Box<Located>,
        /// The fault.
        finding: Finding,
    },
    /// Keys that were not named, beside those that were.
    #[error("it carries more keys than the ones named as the next: {}", ids(found))]
    UnnamedKeys {
        /// The keys that nobody named.
        found: Vec<Located>,
    },
    /// The key that was named as the next is not there.
    #[error("the key {expected} is not in it: {}", if found.is_empty() { "no key is".into() } else { format!("it carries {}", ids(found)) })]
    NextKeyMissing {
        /// What was named.
        expected: KeyId,
        /// The keys found.
        found: Vec<Located>,
    },
}

fn ids(keys: &[Located]) -> String {
    let ids: Vec<_> = keys.iter().take(4).map(|key| key.key_id.to_string()).collect();
    let more = if keys.len() > ids.len() { ", …" } else { "" };
    ids.join(", ") + more
}

/// Judges the keys in a plain image before the signature. Without a `signer`, any public key in it will do. A
/// filesystem needs no key.
///
/// # Errors
/// [`ContinuityError`]. A private key comes first: no option allows one.
pub fn check(
    plain: &[u8],
    content: Content,
    signer: Option<&dyn Signer>,
    rule: &Rule,
) -> Result<Continuity, ContinuityError> {
    let flash = flash_of(plain);
    let public = signer.map(Signer::public_key);
    let next = rule.rotate_to.iter().filter_map(|next| match next {
        NextKey::Key(key) => Some(key),
        NextKey::Id(_) => None,
    });
    let known: Vec<_> = public.into_iter().chain(next).collect();
    let quick = rule.quick && rule.purpose == Purpose::Development && rule.rotate_to.is_empty();
    let Search { mut keys, private } =
        if quick { quick_search(&flash, &known) } else { search(&flash, &known) };
    let own = || {
        let offset = signer?.private_number_in(&flash)?;
        Some(Private::bare("a number of the private key that signs", offset))
    };
    if let Some(private) = private.or_else(own) {
        return Err(ContinuityError::PrivateKey(private));
    }
    let signer = public.map(PublicKey::id);
    // The key that signs was looked at when it was opened.
    for key in keys.iter_mut().filter(|key| !signer.is_some_and(|id| key.is(id))) {
        key.findings = lint::refusals(&key.key);
    }
    if rule.purpose == Purpose::Release
        && let Some((key, finding)) = keys.iter().find_map(|key| Some((key, key.findings.first()?)))
    {
        return Err(ContinuityError::UnfitKey { key: Box::new(key.clone()), finding: finding.clone() });
    }
    if !rule.rotate_to.is_empty() {
        return rotation(keys, signer, &rule.rotate_to);
    }
    match signer {
        _ if keys.is_empty() => {}
        Some(signer) if !keys.iter().any(|key| key.is(signer)) => {
            return Err(ContinuityError::OtherKey { found: keys, signer });
        }
        _ => return Ok(Continuity::Kept { keys }),
    }
    // Last, for it is what takes long: sums over the whole image.
    let kind = image::identify(plain);
    let is_firmware = matches!(
        kind,
        Kind::Elf(_)
            | Kind::Esp8266(_)
            | Kind::Esp8266V2(_)
            | Kind::Esp32(_)
            | Kind::Uf2(_)
            | Kind::Rp2040(_)
            | Kind::Rp2350(_)
    );
    let is_filesystem = content == Content::Filesystem || matches!(kind, Kind::LittleFs(_) | Kind::Spiffs(_));
    // The details that follow in brackets are another report's.
    let found = kind.to_string().split(" (").next().unwrap_or_default().to_owned();
    match rule.without_key {
        WithoutKey::Judge if is_firmware => Err(ContinuityError::NoKey { found }),
        WithoutKey::Refuse if !is_filesystem => Err(ContinuityError::NoKey { found }),
        _ => Ok(Continuity::NoKey { found }),
    }
}

/// Refuses a private key in the fields of a gzip, such as its comment. otaseal signs and sends them with the image.
///
/// # Errors
/// [`ContinuityError::PrivateKey`].
pub fn check_wrapping(payload: &[u8]) -> Result<(), ContinuityError> {
    match search(payload, &[]).private {
        Some(private) => Err(ContinuityError::PrivateKey(private)),
        None => Ok(()),
    }
}

/// Whether exactly the named keys are there, with or without the one that signs.
fn rotation(
    keys: Vec<Located>,
    signer: Option<KeyId>,
    named: &[NextKey],
) -> Result<Continuity, ContinuityError> {
    let named: Vec<KeyId> = named.iter().map(NextKey::id).collect();
    if let Some(missing) = named.iter().find(|id| !keys.iter().any(|key| key.is(**id))) {
        return Err(ContinuityError::NextKeyMissing { expected: *missing, found: keys });
    }
    let allowed = |key: &Located| named.iter().chain(&signer).any(|id| key.is(*id));
    let unnamed: Vec<_> = keys.iter().filter(|key| !allowed(key)).cloned().collect();
    match unnamed.is_empty() {
        true => Ok(Continuity::Rotates { to: named, keys }),
        false => Err(ContinuityError::UnnamedKeys { found: unnamed }),
    }
}

/// Returns the bytes as the flash will hold them. A UF2 file cuts them into pieces of 256 bytes, and no key would be
/// found across two of them. A UF2 file that cannot be unpacked is searched as it is.
pub(crate) fn flash_of(plain: &[u8]) -> Cow<'_, [u8]> {
    const UF2: &[u8] = b"UF2\n";
    match plain.starts_with(UF2).then(|| uf2::unpack(plain, crate::format::elf::DEFAULT_MAX_GAP)) {
        Some(Ok(unpacked)) => Cow::Owned(unpacked.bytes),
        _ => Cow::Borrowed(plain),
    }
}

/// Reads a key id, or the key that a file holds.
impl std::str::FromStr for NextKey {
    type Err = NextKeyError;

    fn from_str(text: &str) -> Result<Self, NextKeyError> {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let digest = text.parse::<crate::format::digest::Sha256Digest>().map_err(|_| NextKeyError::Id)?;
            return Ok(Self::Id(KeyId(digest.0)));
        }
        let read = |source| NextKeyError::Read { path: text.into(), source };
        let bytes = Input::named(text.as_ref()).and_then(Input::read_key).map_err(read)?;
        let key = PublicKey::from_bytes(&bytes);
        key.map(Self::Key).map_err(|source| NextKeyError::Key { path: text.into(), source })
    }
}

/// Why a text names no next key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NextKeyError {
    /// No key id.
    #[error("expected the 64 hexadecimal digits of a key id")]
    Id,
    /// Neither 64 hexadecimal digits nor a file that can be read.
    #[error("{} is not a key id of 64 hexadecimal digits, and could not be read as a file: {source}", path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file holds no public key.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: std::path::PathBuf,
        /// What it holds instead.
        source: KeyError,
    },
}

/// Writes lines for a report. An image that keeps its one key needs none.
impl fmt::Display for Continuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brought: Vec<_> = match self {
            Self::Rotates { to, .. } => to.iter().map(KeyId::to_string).collect(),
            Self::Unsigned { keys } => keys.iter().map(|key| key.key_id.to_string()).collect(),
            Self::Kept { .. } | Self::NoKey { .. } => Vec::new(),
        };
        if !brought.is_empty() {
            writeln!(f, "brings   {}, which its devices trust from now on", brought.join(", "))?;
        }
        match self.keys() {
            [] | [_] => Ok(()),
            keys => writeln!(f, "carries  {} keys: {}", keys.len(), ids(keys)),
        }
    }
}

#[cfg(test)]
mod tests;
