//! Makes the policy from options and settings. Every command that leads to a signature has these options.

use crate::error::{Exit, Failure};
use crate::io::{Place, check_unnamed, this_run};
use crate::ledger;
use crate::made::{self, Replaces};
use crate::settings::Chosen;
use clap::Args;
use otaseal::Purpose;
use otaseal::device::KeyId;
use otaseal::format::digest::Sha256Digest;
use otaseal::key::parse_key_id;
use otaseal::output::Made;
use otaseal::policy::continuity::{NextKey, WithoutKey};
use otaseal::policy::guard::{Content, GuardError, ImageFinding};
use otaseal::policy::lint::Finding;
use otaseal::policy::{Damaged, Permit, Policy, PolicyError};
use otaseal::project::advice::{Advice, Speaker};
use otaseal::project::settings::{Settings, SigningKey};
use otaseal::sign::source::{KeyPlace, SourceError};
use otaseal::sign::{AlreadySigned, SignError};
use std::ffi::OsString;
use std::path::Path;

/// Options that say what may be signed.
#[derive(Debug, Default, Args)]
pub(crate) struct PolicyArgs {
    /// Kind of the image: firmware or filesystem
    ///
    /// otaseal refuses an image that it recognises as the other kind.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "firmware",
        help_heading = "Checks",
        alias = "as-kind",
        hide_short_help = true
    )]
    kind: Content,
    /// Refuse another key than the one that the devices have
    ///
    /// FILE is the public key that is in the devices.
    #[arg(long, value_name = "FILE", help_heading = "Checks")]
    expect_public: Option<Place>,
    /// Refuse an input file with another SHA-256
    #[arg(long, value_name = "HEX", help_heading = "Checks", hide_short_help = true)]
    expect_sha256: Option<Sha256Digest>,
    /// Refuse a key with another key id
    #[arg(long, value_name = "HEX", value_parser = parse_key_id, help_heading = "Checks", hide_short_help = true)]
    expect_key_id: Option<KeyId>,
    /// Let the image carry this new key, which its devices then trust
    ///
    /// KEYID is a key id or a public key file. You can give this option more than once.
    #[arg(long, value_name = "KEYID", help_heading = "Checks")]
    rotate_to: Vec<NamedKey>,
    /// Sign firmware that holds no public key
    ///
    /// Devices that run such firmware check no further update.
    #[arg(long, help_heading = "Checks")]
    allow_no_key: bool,
    /// Name of the build in the ledger [default: the name from the CI system]
    #[arg(long, value_name = "ID", help_heading = "Evidence", hide_short_help = true)]
    build_id: Option<String>,
    /// Sign a release, which devices in the field get; needs a ledger
    ///
    /// otaseal then refuses a key that is published, weak, readable by other users or in git. It also refuses firmware
    /// of unknown kind that has no key in it.
    #[arg(long, help_heading = "Checks")]
    release: bool,
}

/// The next key as the user names it: by its key id, or by a file with the public key.
#[derive(Debug, Clone)]
enum NamedKey {
    Id(KeyId),
    File(Place),
}

impl From<OsString> for NamedKey {
    fn from(text: OsString) -> Self {
        let id = text.to_str().and_then(|text| parse_key_id(text).ok());
        id.map_or_else(|| Self::File(text.into()), Self::Id)
    }
}

impl NamedKey {
    fn read(&self) -> Result<NextKey, Failure> {
        let place = match self {
            Self::Id(id) => return Ok(NextKey::Id(*id)),
            Self::File(place) => place,
        };
        KeyPlace::from(place).public_key().map(NextKey::Key).map_err(|error| match error {
            SourceError::Read { source, .. } => {
                let Failure { message, help, .. } = Failure::read(place, &source);
                Failure::usage(
                    format_args!("{message}, and it is not a key id of 64 hexadecimal digits"),
                    help,
                )
            }
            error => error.into(),
        })
    }

    fn file(&self) -> Option<&Place> {
        match self {
            Self::Id(_) => None,
            Self::File(place) => Some(place),
        }
    }
}

/// Options for images that otaseal refuses by default.
#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    /// Sign an image that is damaged, or that looks signed already
    ///
    /// It also replaces any file at the output, as --overwrite does.
    #[arg(long, help_heading = "Checks")]
    force: bool,
    /// Replace a file at the output that is no earlier output of this command
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    overwrite: bool,
}

impl ForceArgs {
    pub(crate) fn over(&self, made: Made) -> Replaces {
        made::over(self.force || self.overwrite, made)
    }

    pub(crate) fn apply(&self, policy: &mut Policy) {
        if self.force {
            policy.already_signed = AlreadySigned::Allow;
            policy.damaged = Damaged::Allow;
        }
    }
}

