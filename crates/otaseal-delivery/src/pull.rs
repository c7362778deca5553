//! TBD pull
