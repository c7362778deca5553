//! Every setting, declared once. The help of both programs, the settings file, the precedence and the tables of
//! docs/settings.md come from here.

use super::setting::Command::{
    self, Attach, Compress, Digest, Package, Pubkey, Release, Sign, SigningPy, Verify, XtaskKeygen,
    XtaskPubkey, XtaskSign, XtaskVerify,
};
use super::setting::{Section, Setting};
use super::values::{self, Kind};
use super::{Emit, Fallback};
use crate::format::gzip::Effort;
use crate::format::image::esp8266::FlashMode;
use crate::format::metadata::Label;
use crate::package::ArtefactKind;
use crate::package::evidence::{Advisory, SupportDate};
use crate::profile::Profile;
use crate::profile::fit::FlashLayout;
use crate::sign::command::{CommandInput, SigningCommand};
use serde::Deserializer;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Declares the settings: documentation comment, name, field, type, the way in which a value is read, and the rest of
/// its [`Setting`].
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:literal $field:ident: $type:ty as $kind:ident { $($more:tt)* })+) => {
        /// Settings of one project. Every field may be left out.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $field: Option<$type>,)+
        }

        /// Every setting, in the order of the documentation.
        pub const SETTINGS: &[Setting] =
            &[$(Setting { $($more)* }.named($name, concat!($($doc, "\n"),+))),+];

        impl Settings {
            /// These settings, and `other`'s where these say nothing.
            ///
            /// Some settings belong together: where these name a key or a command that signs, all that `other` says of
            /// either does not count.
            #[must_use]
            pub fn or(self, mut other: Self) -> Self {
                let said = SETTINGS.iter().filter(|setting| self.has(setting.name));
                said.flat_map(|setting| setting.shadows).for_each(|name| other.clear(name));
                Self { $($field: self.$field.or(other.$field)),+ }
            }

            /// Whether this setting is there.
            pub fn has(&self, name: &str) -> bool {
                match name {
                    $($name => self.$field.is_some(),)+
                    _ => false,
                }
            }

            pub(super) fn clear(&mut self, name: &str) {
                match name {
                    $($name => self.$field = None,)+
                    _ => {}
                }
            }

            /// Sets one setting from the text of a command line.
            ///
            /// # Errors
            /// What is wrong with the text, in words.
            pub fn set(&mut self, name: &str, text: &OsStr) -> Result<(), String> {
                match name {
                    $($name => self.$field = Some(<values::$kind as Kind<$type>>::from_text(text)?),)+
                    _ => return Err(format!("there is no setting `{name}`")),
                }
                Ok(())
            }

            /// Reads the value of one setting from a file. The caller has checked the name.
            pub(super) fn read<'de, D: Deserializer<'de>>(&mut self, name: &str, value: D) -> Result<(), D::Error> {
                match name {
                    $($name => self.$field = Some(<values::$kind as Kind<$type>>::from_file(value)?),)+
                    _ => {}
                }
                Ok(())
            }

            /// Takes the directory `here` away from every path that begins with it.
            pub fn shorten(&mut self, here: &Path) {
                $(if let Some(value) = &mut self.$field {
                    <values::$kind as Kind<$type>>::shorten(value, here);
                })+
            }

            /// Makes every path relative to `base`: the directory of the file, or the one in which a command line was
            /// typed.
            pub fn rebase(&mut self, base: &Path) {
                $(if let Some(value) = &mut self.$field {
                    <values::$kind as Kind<$type>>::rebase(value, base);
                })+
            }
        }
    };
}

const KEYS: Setting = Setting::of(Section::Keys);
const BUILD: Setting = Setting { both: &[XtaskSign], ..Setting::of(Section::Build) };
const PACKAGE: Setting = Setting { both: PACKAGERS, ..Setting::of(Section::Package) };
const DEVICES: Setting = Setting { both: PACKAGERS, ..Setting::of(Section::Devices) };
const EVIDENCE: Setting = Setting { both: PACKAGERS, ..Setting::of(Section::Evidence) };

const XTASK: &[Command] = &[XtaskSign, XtaskKeygen, XtaskPubkey, XtaskVerify];
const PACKAGERS: &[Command] = &[XtaskSign, Package];
const BY_COMMAND: &[Command] = &[XtaskSign, XtaskPubkey, Package, Sign, SigningPy];
const ONE_COMMAND: &[Command] = &[Pubkey, Release];
const SIGNERS: &[Command] = &[XtaskSign, Package, Sign, Digest, Attach, SigningPy];

