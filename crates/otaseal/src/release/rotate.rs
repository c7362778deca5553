//! Plans a new key: which devices take which update, and which update they need first.
//!
//! An image has one signature. A device judges it by the keys in the release that it runs. So a new key reaches a
//! device in a release that the *old* key signed and that carries the new one: the bridge. If the old key is no longer
//! secret, there is no bridge: everybody who has the key can send one, so you cannot trust a device that trusts it.

mod read;
mod steps;

use crate::key::PublicKey;
use crate::policy::Purpose;
use crate::policy::lint::{self, Finding};
use otaseal_device::KeyId;
use serde::Serialize;
use std::fmt;

pub use self::read::{ReadError, read};

/// Why the key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotationReason {
    /// In time: the old key is still secret.
    Planned,
    /// Somebody else has, or may have, the old key.
    Compromised,
}

/// Which of the two keys signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SignedBy {
    /// The old key.
    Old,
    /// The new key.
    New,
    /// Another key; or the image is damaged, which looks the same.
    Other,
    /// It has no signature.
    Nobody,
}

/// How otaseal knows the keys in a release and its signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// otaseal searched the image and judged its signature with the device verifier.
    Image,
    /// The manifest says so.
    Manifest,
}

/// The update keys in a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Carries {
    /// The old key.
    pub old: bool,
    /// The new key.
    pub new: bool,
    /// Ids of other keys.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "crate::key::id::serialize_list")]
    pub others: Vec<KeyId>,
}

impl Carries {
    fn of(ids: impl Iterator<Item = KeyId>, old: &PublicKey, new: &PublicKey) -> Self {
        let mut carries = Self::default();
        for id in ids {
            match id {
                id if id == old.id() => carries.old = true,
                id if id == new.id() => carries.new = true,
                id => carries.others.push(id),
            }
        }
        carries
    }
}

/// A release that the caller showed: some devices run it, and you may send it to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShownRelease {
    /// Its file.
    pub file: String,
    /// Name and version of the firmware, if the image has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The keys in it. `None`: the manifest does not list them.
    pub carries: Option<Carries>,
    /// The key that signed it.
    pub signed_by: SignedBy,
    /// How otaseal knows.
    pub proof: Proof,
}

impl ShownRelease {
    /// Whether devices that trust the old key take it and then trust the new one.
    fn is_bridge(&self) -> bool {
        self.signed_by == SignedBy::Old && self.carries.as_ref().is_some_and(|carries| carries.new)
    }

    /// Whether it ends the trust in the old key.
    fn retires(&self) -> bool {
        self.signed_by == SignedBy::New
            && self.carries.as_ref().is_some_and(|carries| carries.new && !carries.old)
    }

    /// Why perhaps no device runs it. A damaged image looks like one that a third key signed. Neither tells which keys
    /// the devices trust.
    fn doubt(&self) -> Option<&'static str> {
        match (self.signed_by, self.proof) {
            (SignedBy::Other, Proof::Image) => Some("its signature is by neither key, or it is damaged"),
            (SignedBy::Other, Proof::Manifest) => Some("its manifest says that neither key signed it"),
            _ => None,
        }
    }
}

/// The future of the devices that run a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fate {
    /// They take updates that the new key signs.
    Ready,
    /// They trust only the old key and take these bridges. If the list is empty, you must make a bridge.
    Bridge {
        /// The bridges that the caller showed. Those with a proof come first.
        by: Vec<String>,
    },
    /// They trust both keys, and the old one is compromised. A release that the new key signs and that carries only the
    /// new key ends this, unless an attacker was faster.
    Retire {
        /// Such releases that the caller showed.
        by: Vec<String>,
    },
    /// They check no signature: they take this update, and anybody else's.
    Unchecked,
    /// They take no update that either key signs, or nobody can trust them. Only a flash by cable helps.
    Stranded {
        /// Why.
        why: &'static str,
    },
    /// Nobody knows which keys they trust.
    Unknown,
    /// Perhaps there are none: the image may be damaged, or signed by somebody else.
    Doubtful {
        /// Why.
        why: &'static str,
    },
}

