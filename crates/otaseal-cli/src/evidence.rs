//! What a release says of itself beside its bytes.

use clap::Args;
use otaseal::package::evidence::{Advisory, Evidence, SupportDate};
use std::path::PathBuf;

/// What the manifest says of the release.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// Last day of support, for the manifest: YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    support_until: Option<SupportDate>,
    /// Whether the release mends a vulnerability, for the manifest
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    security: Option<bool>,
    /// Where the vulnerability is described, for the manifest
    #[arg(long, value_name = "URL")]
    advisory: Option<Advisory>,
    /// Software bill of materials (CycloneDX or SPDX, JSON) that joins the package
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
}

impl EvidenceArgs {
    /// Puts what was said over what the settings say.
    pub(crate) fn apply(&self, evidence: &mut Evidence) {
        evidence.support_until = self.support_until.or(evidence.support_until);
        evidence.security = self.security.or(evidence.security);
        evidence.advisory = self.advisory.clone().or(evidence.advisory.take());
        evidence.sbom = self.sbom.clone().or(evidence.sbom.take());
    }
}
