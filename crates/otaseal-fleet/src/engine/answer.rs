//! What goes into the engine with a contact, and what comes out.

use std::sync::Arc;

use otaseal_delivery::device::DeviceFacts;
use otaseal_delivery::offer::Policy;

use super::known::Known;
use crate::rollout::brake::Brake;
use crate::rollout::update::State;
use crate::store::rows::{DeviceId, Source};

/// A contact of a device.
#[derive(Debug, Clone, Copy)]
pub struct Contact<'a> {
    /// What it says.
    pub facts: &'a DeviceFacts,
    /// How it was heard of.
    pub source: Source,
    /// A digest of the address from which it comes. Zero: not known.
    pub address: u32,
    /// Seconds since 1970.
    pub now: u64,
}

/// What a device gets that asks.
#[derive(Debug, Clone)]
pub enum Polled {
    /// Nothing.
    Nothing(Nothing),
    /// This release, if [`otaseal_delivery::offer::choose`] agrees: then [`super::Engine::offer`] is called.
    May(Candidate),
}

/// Why a device gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nothing {
    /// It says no identity.
    NoIdentity,
    /// It is new, and too many new ones came from its address.
    TooManyNew,
    /// Nobody has accepted it.
    Pending,
    /// A person wants nothing to do with it.
    Ignored,
    /// There is nothing for it.
    UpToDate,
    /// Its update is in this state.
    State(State),
    /// The rollout offers nothing at present.
    Paused,
    /// A brake of the rollout holds.
    Brake(Brake),
    /// The release is not verified yet, or was withdrawn.
    NoRelease,
    /// Nothing can be written down.
    Closed,
}

impl Nothing {
    /// A stable code, for logs and counters.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoIdentity => "no-identity",
            Self::TooManyNew => "too-many-new",
            Self::Pending => "pending",
            Self::Ignored => "ignored",
            Self::UpToDate => "up-to-date",
            Self::State(state) => state.name(),
            Self::Paused => "paused",
            Self::Brake(Brake::Window) => "brake-window",
            Self::Brake(Brake::Overdue) => "brake-overdue",
            Self::Brake(Brake::Unproven) => "brake-unproven",
            Self::Brake(Brake::Site) => "brake-site",
            Self::Brake(Brake::SitePercent) => "brake-site-percent",
            Self::Brake(Brake::Rate) => "brake-rate",
            Self::NoRelease => "no-release",
            Self::Closed => "closed",
        }
    }

    /// The reason as a sentence.
    pub fn sentence(self) -> String {
        match self {
            Self::NoIdentity => "it says neither a MAC address nor a chip id".into(),
            Self::TooManyNew => "too many new devices came in this hour".into(),
            Self::Pending => "nobody has accepted it yet".into(),
            Self::Ignored => "it is ignored".into(),
            Self::UpToDate => "there is nothing new for it".into(),
            Self::State(state) => format!("its update is {state}"),
            Self::Paused => "its rollout offers nothing at present".into(),
            Self::Brake(brake) => brake.sentence().into(),
            Self::NoRelease => "its release cannot be offered at present".into(),
            Self::Closed => "nothing can be written down at present".into(),
        }
    }
}

/// A release for a device.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The device.
    pub device: DeviceId,
    /// The release.
    pub known: Arc<Known>,
    /// The release that the device runs, if it is one of ours: it says which keys the device has.
    pub running: Option<Arc<Known>>,
    /// What the plan allows.
    pub policy: Policy,
}

/// A transfer that may begin when what was written is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The device.
    pub device: DeviceId,
    /// The number of the transfer: an older one has nothing more to say.
    pub attempt: u16,
}
