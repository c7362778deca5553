//! Host library of otaseal.
pub mod compress;
pub mod elf;
pub mod homie;
pub mod image;

pub use otaseal_device as device;

#[cfg(test)]
mod testing;
