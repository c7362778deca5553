//! Says what a user can do about an error. No other module of the library tells you what to type.
//!
//! The errors of the other rooms say what is wrong and carry the facts. They give no advice, because a service that
//! uses this library gives its users other advice than a program does. `otaseal` and `cargo xtask` share this advice.

mod image;
mod key;
mod package;
mod project;
mod sign;

/// The program that gives the advice. Where both programs have a command for a task, the advice names its own.
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

/// An error or a finding, with advice for the user.
pub trait Advice {
    /// Returns the advice: one line, lower case, no full stop.
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
