//! TBD mdns
