//! TBD offer
