//! Bundles the evidence of a release ([`bundle`]), and plans a new key ([`rotate`]).

pub mod bundle;
pub mod rotate;
