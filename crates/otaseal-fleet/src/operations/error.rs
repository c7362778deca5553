//! Why something is not done.

use crate::engine::ControlError;
use crate::filter::FilterError;
use crate::intake::IntakeError;
use crate::objects::ObjectError;
use crate::rollout::plan::PlanError;
use crate::store::StoreError;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId};
use crate::token::Scope;
use crate::trust::TrustError;

/// Why something is not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The token does not allow it.
    #[error("this needs a token with the scope `{}`", .0.name())]
    Forbidden(Scope),
    /// There is no such device.
    #[error("there is no device {0}")]
    NoDevice(DeviceId),
    /// There is no such release.
    #[error("there is no release {0}")]
    NoRelease(ReleaseId),
    /// There is no such rollout.
    #[error("there is no rollout {0}")]
    NoRollout(RolloutId),
    /// There is no such key.
    #[error("no key of this id is trusted")]
    NoKey,
    /// There is no such token.
    #[error("there is no token of that name")]
    NoToken,
    /// The name is taken.
    #[error("there is a token of that name already")]
    TokenExists,
    /// Something refers to the release.
    #[error("the release {0} is still in use: a device runs it, or a rollout or an update refers to it")]
    InUse(ReleaseId),
    /// The same release is there.
    #[error("the release {0} has the same files")]
    Same(ReleaseId),
    /// A text that a person wrote.
    #[error("the {field} {what}")]
    Text {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The plan reaches no device.
    #[error("the filter holds for no accepted device")]
    NoTargets,
    /// The plan would do harm.
    #[error("{devices} devices would never take an update again: the release carries no key that you trust")]
    Strands {
        /// How many.
        devices: u64,
    },
    /// The engine refuses.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The plan has a fault.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The filter has a fault.
    #[error("the filter: {0}")]
    Filter(#[from] FilterError),
    /// The upload is refused.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The list of trusted keys.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The files of the releases.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// Nothing can be written at present.
    #[error("{0}")]
    Unavailable(String),
    /// The service ends.
    #[error("the service ends")]
    Ended,
}

impl OperationError {
    /// A stable code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "forbidden",
            Self::NoDevice(_) => "no-device",
            Self::NoRelease(_) => "no-release",
            Self::NoRollout(_) => "no-rollout",
            Self::NoKey => "no-key",
            Self::NoToken => "no-token",
            Self::TokenExists => "token-exists",
            Self::InUse(_) => "in-use",
            Self::Same(_) => "same-release",
            Self::Text { .. } => "text",
            Self::NoTargets => "no-targets",
            Self::Strands { .. } => "strands",
            Self::Control(_) => "not-now",
            Self::Plan(_) => "plan",
            Self::Filter(_) => "filter",
            Self::Intake(error) => error.code(),
            Self::Trust(_) => "trust",
            Self::Objects(_) => "objects",
            Self::Store(_) => "store",
            Self::Random => "random",
            Self::Unavailable(_) => "unavailable",
            Self::Ended => "ended",
        }
    }
}