/// An update that is missing: without it, some devices cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Lacking {
    /// The caller showed no bridge.
    Bridge,
    /// The caller showed only the manifest of the bridge, which proves nothing.
    BridgeImage,
    /// The caller showed no release that the new key signs and that carries only the new key.
    Release,
    /// The caller showed only the manifest of that release.
    ReleaseImage,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "the bridge does not exist yet",
            Self::BridgeImage => "the bridge has no proof yet: its image was not shown",
            Self::Release => "the release with only the new key does not exist yet",
            Self::ReleaseImage => {
                "the release with only the new key has no proof yet: its image was not shown"
            }
        })
    }
}

/// Why there is no plan for these keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysRefused {
    /// The new key must not sign a release.
    #[error("the new key: {0}")]
    New(lint::Refused),
    /// The old key is not secret, and the plan would rely on it.
    #[error("{0}")]
    Old(String),
}

/// The devices that run one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The release that they run.
    pub runs: ShownRelease,
    /// The releases that they take, of those that the caller showed.
    pub takes: Vec<String>,
    /// Their future.
    #[serde(flatten)]
    pub fate: Fate,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Why the key is replaced.
    pub reason: RotationReason,
    /// Id of the old key.
    #[serde(serialize_with = "crate::key::id::serialize")]
    pub old: KeyId,
    /// Id of the new key.
    #[serde(serialize_with = "crate::key::id::serialize")]
    pub new: KeyId,
    /// The devices, by the release that they run.
    pub groups: Vec<Group>,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// Whether every group is reached by an update that exists.
    pub complete: bool,
    /// The update that does not exist yet, or has no proof yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacking: Option<Lacking>,
}

/// Checks both keys. A planned rotation relies on the old key once more, and on the new key from now on.
fn check_keys(old: &PublicKey, new: &PublicKey, reason: RotationReason) -> Result<(), KeysRefused> {
    lint::judge(lint::public_key(new), Purpose::Release).map_err(KeysRefused::New)?;
    match (reason, lint::refusals(old).into_iter().next()) {
        (RotationReason::Compromised, _) | (_, None) => Ok(()),
        (RotationReason::Planned, Some(Finding::Published { at })) => {
            Err(KeysRefused::Old(format!("the private half of the old key is published ({at})")))
        }
        (RotationReason::Planned, Some(finding)) => {
            Err(KeysRefused::Old(format!("the old key is not secret: {finding}")))
        }
    }
}

