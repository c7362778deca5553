//! TBD form
