//! The program `otaseal-fleet`.
fn main() {}
