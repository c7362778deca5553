//! Describes a setting: its name, help and default, and the commands that read it.

/// One setting, for help and documentation.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Setting {
    /// Its name in a settings file. Its option is `--NAME`.
    pub name: &'static str,
    /// Its documentation comment.
    pub(super) text: &'static str,
    /// The placeholder of its value, such as `FILE`. [`Setting::SWITCH`] if the option needs no value.
    pub value: &'static str,
    /// Whether it is a list. Commas separate the items on a command line.
    pub is_list: bool,
    /// The default, in words. Empty if there is none.
    pub default: &'static str,
    /// The default of `cargo xtask`, if it differs.
    pub xtask_default: Option<&'static str>,
    /// Its option in `cargo xtask`, if it has another name there.
    pub xtask_option: Option<&'static str>,
    /// The part of the documentation that lists it.
    pub section: Section,
    /// The heading of its option in the help of a command.
    pub heading: Heading,
    /// Whether it is one of the most used settings. Help shows their options first, and a summary shows no others.
    pub usual: bool,
    /// The commands that read it from a settings file and have an option for it.
    pub both: &'static [Command],
    /// The commands that read it from a settings file and have no option for it.
    pub file_only: &'static [Command],
    /// The commands that have an option for it and do not read it from a settings file.
    pub option_only: &'static [Command],
    /// If this setting is set, these settings of a lower level do not count.
    pub(super) shadows: &'static [&'static str],
    /// The setting that this one needs.
    pub belongs_to: Option<&'static str>,
}

/// A part of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Section {
    /// The key or command that signs.
    Keys,
    /// The build of the firmware.
    Build,
    /// The package that otaseal makes of the build.
    Package,
    /// The devices that the package is for.
    Devices,
    /// Facts about the firmware, in its metadata and in the manifest.
    Evidence,
}

impl Section {
    /// Returns the heading of most options for its settings.
    const fn heading(self) -> Heading {
        match self {
            Self::Keys => Heading::Key,
            Self::Build => Heading::General,
            Self::Package => Heading::Output,
            Self::Devices => Heading::Devices,
            Self::Evidence => Heading::Evidence,
        }
    }
}

/// A heading in the help of a command, in the order in which help shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Heading {
    /// The key, and what opens it.
    Key,
    /// What the command makes, and where.
    Output,
    /// The devices that the image is for.
    Devices,
    /// What the command refuses.
    Checks,
    /// What the ledger, the manifest and the metadata say.
    Evidence,
    /// All other options.
    General,
}

impl Heading {
    /// Returns its text, without a colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "Key",
            Self::Output => "Output",
            Self::Devices => "Devices",
            Self::Checks => "Checks",
            Self::Evidence => "Evidence",
            Self::General => "General",
        }
    }
}

/// A command that reads settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// `cargo xtask sign`
    XtaskSign,
    /// `cargo xtask keygen`
    XtaskKeygen,
    /// `cargo xtask pubkey`
    XtaskPubkey,
    /// `cargo xtask verify`
    XtaskVerify,
    /// `otaseal package`
    Package,
    /// `otaseal sign`
    Sign,
    /// `otaseal digest`
    Digest,
    /// `otaseal attach`
    Attach,
    /// `otaseal verify`
    Verify,
    /// `otaseal compress`
    Compress,
    /// `otaseal signing-py`
    SigningPy,
    /// `otaseal release`
    Release,
    /// `otaseal pubkey`
    Pubkey,
    /// `otaseal doctor`
    Doctor,
}

impl Command {
    /// Returns the program, and the name of the command in it.
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::XtaskSign => ("cargo xtask", "sign"),
            Self::XtaskKeygen => ("cargo xtask", "keygen"),
            Self::XtaskPubkey => ("cargo xtask", "pubkey"),
            Self::XtaskVerify => ("cargo xtask", "verify"),
            Self::Package => ("otaseal", "package"),
            Self::Sign => ("otaseal", "sign"),
            Self::Digest => ("otaseal", "digest"),
            Self::Attach => ("otaseal", "attach"),
            Self::Verify => ("otaseal", "verify"),
            Self::Compress => ("otaseal", "compress"),
            Self::SigningPy => ("otaseal", "signing-py"),
            Self::Release => ("otaseal", "release"),
            Self::Pubkey => ("otaseal", "pubkey"),
            Self::Doctor => ("otaseal", "doctor"),
        }
    }

    /// Returns the command of a program that has this name and reads settings.
    pub fn named(program: &str, name: &str) -> Option<Self> {
        let commands =
            super::SETTINGS.iter().flat_map(|setting| setting.both.iter().chain(setting.option_only));
        commands.copied().find(|command| command.name() == (program, name))
    }

    fn is_xtask(self) -> bool {
        self.name().0 == "cargo xtask"
    }

    /// Returns the settings that this command has an option for.
    pub fn options(self) -> impl Iterator<Item = &'static Setting> {
        let has =
            move |setting: &&Setting| setting.both.contains(&self) || setting.option_only.contains(&self);
        super::SETTINGS.iter().filter(has)
    }

    /// Returns whether this command reads a settings file.
    pub fn reads_file(self) -> bool {
        super::SETTINGS
            .iter()
            .any(|setting| setting.both.contains(&self) || setting.file_only.contains(&self))
    }
}

impl Setting {
    /// The placeholder of a setting that is on or off.
    pub const SWITCH: &str = "true|false";

    /// Makes an empty setting, for a table entry to start from.
    pub(super) const fn of(section: Section) -> Self {
        Self {
            name: "",
            text: "",
            value: "",
            is_list: false,
            default: "",
            xtask_default: None,
            xtask_option: None,
            section,
            heading: section.heading(),
            usual: false,
            both: &[],
            file_only: &[],
            option_only: &[],
            shadows: &[],
            belongs_to: None,
        }
    }

    /// Gives it the name and the documentation comment of its field.
    pub(super) const fn named(self, name: &'static str, text: &'static str) -> Self {
        Self { name, text, ..self }
    }

    /// Returns the name of its option on a command, without the dashes.
    pub fn option(&self, command: Command) -> &'static str {
        self.xtask_option.filter(|_| command.is_xtask()).unwrap_or(self.name)
    }

    /// Returns its default on a command, in words. Empty if there is none.
    pub fn default(&self, command: Command) -> &'static str {
        self.xtask_default.filter(|_| command.is_xtask()).unwrap_or(self.default)
    }

    /// Returns whether its option needs no value.
    pub fn is_switch(&self) -> bool {
        self.value == Self::SWITCH
    }

    /// Returns its summary: the first paragraph of its documentation comment.
    pub fn summary(&self) -> String {
        self.paragraphs().next().unwrap_or_default()
    }

    /// Returns the whole documentation comment, as sentences in Markdown.
    pub fn documentation(&self) -> String {
        self.paragraphs()
            .map(|text| text.trim_end_matches('.').to_owned() + ".")
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn paragraphs(&self) -> impl Iterator<Item = String> {
        let paragraphs = self.text.split("\n\n");
        paragraphs.map(|text| text.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
    }
}
