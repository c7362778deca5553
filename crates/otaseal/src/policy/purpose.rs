//! The purpose of a signature: development or release.

/// The purpose of a signature. A release goes to devices of users, so otaseal checks more before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Any key may sign.
    #[default]
    Development,
    /// A key that is unfit is refused, and so is firmware of unknown kind without a key in it. A ledger is needed.
    Release,
}
