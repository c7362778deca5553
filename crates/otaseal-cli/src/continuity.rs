//! What is expected of the public keys in the image: the options of every command that signs one.

use clap::Args;
use otaseal::policy::continuity::{NextKey, Rule, WithoutKey};

/// What is expected of the public keys in the image.
#[derive(Debug, Args)]
pub(crate) struct ContinuityArgs {
    /// The image brings another key than the one that signs, and the devices are to trust it from now on: its key id,
    /// or its public key file. Several are each named
    #[arg(long, value_name = "KEYID")]
    rotate_to: Vec<NextKey>,
    /// Sign firmware that holds no public key: devices that run it check no further update
    #[arg(long)]
    allow_no_key: bool,
}

impl ContinuityArgs {
    pub(crate) fn rule(&self) -> Rule {
        let without_key = if self.allow_no_key { WithoutKey::Allow } else { WithoutKey::Judge };
        Rule { rotate_to: self.rotate_to.clone(), without_key, quick: true, ..Rule::default() }
    }
}
