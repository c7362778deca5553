//! TBD homie