impl PolicyArgs {
    /// Returns the policy of these options and the settings. `key` is the key that signs, if the command has one. The
    /// ledger names the commit of the working tree that holds `input`.
    pub(crate) fn policy(
        &self,
        settings: &Settings,
        key: Option<&SigningKey>,
        input: Option<&Path>,
    ) -> Result<Policy, Failure> {
        let mut policy = self.policy_of_any_key(settings, input)?;
        self.expect_public_key_of(settings, key, &mut policy)?;
        Ok(policy)
    }

    /// Makes the policy expect the public key of the settings, if `key` is the key of the settings.
    pub(crate) fn expect_public_key_of(
        &self,
        settings: &Settings,
        key: Option<&SigningKey>,
        policy: &mut Policy,
    ) -> Result<(), Failure> {
        // The public key of the settings belongs to their private key, not to the example key. With a command, it is
        // the signer's own public key already.
        let belongs = key.is_some_and(|key| !key.is_example) && settings.signer_cmd.is_none();
        let configured = settings.public_key.as_deref().filter(|_| belongs && self.expect_public.is_none());
        let Some(configured) = configured else { return Ok(()) };
        check_unnamed(configured)?;
        policy.expect.public_key = Some(Place::from(configured).public_key()?);
        Ok(())
    }

    /// Returns the policy before the key is known.
    pub(crate) fn policy_of_any_key(
        &self,
        settings: &Settings,
        input: Option<&Path>,
    ) -> Result<Policy, Failure> {
        let mut policy = Policy::default();
        policy.purpose = if self.release { Purpose::Release } else { Purpose::Development };
        policy.content = self.kind;
        policy.continuity.rotate_to = self.rotate_to.iter().map(NamedKey::read).collect::<Result<_, _>>()?;
        policy.continuity.without_key = if self.allow_no_key { WithoutKey::Allow } else { WithoutKey::Judge };
        policy.expect.public_key = self.expect_public.as_ref().map(Place::public_key).transpose()?;
        policy.expect.key_id = self.expect_key_id;
        policy.expect.sha256 = self.expect_sha256;
        policy.expect.flash_mode = settings.expect_flash_mode;
        policy.expect.board.clone_from(&settings.board);
        settings.describe(&mut policy.devices);
        policy.run = this_run().clone();
        policy.ledger = ledger::open(settings, self.build_id.as_deref(), input);
        Ok(policy)
    }

    /// Returns the files that these options and the settings name. No output may replace one of them, and only one
    /// input may be standard input.
    pub(crate) fn inputs(&self, chosen: &Chosen) -> Vec<Place> {
        let settings = &chosen.settings;
        let files = settings.ledger.as_deref().into_iter().chain(settings.public_key.as_deref());
        let next = self.rotate_to.iter().filter_map(NamedKey::file);
        let named = self.expect_public.iter().chain(next).cloned();
        named.chain(files.map(Place::from)).chain(chosen.input()).collect()
    }

    /// Refuses one digest for many inputs.
    pub(crate) fn check_many(&self) -> Result<(), Failure> {
        match self.expect_sha256 {
            None => Ok(()),
            Some(_) => Err(Failure::usage(
                "--expect-sha256 is for one input",
                "run otaseal once for each input, with its own --expect-sha256",
            )),
        }
    }
}

/// Returns warnings about an image that the policy permits: first about the image, then about the gzip, then about the
/// keys in the image.
pub(crate) fn warnings(input: &Place, permit: &Permit<'_>) -> Vec<String> {
    let image = image_warnings(permit.image_findings());
    let gzip =
        permit.gzip_finding().map(|finding| format!("{finding}; {}", finding.advice(Speaker::Program)));
    let keys = permit.continuity().into_iter().flat_map(|keys| keys.warnings());
    image.chain(gzip).chain(keys).map(|warning| format!("{input}: {warning}")).collect()
}

/// Why some devices refuse an image that may be signed, and what to do about it.
pub(crate) fn image_warnings(findings: &[ImageFinding]) -> impl Iterator<Item = String> {
    findings.iter().map(|finding| format!("{finding}; {}", finding.advice(Speaker::Program)))
}

/// Returns warnings about a key that may sign. It omits a published key, because every report has its own warning for
/// that.
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
    /// Makes a failure from a refusal of the policy, and adds the file name, which the library does not know.
    pub(crate) fn policy(input: &Place, error: PolicyError) -> Self {
        match error {
            PolicyError::Sign(SignError::Read(error)) => Self::read(input, &error),
            PolicyError::Guard(GuardError::OtherKey { .. } | GuardError::OtherKeyId { .. }) => error.into(),
            PolicyError::Guard(_)
            | PolicyError::Continuity(_)
            | PolicyError::Tokens(_)
            | PolicyError::Gzip(_)
            | PolicyError::Sign(SignError::Empty | SignError::AlreadySigned { .. }) => {
                Self::new(format_args!("{input}: {error}"), error.advice(Speaker::Program))
            }
            error => error.into(),
        }
    }
}
