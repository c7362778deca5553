//! What `otaseal package` says of a build, without a signature.

use crate::error::Failure;
use crate::policy::image_warnings;
use otaseal::format::elf::DEFAULT_MAX_GAP;
use otaseal::format::image::Content;
use otaseal::package::firmware::Firmware;
use otaseal::policy::{Candidate, Gate};
use serde::Serialize;
use std::fmt;

/// The verdict on a build.
#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub(crate) enum Judged {
    Takes {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    Refuses {
        reason: String,
        help: String,
    },
}

/// Reads and judges a build as `otaseal package` does, with the same functions. `name` is its name in messages.
pub(crate) fn build(
    name: &str,
    bytes: Vec<u8>,
    max_gap: Option<usize>,
    content: Content,
    gate: &Gate<'_>,
) -> Judged {
    let refuses = |Failure { message, help, .. }: Failure| {
        let reason = message.strip_prefix(&format!("{name}: ")).unwrap_or(&message).to_owned();
        Judged::Refuses { reason, help }
    };
    let firmware = match Firmware::from_bytes_as(name, bytes, max_gap.unwrap_or(DEFAULT_MAX_GAP), content) {
        Ok(firmware) => firmware,
        Err(error) => return refuses(error.into()),
    };
    let candidate = Candidate::new(firmware.bytes()).of_build(firmware.source().digests.sha256);
    match gate.judge(candidate.with_every_key()) {
        Ok(permit) => {
            let keys = permit.continuity().into_iter().flat_map(|keys| keys.warnings());
            Judged::Takes { warnings: image_warnings(permit.image_findings()).chain(keys).collect() }
        }
        Err(error) => refuses(error.into()),
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Takes { warnings } => {
                writeln!(f, "takes it")?;
                warnings.iter().try_for_each(|warning| writeln!(f, "         {warning}"))
            }
            Self::Refuses { reason, help } => {
                writeln!(f, "refuses it: {reason}")?;
                writeln!(f, "         {help}")
            }
        }
    }
}
