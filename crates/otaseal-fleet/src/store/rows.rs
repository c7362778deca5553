//! The rows. Times are in seconds since 1970, sizes in bytes.

use otaseal::format::digest::{Md5Digest, Sha256Digest};
use otaseal_delivery::device::{Family, Mac};
use serde::{Deserialize, Serialize};

use crate::rollout::machine::{Counts, Rollout};
use crate::rollout::plan::Plan;
use crate::rollout::update::Update;

macro_rules! id {
    ($(#[$doc:meta] $name:ident),+) => {$(
        #[$doc]
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )+};
}

id!(
    /// A device. The numbers are dense, from 1, and are never used twice.
    DeviceId,
    /// A release, from 1.
    ReleaseId,
    /// A rollout, from 1.
    RolloutId,
    /// A token, from 1.
    TokenId
);

/// Whether a device may be updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Standing {
    /// It was heard of, and nobody has accepted it.
    #[default]
    Pending = 0,
    /// It belongs to the fleet.
    Accepted = 1,
    /// A person wants nothing to do with it.
    Ignored = 2,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Accepted, Self::Ignored];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
        }
    }
}

/// How a device was heard of first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Source {
    /// It asked for an update by HTTP.
    #[default]
    Pull = 0,
    /// It is on a broker, by the Homie convention.
    Homie = 1,
    /// It announces itself by mDNS.
    Mdns = 2,
    /// A person wrote it down.
    Person = 3,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Homie, Self::Mdns, Self::Person];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Homie => "homie",
            Self::Mdns => "mdns",
            Self::Person => "person",
        }
    }
}

/// A device. Everything but the id, the standing and what a person writes is a claim of the device.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct DeviceRow {
    /// Its number.
    pub id: DeviceId,
    /// The claimed identity.
    pub family: Option<Family>,
    /// Its address as a station. With the family, it is one device's alone.
    pub mac: Option<Mac>,
    /// Its chip id, if it says no address.
    pub chip_id: Option<String>,
    /// Whether it may be updated.
    pub standing: Standing,
    /// How it was heard of first.
    pub source: Source,
    /// The name that a person gave it, or its own.
    pub name: String,
    /// The place where it is. Empty: none.
    pub site: String,
    /// Words of people, sorted, without doubles.
    pub tags: Vec<String>,
    /// A note of a person.
    pub note: String,
    /// Its board.
    pub board: Option<String>,
    /// The kind of device, as a person says it: a name of a profile.
    pub profile: Option<String>,
    /// The firmware that it says it runs.
    pub firmware: Option<String>,
    /// The version that it says it runs.
    pub version: Option<String>,
    /// MD5 of the image that it says it runs.
    pub md5: Option<Md5Digest>,
    /// SHA-256 of the image that it says it runs.
    pub sha256: Option<Sha256Digest>,
    /// The release that it runs, by that evidence.
    pub running: Option<ReleaseId>,
    /// Size of the image that runs.
    pub sketch_bytes: Option<u64>,
    /// Free bytes for an update.
    pub free_bytes: Option<u64>,
    /// Size of its flash.
    pub chip_bytes: Option<u64>,
    /// Its SDK.
    pub sdk: Option<String>,
    /// The oldest version of its core that speaks as it does, such as `3.0.0`.
    pub core_at_least: Option<String>,
    /// Strength of its radio signal in percent, as Homie says it.
    pub signal: Option<u8>,
    /// The Homie device: its broker, base topic and id, with `/` between them.
    pub homie: Option<String>,
    /// What else it says, as a JSON object of texts. Bounded by who writes it.
    pub said: String,
    /// The address from which it came last.
    pub address: Option<String>,
    /// When it was first heard of.
    pub first_seen: u64,
    /// When it was last heard of. It lags behind by up to a minute.
    pub last_seen: u64,
    /// Its learned interval, in the form of `Interval::to_bytes`.
    #[serde(skip)]
    pub interval: Vec<u8>,
}

/// When a device was last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct LastSeen {
    /// The device.
    pub device: DeviceId,
    /// When.
    pub at: u64,
    /// Its learned interval.
    pub interval: Vec<u8>,
    /// From where.
    pub address: Option<String>,
}

/// The last update of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateRow {
    /// The device.
    pub device: DeviceId,
    /// The rollout. `None`: a person pushed it.
    pub rollout: Option<RolloutId>,
    /// The release.
    pub release: ReleaseId,
    /// The stage in which the device is, from 0.
    pub stage: u8,
    /// The image that the device ran before: see `engine::Running`.
    pub before: (u64, u64),
    /// Its state.
    pub update: Update,
}

/// Something that happened to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// The device. It may be gone.
    pub device: DeviceId,
    /// When.
    pub at: u64,
    /// A stable code, such as `served`.
    pub code: String,
    /// A sentence for people. What a device said in it is escaped and bounded.
    pub text: String,
    /// The rollout that it belongs to.
    pub rollout: Option<RolloutId>,
}

/// Whether a release may be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Offered {
    /// It may.
    #[default]
    Yes = 0,
    /// It was withdrawn, and never will be again.
    Withdrawn = 1,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseRow {
    /// Its number.
    pub id: ReleaseId,
    /// Name of the firmware.
    pub firmware: String,
    /// Its version. Empty: it has none.
    pub version: String,
    /// Its board, where it has one.
    pub board: Option<String>,
    /// The manifest as it was uploaded. Empty for a bare image.
    pub manifest: String,
    /// Its files.
    pub files: Vec<FileRow>,
    /// The id of the key that signed. `None`: nobody did.
    pub key_id: Option<String>,
    /// Whether it may be offered.
    pub offered: Offered,
    /// Notes of people.
    pub notes: String,
    /// Until when it gets fixes.
    pub support_until: Option<u64>,
    /// Whether it closes a hole.
    pub security: bool,
    /// Who uploaded it.
    pub by: String,
    /// When.
    pub at: u64,
}

/// A file of a release. Its bytes are an object with this digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutRow {
    /// Its number.
    pub id: RolloutId,
    /// Its name.
    pub name: String,
    /// The release.
    pub release: ReleaseId,
    /// Its plan.
    pub plan: Plan,
    /// Its state.
    pub state: Rollout,
    /// How many devices are in which state.
    pub counts: Counts,
    /// Below which place of the order the devices of each stage stand: see `plan::place`.
    pub places: Vec<u64>,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: u64,
}

/// A saved filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterRow {
    /// Its name.
    pub name: String,
    /// The filter, as a person wrote it.
    pub text: String,
}

/// A token for the API. The token itself is shown once, and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its number.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What it allows: see `token::Scope`.
    pub scopes: u32,
    /// When it was made.
    pub at: u64,
    /// When it ends.
    pub expires: Option<u64>,
    /// When it was revoked.
    pub revoked: Option<u64>,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When.
    pub at: u64,
    /// Who: the name of a user or of a token.
    pub actor: String,
    /// What was done: a stable code, such as `rollout.pause`.
    pub action: String,
    /// To what, such as `rollout/7`.
    pub object: String,
    /// How it was before, as JSON. Empty: it was not there.
    pub before: String,
    /// How it is now, as JSON. Empty: it is gone.
    pub after: String,
    /// The hash of this line, which includes the hash of the line before.
    pub hash: [u8; 32],
}
