//! Around a release: the signed directory of its evidence ([`bundle`]), and the plan for the next key ([`rotate`]).

pub mod bundle;
pub mod rotate;
