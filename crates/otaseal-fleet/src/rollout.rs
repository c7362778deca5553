//! Rollouts: which device is offered which release, and when.
//!
//! Everything here is a function of values. The server, the simulation and the tests run the same functions.

pub mod brake;
pub mod gate;
pub mod hours;
pub mod interval;
pub mod loads;
pub mod machine;
pub mod plan;
pub mod update;