settings! {
    /// Private key: a file (PKCS#8 or PKCS#1, PEM or DER), or a key in a token (pkcs11:token=NAME;object=NAME)
    "key" key: PathBuf as File {
        value: "KEY",
        default: "keys/private.pem",
        both: &[XtaskSign, XtaskKeygen, XtaskPubkey, XtaskVerify, Package, Sign],
        file_only: &[Digest, Attach, Verify, SigningPy],
        option_only: &[Release],
        shadows: &["example-key", "signer-cmd", "signer-cmd-input", "signer-timeout"],
        ..KEYS
    }
    /// Public key; with a command that signs, the public half of its key
    ///
    /// Where a token or a command has the private key, the default is `keys/public.pem`.
    "public-key" public_key: PathBuf as File {
        value: "FILE",
        default: "public.pem beside the private key",
        both: XTASK,
        file_only: &[Package, Sign, Digest, Attach, Verify, SigningPy],
        ..KEYS
    }
    /// Published private key that signs, with a warning, while the file of `key` does not exist
    "example-key" example_key: PathBuf as File {
        value: "FILE",
        file_only: &[XtaskSign, XtaskPubkey, XtaskVerify, Package, Sign, SigningPy],
        ..KEYS
    }
    /// Command that signs in place of a key, run without a shell: it gets the DigestInfo on standard input and writes the
    /// signature to standard output (raw, hexadecimal or base64)
    ///
    /// It runs in the directory of the file that names it.
    "signer-cmd" signer_cmd: SigningCommand as Command {
        value: "COMMAND",
        both: BY_COMMAND,
        file_only: &[XtaskKeygen, XtaskVerify],
        option_only: ONE_COMMAND,
        shadows: &["key", "example-key", "signer-cmd-input", "signer-timeout"],
        ..KEYS
    }
    /// Input of the command: digest-info (51 bytes, for a signer that only pads) or digest (32 bytes, for a signer that
    /// makes the DigestInfo by itself)
    "signer-cmd-input" signer_cmd_input: CommandInput as Parsed {
        value: "INPUT",
        default: "digest-info",
        both: BY_COMMAND,
        option_only: ONE_COMMAND,
        belongs_to: Some("signer-cmd"),
        ..KEYS
    }
    /// Seconds that the command may take, 1 to 86400; then otaseal kills it
    "signer-timeout" signer_timeout: Duration as Seconds {
        value: "SECONDS",
        default: "60",
        both: BY_COMMAND,
        option_only: ONE_COMMAND,
        belongs_to: Some("signer-cmd"),
        ..KEYS
    }
    /// Files that get the public key: a list of tables, see below
    "emit" emit: Vec<Emit> as Table { file_only: &[XtaskPubkey], ..KEYS }

    /// The Cargo package that is the firmware
    "package" package: String as Word {
        value: "NAME",
        default: "the only package with settings, else the only one with a binary",
        both: XTASK,
        ..BUILD
    }
    /// The `Cargo.toml` of a firmware that belongs to another workspace
    "manifest-path" manifest_path: PathBuf as File {
        value: "FILE",
        default: "this workspace",
        both: &[],
        file_only: XTASK,
        ..BUILD
    }
    /// Binary of the package
    "bin" bin: String as Word {
        value: "NAME",
        default: "its only one, or default-run",
        file_only: &[XtaskVerify],
        ..BUILD
    }
    /// Cargo profile
    "profile" profile: String as Word { value: "NAME", default: "release", ..BUILD }
    /// Cargo target to build for
    "target" target: String as Word { value: "TRIPLE", default: "the target of Cargo's own configuration", ..BUILD }
    /// Cargo features, a list
    "features" features: Vec<String> as Word { value: "A,B", is_list: true, ..BUILD }
    /// Another toolchain, for machines without `core` for the target: a table, see below
    "fallback" fallback: Fallback as Table { both: &[], file_only: &[XtaskSign], ..BUILD }
    /// Image to package, with a note, on machines that cannot build for the target
    "prebuilt" prebuilt: PathBuf as File { value: "FILE", both: &[], file_only: &[XtaskSign], ..BUILD }
    /// Build of another tool to package (.elf or .bin); Cargo builds nothing then
    "firmware" firmware: PathBuf as File { value: "FILE", file_only: &[XtaskVerify, Package], ..BUILD }

    /// Directory of the package; otaseal makes it when it is missing
    ///
    /// One directory holds one package.
    "out-dir" out_dir: PathBuf as File {
        value: "DIR",
        default: "dist",
        xtask_default: Some("target/otaseal/NAME"),
        both: &[XtaskSign, XtaskVerify, Package],
        ..PACKAGE
    }
    /// Start of every file name
    "name" name: String as Parsed {
        value: "BASE",
        default: "the build's name without its ending",
        xtask_default: Some("the binary's name"),
        both: &[XtaskSign, XtaskVerify, Package],
        ..PACKAGE
    }
    /// Artefacts to make, a list: plain, gz, signed, gz-signed, legacy-sig
    "artefacts" artefacts: Vec<ArtefactKind> as List {
        value: "KINDS",
        is_list: true,
        default: "all but legacy-sig",
        shadows: &["legacy"],
        ..PACKAGE
    }
    /// Whether to make NAME.bin.legacy_sig, for esp8266 core 2.5.0 to 2.5.2, or to omit it
    "legacy" legacy: bool as Plain { value: Setting::SWITCH, default: "what artefacts says", ..PACKAGE }
    /// How hard to compress: fast, default or max
    "effort" effort: Effort as Parsed {
        value: "EFFORT",
        default: "default",
        both: &[XtaskSign, Package, Compress],
        ..PACKAGE
    }
    /// Largest hole between two ELF sections that otaseal fills with FF, in bytes
    "max-gap" max_gap: usize as Plain {
        value: "BYTES",
        default: "262144",
        file_only: &[Verify, Compress],
        ..PACKAGE
    }

    /// Devices that the package is for, a list: esp8266@VERSION, arduino-pico, homie-mqtt or otaseal-device; /unsigned
    /// behind one for a build without a key
    ///
    /// otaseal makes only the artefacts that one of them accepts, of `artefacts` or else of all.
    "for" devices: Vec<Profile> as List { value: "DEVICES", is_list: true, ..DEVICES }
    /// Flash layout of the devices, as the Arduino core calls it, such as 4m1m
    "flash-layout" flash_layout: FlashLayout as Parsed {
        value: "LAYOUT",
        both: &[XtaskSign, Package, Verify],
        ..DEVICES
    }
    /// Mode in which the devices read their flash: qio, qout, dio or dout
    "flash-mode" flash_mode: FlashMode as Parsed {
        value: "MODE",
        default: "expect-flash-mode, else the mode of the image",
        both: &[XtaskSign, Package, Verify],
        ..DEVICES
    }
    /// Refuse an image of another flash mode, also inside a gzip: qio, qout, dio or dout
    "expect-flash-mode" expect_flash_mode: FlashMode as Parsed {
        value: "MODE",
        both: SIGNERS,
        file_only: &[Verify],
        shadows: &["flash-mode"],
        ..DEVICES
    }
    /// Flash mode to write into an ESP8266 image first: qio, qout, dio or dout
    "set-flash-mode" set_flash_mode: FlashMode as Parsed { value: "MODE", default: "the mode of the build", ..DEVICES }

    /// Say in the signed bytes what the firmware is: name, version, flash mode, length, digest, key id
    "metadata" metadata: bool as Plain {
        value: Setting::SWITCH,
        default: "true with board or min-base-version",
        ..EVIDENCE
    }
    /// Say in the signed bytes which board the firmware is for; implies metadata
    "board" board: Label as Parsed { value: "BOARD", shadows: &["metadata"], ..EVIDENCE }
    /// Say in the signed bytes the oldest version that devices may update from; implies metadata
    "min-base-version" min_base_version: Label as Parsed { value: "VERSION", shadows: &["metadata"], ..EVIDENCE }
    /// Last day of support, for the manifest: YYYY-MM-DD
    "support-until" support_until: SupportDate as Parsed { value: "DAY", ..EVIDENCE }
    /// Whether the release mends a vulnerability, for the manifest
    "security" security: bool as Plain { value: Setting::SWITCH, ..EVIDENCE }
    /// Where the vulnerability is described, for the manifest
    "advisory" advisory: Advisory as Parsed { value: "URL", ..EVIDENCE }
    /// Software bill of materials (CycloneDX or SPDX, JSON) that joins the package
    "sbom" sbom: PathBuf as File { value: "FILE", xtask_option: Some("sbom-file"), ..EVIDENCE }
    /// Ledger: otaseal enters every signature here before the signed file gets its name, and makes it when it is missing
    ///
    /// A release needs one.
    "ledger" ledger: PathBuf as Ledger {
        value: "FILE",
        both: &[XtaskSign, Package, Sign, Digest, Attach, SigningPy, Release],
        ..EVIDENCE
    }
}
