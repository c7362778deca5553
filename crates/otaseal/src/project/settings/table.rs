//! Declares every setting, once. The help of both programs, the settings file, the precedence and the tables in
//! docs/reference/settings.md come from these declarations.

use super::setting::Command::{
    self, Attach, Compress, Digest, Doctor, Package, Pubkey, Release, Sign, SigningPy, Verify, XtaskKeygen,
    XtaskPubkey, XtaskSign, XtaskVerify,
};
use super::setting::{Heading, Section, Setting};
use super::values::{self, Kind};
use super::{Emit, Fallback};
use crate::format::gzip::Effort;
use crate::format::image::esp8266::FlashMode;
use crate::format::metadata::Label;
use crate::package::ArtefactKind;
use crate::package::evidence::{Advisory, SupportDate};
use crate::profile::fit::FlashLayout;
use crate::profile::{PartitionScheme, Profile, Via};
use crate::sign::command::{CommandInput, SigningCommand};
use serde::Deserializer;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Declares the settings. An entry has a documentation comment, a name, a field, a type, the [`Kind`] that reads a
/// value, and the rest of its [`Setting`].
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:literal $field:ident: $type:ty as $kind:ident { $($more:tt)* })+) => {
        /// Settings of one project. Every field is optional.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $field: Option<$type>,)+
        }

        /// Every setting, in the order of the documentation.
        pub const SETTINGS: &[Setting] =
            &[$(Setting { $($more)* }.named($name, concat!($($doc, "\n"),+))),+];

        impl Settings {
            /// Returns these settings, with the missing ones taken from `other`.
            ///
            /// The settings of the signer go together. If these name a key or a command that signs, both kinds of
            /// signer settings in `other` do not count.
            #[must_use]
            pub fn or(self, mut other: Self) -> Self {
                let said = SETTINGS.iter().filter(|setting| self.has(setting.name));
                said.flat_map(|setting| setting.shadows).for_each(|name| other.clear(name));
                Self { $($field: self.$field.or(other.$field)),+ }
            }

            /// Returns whether this setting is set.
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
            /// A message that says what is wrong with the text.
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

            /// Removes the directory `here` from the start of every path that begins with it.
            pub fn shorten(&mut self, here: &Path) {
                $(if let Some(value) = &mut self.$field {
                    <values::$kind as Kind<$type>>::shorten(value, here);
                })+
            }

            /// Makes every path relative to `base`. That is the directory of the settings file, or the current
            /// directory for a command line.
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
    /// Private key: a file or a key in a token
    ///
    /// The file holds PKCS#8 or PKCS#1, as PEM or DER. The name of a key in a token is a URI:
    /// pkcs11:token=NAME;object=NAME.
    "key" key: PathBuf as File {
        usual: true,
        value: "KEY",
        default: "keys/private.pem",
        both: &[XtaskSign, XtaskKeygen, XtaskPubkey, XtaskVerify, Package, Sign, Doctor],
        file_only: &[Digest, Attach, Verify, SigningPy],
        option_only: &[Release],
        shadows: &["example-key", "signer-cmd", "signer-cmd-input", "signer-timeout"],
        ..KEYS
    }
    /// Public key of the private key, or of the command that signs
    ///
    /// If a token or a command has the private key, the default is `keys/public.pem`.
    "public-key" public_key: PathBuf as File {
        value: "FILE",
        default: "public.pem beside the private key",
        both: XTASK,
        file_only: &[Package, Sign, Digest, Attach, Verify, SigningPy, Doctor],
        ..KEYS
    }
    /// Published private key, which signs as long as the file of `key` does not exist; otaseal warns you
    "example-key" example_key: PathBuf as File {
        value: "FILE",
        file_only: &[XtaskSign, XtaskPubkey, XtaskVerify, Package, Sign, SigningPy, Doctor],
        ..KEYS
    }
    /// Command that signs: it reads the DigestInfo and writes the signature
    ///
    /// It reads standard input and writes to standard output. The signature is raw, hexadecimal or base64. otaseal uses no shell, and runs the command in the directory of the
    /// file that names it.
    "signer-cmd" signer_cmd: SigningCommand as Command {
        value: "COMMAND",
        both: BY_COMMAND,
        file_only: &[XtaskKeygen, XtaskVerify, Doctor],
        option_only: ONE_COMMAND,
        shadows: &["key", "example-key", "signer-cmd-input", "signer-timeout"],
        ..KEYS
    }
    /// Input of the command: digest-info or digest
    ///
    /// `digest-info` is 51 bytes, for a signer that only pads. `digest` is 32 bytes, for a signer that makes the
    /// DigestInfo itself.
    "signer-cmd-input" signer_cmd_input: CommandInput as Parsed {
        value: "INPUT",
        default: "digest-info",
        both: BY_COMMAND,
        option_only: ONE_COMMAND,
        belongs_to: Some("signer-cmd"),
        file_only: &[Doctor],
        ..KEYS
    }
    /// Time limit of the command in seconds, 1 to 86400; otaseal then kills it
    "signer-timeout" signer_timeout: Duration as Seconds {
        value: "SECONDS",
        default: "60",
        both: BY_COMMAND,
        option_only: ONE_COMMAND,
        belongs_to: Some("signer-cmd"),
        file_only: &[Doctor],
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
    /// Image to package on machines that cannot build for the target; otaseal tells you
    "prebuilt" prebuilt: PathBuf as File { value: "FILE", both: &[], file_only: &[XtaskSign], ..BUILD }
    /// Firmware that another tool built (.elf or .bin); Cargo then builds nothing
    "firmware" firmware: PathBuf as File { value: "FILE", file_only: &[XtaskVerify, Package], ..BUILD }

    /// Directory of the package
    ///
    /// otaseal makes it if it is missing. One directory holds one package.
    "out-dir" out_dir: PathBuf as File {
        usual: true,
        value: "DIR",
        default: "dist",
        xtask_default: Some("target/otaseal/NAME"),
        both: &[XtaskSign, XtaskVerify, Package],
        ..PACKAGE
    }
    /// Start of every file name
    "name" name: String as Parsed {
        usual: true,
        value: "BASE",
        default: "the build's name without extension",
        xtask_default: Some("the binary's name"),
        both: &[XtaskSign, XtaskVerify, Package],
        ..PACKAGE
    }
    /// Artefacts to make, a list
    ///
    /// The artefacts are plain, gz, signed, gz-signed and legacy-sig.
    "artefacts" artefacts: Vec<ArtefactKind> as List {
        usual: true,
        value: "KINDS",
        is_list: true,
        default: "all but legacy-sig",
        shadows: &["legacy"],
        ..PACKAGE
    }
    /// Make NAME.bin.legacy_sig too, for esp8266 core 2.5.0 to 2.5.2
    "legacy" legacy: bool as Plain { value: Setting::SWITCH, default: "true if artefacts lists legacy-sig", ..PACKAGE }
    /// Compression effort: fast, default or max
    "effort" effort: Effort as Parsed {
        usual: true,
        value: "EFFORT",
        default: "default",
        both: &[XtaskSign, Package, Compress],
        ..PACKAGE
    }
    /// Largest gap between two ELF sections that otaseal fills with FF, in bytes
    "max-gap" max_gap: usize as Plain {
        value: "BYTES",
        default: "262144",
        file_only: &[Verify, Compress, Doctor],
        ..PACKAGE
    }

    /// Devices that get the firmware, a list, such as esp8266@3.1.2
    ///
    /// The devices are esp8266@VERSION, arduino-pico, homie-mqtt, otaseal-device, esp32@VERSION (or esp32c3, esp32s3,
    /// ...) and tasmota-esp8266. Add /unsigned to a device that has no key. The version of an ESP32 core is 1.x, 2.x, 3.x or a release such as 3.3.8. For devices of the ESP32 family and for
    /// Tasmota, /unsigned changes nothing: they check no signature that otaseal makes.
    ///
    /// otaseal makes an artefact only if one of these devices accepts it. Without `artefacts`, it tries all kinds. If
    /// none of the devices checks a signature, `package` makes no signed artefact and looks for no key. `sign` refuses an
    /// image that none of them accepts.
    "for" devices: Vec<Profile> as List {
        usual: true,
        value: "DEVICES",
        is_list: true,
        both: &[XtaskSign, Package, Sign],
        file_only: &[Attach, SigningPy, Doctor],
        ..DEVICES
    }
    /// Flash layout of the devices, by its Arduino name, such as 4m1m
    "flash-layout" flash_layout: FlashLayout as Parsed {
        usual: true,
        value: "LAYOUT",
        both: &[XtaskSign, Package, Sign, Verify],
        file_only: &[Attach, SigningPy, Doctor],
        ..DEVICES
    }
    /// Partition scheme of ESP32 devices, by its name in arduino-esp32, such as min_spiffs
    "partition-scheme" partition_scheme: PartitionScheme as Parsed {
        value: "SCHEME",
        both: &[XtaskSign, Package, Sign, Verify],
        file_only: &[Attach, SigningPy, Doctor],
        ..DEVICES
    }
    /// Ways in which updates reach the devices, a list: http, espota, form
    ///
    /// `http` is a pull by `ESPhttpUpdate` or `HTTPUpdate`, `espota` a push to `ArduinoOTA`, `form` the web form of
    /// `HTTPUpdateServer`. An artefact has to be accepted in each of these ways.
    "via" via: Vec<Via> as List {
        value: "WAYS",
        is_list: true,
        default: "every way that a device has",
        both: &[XtaskSign, Package, Sign, Verify],
        file_only: &[Attach, SigningPy, Doctor],
        ..DEVICES
    }
    /// The esp8266 core of the devices was built with ATOMIC_FS_UPDATE
    ///
    /// Such a core stages a filesystem image as it stages firmware, and inflates a gzip. The macro counts in the flags
    /// of the core's build, not in a sketch.
    "atomic-fs-update" atomic_fs_update: bool as Plain {
        value: Setting::SWITCH,
        default: "false",
        both: &[Package, Sign, Verify],
        file_only: &[Attach, SigningPy, Doctor],
        ..DEVICES
    }
    /// Mode in which the devices read their flash: qio, qout, dio or dout
    "flash-mode" flash_mode: FlashMode as Parsed {
        value: "MODE",
        default: "expect-flash-mode, else the mode of the image",
        both: &[XtaskSign, Package, Sign, Verify],
        file_only: &[Attach, SigningPy, Doctor],
        ..DEVICES
    }
    /// Refuse an image of another flash mode, also inside a gzip: qio, qout, dio or dout
    "expect-flash-mode" expect_flash_mode: FlashMode as Parsed {
        heading: Heading::Checks,
        value: "MODE",
        both: SIGNERS,
        file_only: &[Verify, Doctor],
        shadows: &["flash-mode"],
        ..DEVICES
    }
    /// Flash mode to write into an ESP8266 image before signing: qio, qout, dio or dout
    "set-flash-mode" set_flash_mode: FlashMode as Parsed {
        heading: Heading::Output,
        value: "MODE",
        default: "the mode of the build",
        ..DEVICES
    }

    /// Add metadata to the signed bytes: name, version, flash mode, length, digest, key id
    "metadata" metadata: bool as Plain {
        value: Setting::SWITCH,
        default: "true with board or min-base-version",
        ..EVIDENCE
    }
    /// Board that the firmware is for, for the metadata; implies metadata
    ///
    /// otaseal refuses an image that says of itself that it is for another board or chip. A name of your own for a
    /// board contradicts no image.
    "board" board: Label as Parsed {
        value: "BOARD",
        file_only: &[Sign, Digest, Attach, SigningPy, Doctor],
        shadows: &["metadata"],
        ..EVIDENCE
    }
    /// Oldest version that devices may update from, for the metadata; implies metadata
    "min-base-version" min_base_version: Label as Parsed { value: "VERSION", shadows: &["metadata"], ..EVIDENCE }
    /// Last day of support, for the manifest: YYYY-MM-DD
    "support-until" support_until: SupportDate as Parsed { value: "DAY", ..EVIDENCE }
    /// Say in the manifest that the release fixes a vulnerability
    "security" security: bool as Plain { value: Setting::SWITCH, ..EVIDENCE }
    /// Page that describes the vulnerability, for the manifest
    "advisory" advisory: Advisory as Parsed { value: "URL", ..EVIDENCE }
    /// Software bill of materials (CycloneDX or SPDX, JSON) to put into the package
    "sbom" sbom: PathBuf as File { value: "FILE", xtask_option: Some("sbom-file"), ..EVIDENCE }
    /// Ledger that gets a line for every signature
    ///
    /// otaseal makes the file if it is missing. It writes the line before the signed file gets its name. A release needs a ledger.
    "ledger" ledger: PathBuf as Ledger {
        usual: true,
        value: "FILE",
        both: &[XtaskSign, Package, Sign, Digest, Attach, SigningPy, Release],
        file_only: &[Doctor],
        ..EVIDENCE
    }
}
