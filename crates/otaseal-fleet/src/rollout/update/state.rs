//! The states of an update, and why they are entered.

use serde::Serialize;

/// Where the update of a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum State {
    /// It may not begin yet.
    Held = 0,
    /// It may begin when the device comes, or can be reached.
    Queued = 1,
    /// The image is on its way.
    Sending = 2,
    /// The image was sent. Nothing is proved.
    Served = 3,
    /// The device says that it took the image.
    Installed = 4,
    /// The device came back as the new image.
    Confirmed = 5,
    /// It failed, and is tried again later.
    Retry = 6,
    /// The device did not come back in time.
    Silent = 7,
    /// A person must look.
    Attention = 8,
    /// The device still runs the new image after a while.
    Settled = 9,
    /// The device does not get this release.
    Skipped = 10,
    /// The image was sent, and this device can never prove more.
    Unverifiable = 11,
    /// The rollout ended before the device came.
    Expired = 12,
    /// A person ended it.
    Cancelled = 13,
    /// Another release took its place.
    Superseded = 14,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Held,
        Self::Queued,
        Self::Sending,
        Self::Served,
        Self::Installed,
        Self::Confirmed,
        Self::Retry,
        Self::Silent,
        Self::Attention,
        Self::Settled,
        Self::Skipped,
        Self::Unverifiable,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Served => "served",
            Self::Installed => "installed",
            Self::Confirmed => "confirmed",
            Self::Retry => "retry",
            Self::Silent => "silent",
            Self::Attention => "attention",
            Self::Settled => "settled",
            Self::Skipped => "skipped",
            Self::Unverifiable => "unverifiable",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// The state with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more is expected.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Settled
                | Self::Skipped
                | Self::Unverifiable
                | Self::Expired
                | Self::Cancelled
                | Self::Superseded
        )
    }

    /// Whether the device has, or may have, an image of which nothing is proved yet.
    pub fn is_unproven(self) -> bool {
        matches!(self, Self::Sending | Self::Served | Self::Installed)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What the gates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It runs the release.
    Confirmed,
    /// It does not.
    Failed,
    /// It was not heard of since.
    Silent,
}

/// Why a state was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Why {
    /// The state says all.
    #[default]
    Plain = 0,
    /// A later stage of the rollout has the device.
    Stage = 1,
    /// The connection was cut, or nothing moved.
    Network = 2,
    /// The device closed after a few bytes.
    RefusedEarly = 3,
    /// The device said that it does not take the image.
    Refused = 4,
    /// The device came back as the image that it had before.
    NotApplied = 5,
    /// The device came back as an image that is neither the old nor the new one.
    ThirdIdentity = 6,
    /// The device went back to the old image after it ran the new one.
    Reverted = 7,
    /// The device got the image too often.
    Loop = 8,
    /// The device says that the image is for another board.
    WrongBoard = 9,
    /// The device says that the signature is not one it trusts.
    WrongSignature = 10,
    /// The device said that it took the image, and never started it.
    NeverStarted = 11,
    /// The device was not heard of for a month.
    Lost = 12,
    /// The device runs the release already.
    AlreadyRunning = 13,
    /// The release is not for this device. The history has the code.
    NotForIt = 14,
    /// A person asked for another try.
    Again = 15,
    /// The device proved it after its deadline.
    Late = 16,
    /// It was tried too often. The history has what failed.
    TooOften = 17,
}

impl Why {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Plain,
        Self::Stage,
        Self::Network,
        Self::RefusedEarly,
        Self::Refused,
        Self::NotApplied,
        Self::ThirdIdentity,
        Self::Reverted,
        Self::Loop,
        Self::WrongBoard,
        Self::WrongSignature,
        Self::NeverStarted,
        Self::Lost,
        Self::AlreadyRunning,
        Self::NotForIt,
        Self::Again,
        Self::Late,
        Self::TooOften,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Stage => "later-stage",
            Self::Network => "network",
            Self::RefusedEarly => "refused-early",
            Self::Refused => "refused",
            Self::NotApplied => "not-applied",
            Self::ThirdIdentity => "third-identity",
            Self::Reverted => "reverted",
            Self::Loop => "loop",
            Self::WrongBoard => "wrong-board",
            Self::WrongSignature => "wrong-signature",
            Self::NeverStarted => "never-started",
            Self::Lost => "lost",
            Self::AlreadyRunning => "already-running",
            Self::NotForIt => "not-for-it",
            Self::Again => "again",
            Self::Late => "late",
            Self::TooOften => "too-often",
        }
    }

    /// The reason with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.name() == name)
    }

    /// Whether one device with it stops the whole rollout.
    pub fn stops_all(self) -> bool {
        matches!(self, Self::WrongBoard | Self::WrongSignature | Self::ThirdIdentity)
    }
}
