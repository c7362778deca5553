//! Host library of otaseal.
pub use otaseal_device as device;
