//! The service: the engine behind its lock, the writer, and the clock.

pub mod clock;
pub mod writer;
