//! The rooms of the program `otaseal-fleet`: which device runs what, and who gets which release.
//!
//! The program is the product. This library exists so that tests, simulations and fuzz targets run the same functions. Its
//! interface follows the program, and may change with each version.

#[cfg(feature = "program")]
pub mod api;
pub mod audit;
pub mod config;
pub mod engine;
pub mod filter;
pub mod intake;
pub mod lists;
pub mod objects;
#[cfg(feature = "program")]
pub mod operations;
pub mod rollout;
#[cfg(feature = "program")]
pub mod service;
pub mod simulation;
pub mod store;
pub mod table;
#[cfg(test)]
mod testing;
pub mod token;
pub mod trust;
