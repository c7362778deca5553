//! What to do about the settings and the tasks of a project.

use super::{Advice, Speaker};
#[cfg(feature = "cargo")]
use crate::project::cargo::CargoError;
use crate::project::emit::{EmitError, IdentifierError};
use crate::project::settings::SettingsError;

impl Advice for SettingsError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::Read { .. } => "check that the file is there and that you may read it".into(),
            Self::Invalid { .. } => "correct that line; the settings are listed in docs/settings.md".into(),
            Self::Stranger { .. } => {
                "make the file your own (chown), name the command with --signer-cmd, or name a key with --key"
                    .into()
            }
            Self::Unknown { valid, near: true, .. } => {
                format!("did you mean `{}`?", valid.first().copied().unwrap_or_default())
            }
            Self::Unknown { valid, .. } => format!("the settings here are {}", valid.join(", ")),
        }
    }
}

impl Advice for IdentifierError {
    fn advice(&self, _: Speaker) -> String {
        "use letters, digits and _, not starting with a digit, at most 64, such as ota_key".into()
    }
}

impl Advice for EmitError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::OutOfDate { command, .. } => format!("run: {command}"),
            Self::Key(error) => error.advice(speaker),
            Self::Output(error) => error.advice(speaker),
        }
    }
}

#[cfg(feature = "cargo")]
impl Advice for CargoError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::Usage(_) => "`--help` after the task lists what it takes".into(),
            Self::KeyGiven(error) => error.advice(speaker),
            Self::Settings(error) => error.advice(speaker),
            Self::Metadata(_) => "run it inside the project, or name it with --manifest-path".into(),
            Self::NoSuchPackage { candidates, .. } | Self::WhichPackage { candidates } => {
                match candidates.first() {
                    Some(first) => format!(
                        "name it with --package, or once for all in Cargo.toml: \
                     [workspace.metadata.otaseal] package = \"{first}\""
                    ),
                    None => "add the firmware to the workspace, or set `manifest-path` or `firmware`".into(),
                }
            }
            Self::WhichBinary { candidates, .. } => match candidates.first() {
                Some(first) => format!("name it with --bin, or once for all: bin = \"{first}\""),
                None => "the firmware needs a src/main.rs".into(),
            },
            Self::Start { .. } => "check that it is installed and in PATH".into(),
            Self::Build { .. } => "nothing was packaged; correct what the compiler says above".into(),
            Self::NoExecutable { .. } => "check `bin` and `features` in the settings".into(),
            Self::NoKey(_) => "make one with `cargo xtask keygen`".into(),
            Self::Read { .. } => "check that it is there and that you may read it".into(),
            Self::Keygen(source) => source.advice(speaker),
            Self::Source(error) => error.advice(speaker),
            Self::Passphrase(error) => error.advice(speaker),
            Self::KeyOfCommand { public } => format!(
                "make it where it is kept, and put its public half at {}; or name a file for a key of its own with --key",
                public.display()
            ),
            Self::Uri(error) => error.advice(speaker),
            Self::Policy(error) => error.advice(speaker),
            Self::Pair(error) => error.advice(speaker),
            Self::KeyPair { public_id, private_id, .. } => format!(
                "the private key's id is {private_id}, the other's {public_id}; \
                 give the file that was made with the private key"
            ),
            Self::Package(error) => error.advice(speaker),
            Self::Sign(error) => error.advice(speaker),
            Self::Emit(error) => error.advice(speaker),
            Self::Output(error) => error.advice(speaker),
            Self::NoEmit => "add it to the settings: \
                 emit = [{ path = \"src/ota_key.rs\", kind = \"rust-device\" }]"
                .into(),
            Self::EmitSetting { .. } => "docs/settings.md says which field goes with which kind".into(),
            Self::NoSbom => {
                "make it with the tool that builds the firmware, and name it with --sbom-file".into()
            }
            Self::NothingSigned(_) => "make one with `cargo xtask sign`, or name the image".into(),
            Self::Rejected { .. } => "do not ship it: this key did not sign these bytes".into(),
            Self::Report(_) => "the work itself was done".into(),
        }
    }
}
