//! What a signature is for.

/// Whether the package may leave the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Any key will do.
    #[default]
    Development,
    /// A key whose private half is published is refused.
    Release,
}
