//! Host library of otaseal.
pub mod compress;

pub use otaseal_device as device;
