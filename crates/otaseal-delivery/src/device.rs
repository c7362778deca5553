//! TBD device
