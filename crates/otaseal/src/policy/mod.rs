//! What may be signed, and by which key.

pub mod continuity;
pub mod guard;
pub mod known_keys;
pub mod lint;
mod purpose;

pub use self::purpose::Purpose;