/// Plans the replacement of one key by another, from the releases that devices run and those that you may send.
///
/// # Errors
/// [`KeysRefused`]: others have or can compute the new key; or the old one, unless the caller says that it is
/// compromised.
pub fn plan(
    old: &PublicKey,
    new: &PublicKey,
    reason: RotationReason,
    releases: Vec<ShownRelease>,
) -> Result<Plan, KeysRefused> {
    check_keys(old, new, reason)?;
    let named = |wanted: &dyn Fn(&ShownRelease) -> bool| {
        let mut found: Vec<_> = releases.iter().filter(|release| wanted(release)).collect();
        found.sort_by_key(|release| release.proof == Proof::Manifest);
        found.iter().map(|release| release.file.clone()).collect::<Vec<_>>()
    };
    let bridges = named(&ShownRelease::is_bridge);
    let clean = named(&ShownRelease::retires);
    let fate = |release: &ShownRelease| {
        let Some(carries) = &release.carries else { return Fate::Unknown };
        let of_others = !carries.old && !carries.new && !carries.others.is_empty();
        if let Some(why) = release.doubt().filter(|_| !of_others) {
            return Fate::Doubtful { why };
        }
        match (carries.old, carries.new, reason) {
            (true, true, RotationReason::Compromised) => Fate::Retire { by: clean.clone() },
            (true, false, RotationReason::Compromised) => Fate::Stranded {
                why: "they trust only the compromised key: anybody can send them an update, and a bridge too",
            },
            (_, true, _) => Fate::Ready,
            (true, false, RotationReason::Planned) => Fate::Bridge { by: bridges.clone() },
            (false, false, _) if carries.others.is_empty() => Fate::Unchecked,
            (false, false, _) => Fate::Stranded { why: "they trust another key than these two" },
        }
    };
    let takes = |release: &ShownRelease| {
        let (Some(carries), None) = (&release.carries, release.doubt()) else { return Vec::new() };
        let unchecked = *carries == Carries::default();
        named(&|sent: &ShownRelease| match sent.signed_by {
            SignedBy::Old => carries.old || unchecked,
            SignedBy::New => carries.new || unchecked,
            SignedBy::Other | SignedBy::Nobody => unchecked,
        })
    };
    let groups: Vec<_> = releases
        .iter()
        .map(|release| Group { runs: release.clone(), takes: takes(release), fate: fate(release) })
        .collect();
    let lost =
        |group: &Group| matches!(group.fate, Fate::Stranded { .. } | Fate::Unknown | Fate::Doubtful { .. });
    let proved = |wanted: &dyn Fn(&ShownRelease) -> bool| {
        releases.iter().any(|release| wanted(release) && release.proof == Proof::Image)
    };
    let lacking = groups.iter().find_map(|group| match &group.fate {
        Fate::Bridge { by } if by.is_empty() => Some(Lacking::Bridge),
        Fate::Bridge { .. } if !proved(&ShownRelease::is_bridge) => Some(Lacking::BridgeImage),
        Fate::Retire { by } if by.is_empty() => Some(Lacking::Release),
        Fate::Retire { .. } if !proved(&ShownRelease::retires) => Some(Lacking::ReleaseImage),
        _ => None,
    });
    let complete = lacking.is_none() && !groups.iter().any(lost);
    let steps = match reason {
        RotationReason::Planned => steps::planned(&groups, &bridges, lacking),
        RotationReason::Compromised => steps::compromised(&groups, &clean, lacking),
    };
    Ok(Plan { reason, old: old.id(), new: new.id(), groups, steps, complete, lacking })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            RotationReason::Planned => "",
            RotationReason::Compromised => " (compromised: do not trust any bridge)",
        };
        writeln!(f, "old key  {}{reason}\nnew key  {}", self.old, self.new)?;
        for Group { runs, takes, fate } in &self.groups {
            let firmware = runs.firmware.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            writeln!(f, "\n{}{firmware}", runs.file)?;
            let signed = match runs.signed_by {
                SignedBy::Old => "the old key",
                SignedBy::New => "the new key",
                SignedBy::Other => "neither key",
                SignedBy::Nobody => "nobody",
            };
            let known = match runs.proof {
                Proof::Image => "",
                Proof::Manifest => ", as its manifest says",
            };
            writeln!(f, "  carries  {}, signed by {signed}{known}", trusted(runs.carries.as_ref()))?;
            let takes = if takes.is_empty() { "none of these".into() } else { takes.join(", ") };
            writeln!(f, "  takes    {takes}")?;
            let fate = match fate {
                Fate::Ready => "ready for the new key".into(),
                Fate::Bridge { by } if by.is_empty() => "needs a bridge, and there is none yet".into(),
                Fate::Bridge { by } => format!("needs the bridge {}", by.join(" or ")),
                Fate::Retire { by } if by.is_empty() => {
                    "needs a release with only the new key, and there is none yet".into()
                }
                Fate::Retire { by } => format!("needs {}, at once", by.join(" or ")),
                Fate::Unchecked => "checks no signature".into(),
                Fate::Stranded { why } => format!("STRANDED: {why}"),
                Fate::Unknown => "not known: show the image".into(),
                Fate::Doubtful { why } => format!("not known whether any run it: {why}"),
            };
            writeln!(f, "  devices  {fate}")?;
        }
        if let Some(lacking) = self.lacking {
            writeln!(f, "\nNOT YET  {lacking}")?;
        }
        writeln!(f)?;
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "{number}. {step}")?;
        }
        Ok(())
    }
}

fn trusted(carries: Option<&Carries>) -> String {
    let Some(carries) = carries else { return "unknown keys".into() };
    let known = [(carries.old, "the old key"), (carries.new, "the new key")];
    let mut keys: Vec<_> =
        known.iter().filter(|(there, _)| *there).map(|(_, name)| (*name).to_owned()).collect();
    keys.extend(carries.others.iter().map(|id| format!("{:.16}…", id.to_string())));
    if keys.is_empty() { "no key".into() } else { keys.join(" and ") }
}

#[cfg(test)]
mod tests;
