//! Advice on errors in the settings and the `cargo xtask` tasks of a project.

use super::{Advice, Speaker};
#[cfg(feature = "cargo")]
use crate::project::cargo::CargoError;
use crate::project::emit::{EmitError, IdentifierError};
use crate::project::settings::SettingsError;

impl Advice for SettingsError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::Read { .. } => "check that the file is there and that you may read it".into(),
            Self::Invalid { .. } => "correct that line; docs/reference/settings.md lists the settings".into(),
            Self::Stranger { .. } => {
                "make the file your own with chown, or use --signer-cmd or --key instead".into()
            }
            Self::Unknown { valid, near: true, .. } => {
                format!("did you mean `{}`?", valid.first().copied().unwrap_or_default())
            }
            Self::Unknown { valid, .. } => format!("use one of these settings: {}", valid.join(", ")),
        }
    }
}

impl Advice for IdentifierError {
    fn advice(&self, _: Speaker) -> String {
        "use up to 64 letters, digits and _, and do not start with a digit: for example ota_key".into()
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
            Self::Usage(_) => "type `--help` after the task to see its options".into(),
            Self::KeyGiven(error) => error.advice(speaker),
            Self::Settings(error) => error.advice(speaker),
            Self::Metadata(_) => "run it inside the project, or give --manifest-path".into(),
            Self::NoSuchPackage { candidates, .. } | Self::WhichPackage { candidates } => {
                match candidates.first() {
                    Some(first) => format!(
                        "give its name with --package, or in Cargo.toml: [workspace.metadata.otaseal] package = \
                         \"{first}\""
                    ),
                    None => "add the firmware to the workspace, or set `manifest-path` or `firmware`".into(),
                }
            }
            Self::WhichBinary { candidates, .. } => match candidates.first() {
                Some(first) => format!("give its name with --bin, or in the settings: bin = \"{first}\""),
                None => "add a src/main.rs to the package".into(),
            },
            Self::Start { .. } => "check that it is installed and in PATH".into(),
            Self::Build { .. } => {
                "correct the errors that the compiler shows above; otaseal packaged nothing".into()
            }
            Self::NoExecutable { .. } => "check `bin` and `features` in the settings".into(),
            Self::NoKey(_) => "make one with `cargo xtask keygen`".into(),
            Self::Read { .. } => "check that it is there and that you may read it".into(),
            Self::Keygen(source) => source.advice(speaker),
            Self::Source(error) => error.advice(speaker),
            Self::Passphrase(error) => error.advice(speaker),
            Self::KeyOfCommand { public } => format!(
                "make the key in the place where the command finds it, and put its public key at {}; or make a key \
                 file with --key FILE",
                public.display()
            ),
            Self::Uri(error) => error.advice(speaker),
            Self::Policy(error) => error.advice(speaker),
            Self::Pair(error) => error.advice(speaker),
            Self::KeyPair { public_id, private_id, .. } => format!(
                "give the public key of this private key; the private key has the id {private_id}, the public key \
                 {public_id}"
            ),
            Self::PrebuiltKey { why, .. } => {
                format!("{why}; with it, otaseal builds the firmware, and your key is in it")
            }
            Self::Package(error) => error.advice(speaker),
            Self::Sign(error) => error.advice(speaker),
            Self::Emit(error) => error.advice(speaker),
            Self::Output(error) => error.advice(speaker),
            Self::NoEmit => "add it to the settings: \
                 emit = [{ path = \"src/ota_key.rs\", kind = \"rust-device\" }]"
                .into(),
            Self::EmitSetting { .. } => "see docs/reference/settings.md for the fields of each kind".into(),
            Self::NoSbom => {
                "make it with the tool that builds the firmware, and give it with --sbom-file".into()
            }
            Self::NothingSigned(_) => "make one with `cargo xtask sign`, or give the name of an image".into(),
            Self::Rejected { .. } => "do not ship it: this key did not sign these bytes".into(),
            Self::Report(_) => "check where the output goes; otaseal has done the task itself".into(),
        }
    }
}
