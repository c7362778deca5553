//! TBD release
