//! From a package to a release: its evidence in one signed directory, and the way to the next key.

pub mod bundle;
pub mod rotate;
