//! The file behind an output that has no name yet, in two ways: without any name on Unix, under a temporary name on
//! other systems.

#[cfg(not(unix))]
mod named;
#[cfg(unix)]
mod unnamed;

#[cfg(not(unix))]
pub(super) use self::named::Temporary;
#[cfg(unix)]
pub(super) use self::unnamed::Temporary;
