//! The program `otaseal`.
fn main() {}
