//! Placeholder while the program is built.
