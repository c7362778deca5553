//! TBD mqtt
