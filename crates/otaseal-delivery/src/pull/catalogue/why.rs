//! Why an answer is what it is.

use serde::Serialize;

use crate::offer::Refusal;

/// Why an answer is what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Why {
    /// The device is offered a file.
    Offered {
        /// The file.
        file: String,
        /// Why this one.
        because: String,
        /// What was assumed.
        assumed: Vec<String>,
    },
    /// Tasmota is shown a file that it has no room for, so that it asks for its minimal firmware.
    MinimalFirst {
        /// The file.
        file: String,
        /// The minimal firmware.
        minimal: String,
    },
    /// It asked for a version.
    Version,
    /// It asked for the digest of a file.
    Digest,
    /// It is not offered the release.
    Refused(Refusal),
    /// No rule says which firmware it gets.
    NoRule,
    /// There is no release of this name.
    NoSuchFirmware {
        /// The name, escaped.
        name: String,
    },
    /// There is no release of this version.
    NoSuchVersion {
        /// Firmware and version, escaped.
        name: String,
    },
    /// Several releases could be the newest.
    Ambiguous {
        /// Firmware and version, escaped.
        name: String,
    },
    /// The address names a file that is not there.
    NoSuchFile {
        /// The name, escaped.
        name: String,
    },
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        fault: String,
    },
    /// The mode is not known.
    UnknownMode,
    /// A service with an inventory decided it.
    Fleet {
        /// A stable code.
        code: &'static str,
        /// The reason as a sentence.
        text: String,
    },
    /// The credentials are missing or wrong.
    Credentials,
    /// The token in the address.
    Token {
        /// What is wrong with it.
        fault: String,
    },
}

impl Why {
    /// A stable code, for logs and counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Offered { .. } => "offered",
            Self::MinimalFirst { .. } => "minimal-first",
            Self::Version => "version",
            Self::Digest => "digest",
            Self::Refused(refusal) => refusal.code.as_str(),
            Self::NoRule => "no-rule",
            Self::NoSuchFirmware { .. } => "no-such-firmware",
            Self::NoSuchVersion { .. } => "no-such-version",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NoSuchFile { .. } => "no-such-file",
            Self::Unreadable { .. } => "unreadable",
            Self::UnknownMode => "unknown-mode",
            Self::Fleet { code, .. } => code,
            Self::Credentials => "credentials",
            Self::Token { .. } => "token",
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offered { file, because, .. } => write!(f, "is offered {file}: {because}"),
            Self::MinimalFirst { file, minimal } => {
                write!(f, "{file} is too large for it: it refuses this file, and asks for {minimal} next")
            }
            Self::Version => f.write_str("asked for the version"),
            Self::Digest => f.write_str("asked for a digest"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoRule => f.write_str("no rule says which firmware this device gets"),
            Self::NoSuchFirmware { name } => write!(f, "there is no release of {name}"),
            Self::NoSuchVersion { name } => write!(f, "there is no release {name}"),
            Self::Ambiguous { name } => write!(f, "there is more than one newest release of {name}"),
            Self::NoSuchFile { name } => write!(f, "there is no file {name}"),
            Self::Unreadable { file, fault } => write!(f, "{file} cannot be read: {fault}"),
            Self::UnknownMode => f.write_str("the mode is none that this server knows"),
            Self::Fleet { text, .. } => f.write_str(text),
            Self::Credentials => f.write_str("the user name or the password is missing or wrong"),
            Self::Token { fault } => f.write_str(fault),
        }
    }
}
