//! Says what a user can do about an error: the one place of the library that tells anybody what to type.
//!
//! The errors of the other rooms say what is wrong and carry the facts, and no more: a service that uses this library
//! has other words for its users than a program has. The program `otaseal` and `cargo xtask` share the words here.

mod image;
mod key;
mod package;
mod project;
mod sign;

/// Who gives the advice: its own commands are named where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Speaker {
    /// The program `otaseal`.
    Program,
    /// The tasks of [`crate::project`] under Cargo: `cargo xtask`.
    Hook,
}

impl Speaker {
    /// Returns the command that makes a key.
    fn keygen(self) -> &'static str {
        match self {
            Self::Program => "otaseal keygen",
            Self::Hook => "cargo xtask keygen",
        }
    }
}

/// An error, or something that was found, about which the user can do something.
pub trait Advice {
    /// Returns what the user can do about it: one line, lower case, no full stop.
    fn advice(&self, speaker: Speaker) -> String;
}

#[cfg(test)]
mod tests {
    use super::{Advice, Speaker};
    use crate::key::KeyError;

    #[test]
    fn each_speaker_names_its_own_command() {
        let advice = |speaker| KeyError::NotAKey.advice(speaker);
        assert!(advice(Speaker::Program).contains("`otaseal keygen`"));
        assert!(advice(Speaker::Hook).contains("`cargo xtask keygen`"));
    }
}
