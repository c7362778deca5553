//! What is known of a setting beside its value.

/// One setting, for help and documentation.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Setting {
    /// Its name in a settings file. Its option is `--NAME`.
    pub name: &'static str,
    /// Its documentation comment.
    pub(super) text: &'static str,
    /// The placeholder of its value, such as `FILE`; [`Setting::SWITCH`] where the option needs none.
    pub value: &'static str,
    /// Whether it is a list; commas separate its items on a command line.
    pub is_list: bool,
    /// The default, in words; empty where there is none.
    pub default: &'static str,
    /// The default of `cargo xtask`, where that differs.
    pub xtask_default: Option<&'static str>,
    /// Its option in `cargo xtask`, where that has another name.
    pub xtask_option: Option<&'static str>,
    /// Where the documentation lists it.
    pub section: Section,
    /// The commands that read it from a settings file and have an option for it.
    pub both: &'static [Command],
    /// The commands that read it from a settings file and have no option for it.
    pub file_only: &'static [Command],
    /// The commands that have an option for it and read no settings file for it.
    pub option_only: &'static [Command],
    /// Settings of a lower level that do not count where this one is set.
    pub(super) shadows: &'static [&'static str],
    /// The setting without which this one has no meaning.
    pub belongs_to: Option<&'static str>,
}

/// A part of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Section {
    /// Who signs.
    Keys,
    /// What is built.
    Build,
    /// What is made of the build.
    Package,
    /// The devices that it is made for.
    Devices,
    /// What the package says of itself.
    Evidence,
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
}

impl Command {
    /// The program, and the name of the command in it.
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
        }
    }

    fn is_xtask(self) -> bool {
        self.name().0 == "cargo xtask"
    }

    /// The settings that this command has an option for.
    pub fn options(self) -> impl Iterator<Item = &'static Setting> {
        let has =
            move |setting: &&Setting| setting.both.contains(&self) || setting.option_only.contains(&self);
        super::SETTINGS.iter().filter(has)
    }

    /// Whether this command reads a settings file.
    pub fn reads_file(self) -> bool {
        super::SETTINGS
            .iter()
            .any(|setting| setting.both.contains(&self) || setting.file_only.contains(&self))
    }
}

impl Setting {
    /// The value of a setting that is on or off.
    pub const SWITCH: &str = "true|false";

    /// What every setting starts from.
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

    /// The name of its option on a command, without the dashes.
    pub fn option(&self, command: Command) -> &'static str {
        self.xtask_option.filter(|_| command.is_xtask()).unwrap_or(self.name)
    }

    /// Its default on a command, in words; empty where there is none.
    pub fn default(&self, command: Command) -> &'static str {
        self.xtask_default.filter(|_| command.is_xtask()).unwrap_or(self.default)
    }

    /// Whether its option needs no value.
    pub fn is_switch(&self) -> bool {
        self.value == Self::SWITCH
    }

    /// The line of help: the first paragraph of its documentation comment.
    pub fn help(&self) -> String {
        self.paragraphs().next().unwrap_or_default()
    }

    /// The help as sentences in Markdown, and all that follows it in the documentation comment.
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
