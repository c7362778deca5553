//! What must hold before an image is signed: one group of options for every command that leads to a signature.

use crate::error::{Exit, Failure};
use crate::io::Place;
use crate::ledger;
use clap::Args;
use otaseal::Purpose;
use otaseal::device::KeyId;
use otaseal::format::digest::Sha256Digest;
use otaseal::key::parse_key_id;
use otaseal::policy::continuity::{NextKey, WithoutKey};
use otaseal::policy::guard::{Content, GuardError};
use otaseal::policy::lint::Finding;
use otaseal::policy::{Damaged, Permit, Policy, PolicyError};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::{Settings, SigningKey};
use otaseal::sign::{AlreadySigned, SignError};
use std::path::Path;

/// What must hold before an image is signed.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// What the image is for: firmware or filesystem. otaseal refuses a recognised image of the other kind
    #[arg(long, value_name = "KIND", default_value = "firmware")]
    as_kind: Content,
    /// Refuse a key that does not belong to this public key, which the devices have
    #[arg(long, value_name = "FILE")]
    expect_public: Option<Place>,
    /// Refuse an input file of another SHA-256 than the build had
    #[arg(long, value_name = "HEX")]
    expect_sha256: Option<Sha256Digest>,
    /// Refuse a key of another key id
    #[arg(long, value_name = "HEX", value_parser = parse_key_id)]
    expect_key_id: Option<KeyId>,
    /// The image brings another key than the one that signs, and its devices trust that key from now on: its key id, or
    /// its public key file. Name each of several
    #[arg(long, value_name = "KEYID")]
    rotate_to: Vec<NextKey>,
    /// Sign firmware that holds no public key: devices that run it check no further update
    #[arg(long)]
    allow_no_key: bool,
    /// Name of the build in the ledger [default: the name that the CI system gives it]
    #[arg(long, value_name = "ID")]
    build_id: Option<String>,
    /// Refuse what is unfit for a release: a key that is published, factored by known methods, readable by others or in
    /// git, and firmware of unknown kind without a key in it. Needs a ledger
    #[arg(long)]
    release: bool,
}

/// What may be signed although it is refused by default.
#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    /// Take an image that ends in what looks like a signature, or that is damaged
    #[arg(long)]
    force: bool,
}

impl ForceArgs {
    pub(crate) fn apply(&self, policy: &mut Policy) {
        if self.force {
            policy.already_signed = AlreadySigned::Allow;
            policy.damaged = Damaged::Allow;
        }
    }
}

impl PolicyArgs {
    /// The policy that these options and the settings name, for this key where a signer is at hand. `input` is a file of
    /// the tree whose commit the ledger names.
    pub(crate) fn policy(
        &self,
        settings: &Settings,
        key: Option<&SigningKey>,
        input: Option<&Path>,
    ) -> Result<Policy, Failure> {
        let mut policy = Policy::default();
        policy.purpose = if self.release { Purpose::Release } else { Purpose::Development };
        policy.content = self.as_kind;
        policy.continuity.rotate_to.clone_from(&self.rotate_to);
        policy.continuity.without_key = if self.allow_no_key { WithoutKey::Allow } else { WithoutKey::Judge };
        // The public key of the settings belongs to their private key. With a command it is the key that signs.
        let belongs = key.is_some_and(|key| !key.is_example) && settings.signer_cmd.is_none();
        let configured = settings.public_key.as_deref().filter(|_| belongs).map(Place::from);
        policy.expect.public_key =
            self.expect_public.as_ref().or(configured.as_ref()).map(Place::public_key).transpose()?;
        policy.expect.key_id = self.expect_key_id;
        policy.expect.sha256 = self.expect_sha256;
        policy.expect.flash_mode = settings.expect_flash_mode;
        policy.ledger = ledger::open(settings, self.build_id.as_deref(), input);
        Ok(policy)
    }

    /// The files that these options and the settings name: none of them may be an output, and only one may be standard input.
    pub(crate) fn inputs(&self, settings: &Settings) -> Vec<Place> {
        self.expect_public.iter().cloned().chain(settings.ledger.as_deref().map(Place::from)).collect()
    }

    /// Refuses one digest for many inputs.
    pub(crate) fn check_many(&self) -> Result<(), Failure> {
        match self.expect_sha256 {
            None => Ok(()),
            Some(_) => Err(Failure::usage(
                "one SHA-256 is expected of many inputs",
                "give each with its own --expect-sha256, in a run of its own",
            )),
        }
    }
}

/// What a report warns of although the policy permits the signature: of the gzip, then of the keys in the image.
pub(crate) fn warnings(input: &Place, permit: &Permit<'_>) -> Vec<String> {
    let gzip =
        permit.gzip_finding().map(|finding| format!("{finding}; {}", finding.advice(Speaker::Program)));
    let keys = permit.continuity().into_iter().flat_map(|keys| keys.warnings());
    gzip.into_iter().chain(keys).map(|warning| format!("{input}: {warning}")).collect()
}

/// What speaks against the key although it may sign. Every report names a published key by itself.
pub(crate) fn key_warnings(findings: &[Finding]) -> Vec<String> {
    let findings = findings.iter().filter(|finding| !matches!(finding, Finding::Published { .. }));
    findings.map(|finding| format!("{finding}; {}", finding.advice(Speaker::Program))).collect()
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let exit = if error.is_verdict() { Exit::Rejected } else { Exit::Failed };
        Self { exit, ..Self::of(&error) }
    }
}

impl Failure {
    /// What the policy has against an input. The library knows no file names: they are added here.
    pub(crate) fn policy(input: &Place, error: PolicyError) -> Self {
        match error {
            PolicyError::Sign(SignError::Read(error)) => Self::read(input, &error),
            PolicyError::Guard(GuardError::OtherKey { .. } | GuardError::OtherKeyId { .. }) => error.into(),
            PolicyError::Guard(_)
            | PolicyError::Continuity(_)
            | PolicyError::Gzip(_)
            | PolicyError::Sign(SignError::Empty | SignError::AlreadySigned { .. }) => {
                Self::new(format_args!("{input}: {error}"), error.advice(Speaker::Program))
            }
            error => error.into(),
        }
    }
}
