//! Reads the settings of a command: from its options, and from the settings file for the rest.

use crate::defaults::Assumed;
use crate::error::{Exit, Failure};
use crate::io::{Place, check_unnamed, refuse_std};
use crate::report::Outcome;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, ValueHint};
use otaseal::project::settings::{Command, Heading, Setting, Settings, SigningKey};
use otaseal::sign::source::{KeyPlace, KeySource};
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// A command that has settings.
pub(crate) trait HasSettings {
    const COMMAND: Command;
}

/// The options of one command that are settings. The library's table declares them.
#[derive(Debug)]
pub(crate) struct SettingArgs<C> {
    given: Settings,
    config: Option<Place>,
    command: PhantomData<fn() -> C>,
}

const CONFIG: &str = "config";

fn arg(setting: &'static Setting, command: Command) -> Arg {
    let name = setting.name;
    // The library parses the value, and its error says what is wrong.
    let check = move |text: OsString| Settings::default().set(name, &text).map(|()| text);
    let arg = Arg::new(name)
        .long(setting.option(command))
        .value_name(setting.value)
        .value_parser(OsStringValueParser::new().try_map(check))
        .help_heading(setting.heading.name())
        .hide_short_help(!setting.usual);
    let arg = match setting.value {
        "FILE" | "DIR" | "KEY" => arg.value_hint(ValueHint::AnyPath),
        Setting::SWITCH => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    };
    let arg = if setting.is_list { arg.action(ArgAction::Append) } else { arg };
    match name {
        "key" => arg.short('k'),
        "out-dir" => arg.short('o'),
        "signer-cmd" => {
            let arg = arg.conflicts_with("passphrase");
            // With a command, --key names the command's public key.
            if command.options().any(|setting| setting.name == "key") { arg.requires("key") } else { arg }
        }
        _ => setting.belongs_to.into_iter().fold(arg, |arg, other| arg.requires(other)),
    }
}

/// Adds the help of the option, if it is for a setting and has no help yet. The text takes long to make, so commands do
/// without it until somebody asks for help. `command` is the name of the command.
pub(crate) fn with_help(arg: Arg, command: &str) -> Arg {
    let Some(command) = Command::named("otaseal", command) else { return arg };
    let mut options = command.options();
    let Some(setting) = options.find(|setting| arg.get_id() == setting.name && arg.get_help().is_none())
    else {
        return arg;
    };
    let default = setting.default(command);
    let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
    let (summary, mut whole) = (setting.summary(), setting.documentation());
    if setting.name == "key" {
        whole.push_str(" With --signer-cmd, this is the command's public key.");
    }
    let whole = whole.strip_suffix('.').filter(|whole| *whole == summary).unwrap_or(&whole).to_owned();
    arg.help(summary + &default).long_help(whole + &default)
}

impl<C: HasSettings> Args for SettingArgs<C> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = command.args(C::COMMAND.options().map(|setting| arg(setting, C::COMMAND)));
        if !C::COMMAND.reads_file() {
            return command;
        }
        let config = Arg::new(CONFIG).long(CONFIG).value_name("FILE").value_hint(ValueHint::FilePath);
        let help = "Settings file [default: otaseal.toml here, or further up in the repository]";
        let config = config.help(help).help_heading(Heading::General.name()).hide_short_help(true);
        command.arg(config.value_parser(clap::value_parser!(Place)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<C: HasSettings> FromArgMatches for SettingArgs<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Settings::default();
        for setting in C::COMMAND.options() {
            let Some(values) = matches.get_many::<OsString>(setting.name) else { continue };
            let values: Vec<_> = values.map(OsString::as_os_str).collect();
            let refused = |what| clap::Error::raw(ErrorKind::ValueValidation, what);
            given.set(setting.name, &values.join(OsStr::new(","))).map_err(refused)?;
        }
        if given.signer_cmd.is_some() {
            given.public_key = given.key.take();
        }
        let config = if C::COMMAND.reads_file() { matches.get_one::<Place>(CONFIG) } else { None };
        Ok(Self { given, config: config.cloned(), command: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<C> SettingArgs<C> {
    /// Returns the settings of the command line.
    pub(crate) fn given(&self) -> &Settings {
        &self.given
    }

    /// Returns the settings of the command line, with the missing ones from the file.
    pub(crate) fn choose(&self) -> Result<Chosen, Failure> {
        self.choose_below(self.given.clone())
    }

    /// Returns the settings of the command line alone.
    pub(crate) fn without_file(&self) -> Chosen {
        Chosen { settings: self.given.clone(), file: None, root: PathBuf::new(), given: self.given.clone() }
    }

    /// Does the same for settings that come from options with other names.
    pub(crate) fn choose_below(&self, given: Settings) -> Result<Chosen, Failure> {
        let here =
            std::env::current_dir().map_err(|error| Failure::read(&Place::from(Path::new(".")), &error))?;
        given.out_dir.as_deref().map_or(Ok(()), |path| refuse_std(path, "a package needs a directory"))?;
        let found = || Settings::find(&here).map(|file| file.strip_prefix(&here).unwrap_or(&file).into());
        let file = self.config.clone().or_else(found);
        let below = match &file {
            Some(file) if self.config.is_some() => Settings::from_input(&file.to_path(), file.open()),
            Some(file) => Settings::from_file(&file.to_path()),
            None => Ok(Settings::default()),
        };
        let mut below = below.map_err(|error| Failure::of(&error))?;
        // A report shows shorter paths without the current directory.
        below.shorten(&here);
        // The public key of the file belongs to the key of the file.
        if given.key.is_some() || given.signer_cmd.is_some() {
            below.public_key = None;
        }
        let above = file.as_ref().filter(|_| self.config.is_none()).and_then(|file| file.path()?.parent());
        let root = above.unwrap_or(Path::new("")).to_owned();
        let settings = given.clone().or(below);
        Ok(Chosen { settings, file, root, given })
    }
}

/// The half of a key pair that a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Private,
    Public,
}

fn is_std(given: Option<&PathBuf>) -> bool {
    given.is_some_and(|path| path == Path::new("-"))
}

/// The settings of the command line and of the file, merged.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) settings: Settings,
    /// The settings file, if there is one.
    file: Option<Place>,
    /// The directory of the project.
    root: PathBuf,
    /// The settings of the command line. Only these files may be streams.
    given: Settings,
}

impl Chosen {
    /// Returns the settings file, as an input that no output may replace.
    pub(crate) fn input(&self) -> Option<Place> {
        self.file.clone()
    }

    /// Returns the bill of materials, if there is one.
    pub(crate) fn sbom(&self) -> Result<Option<Place>, Failure> {
        let Some(path) = &self.settings.sbom else { return Ok(None) };
        if is_std(self.given.sbom.as_ref()) {
            return Ok(Some(Place::Std));
        }
        if self.given.sbom.is_none() {
            check_unnamed(path)?;
        }
        Ok(Some(Place::from(&**path)))
    }

    /// Returns the firmware that the settings file names.
    pub(crate) fn firmware(&self) -> Result<Option<Place>, Failure> {
        let Some(path) = self.settings.firmware.as_deref() else { return Ok(None) };
        check_unnamed(path)?;
        Ok(Some(path.into()))
    }

    /// Returns the key that signs. `module` is the library of a token whose URI names none.
    pub(crate) fn signing_key(&self, module: Option<&Path>) -> Result<SigningKey, Failure> {
        let mut key = self.settings.signing_key(&self.root, module)?;
        let given = [&self.given.key, &self.given.public_key].map(Option::as_ref);
        if let KeySource::File(place) | KeySource::Command { public: place, .. } = &mut key.source {
            match place {
                _ if given.into_iter().any(is_std) => *place = KeyPlace::Stdin,
                KeyPlace::Path(path) if given == [None, None] => check_unnamed(path)?,
                _ => {}
            }
        }
        Ok(key)
    }

    /// Returns the public key that judges images if no option names one.
    pub(crate) fn public_key(&self) -> Result<Place, Failure> {
        if is_std(self.given.public_key.as_ref()) {
            return Ok(Place::Std);
        }
        let path = self.settings.public_path(&self.root);
        if self.given.public_key.is_none() {
            check_unnamed(&path)?;
        }
        Ok(path.as_path().into())
    }

    /// Refuses to go on if the user has named no key, and has no settings file.
    pub(crate) fn require_key(&self, option: &str) -> Result<(), Failure> {
        match self.file.is_some() || self.names_key() {
            true => Ok(()),
            false => Err(Failure::usage(
                "no option and no settings file names a key",
                format_args!("give the key with {option}, or in otaseal.toml"),
            )),
        }
    }

    /// Does the same for a command that takes the key in `keys/` if nobody names another one.
    pub(crate) fn require_key_or_default(&self, half: Half) -> Result<(), Failure> {
        let default = self.default_key(half);
        match self.file.is_some() || self.names_key() || default.symlink_metadata().is_ok() {
            true => Ok(()),
            false => Err(Failure::usage(
                format_args!(
                    "no option and no settings file names a key, and there is no {}",
                    default.display()
                ),
                "give the key with --key or in otaseal.toml, or make a key pair with `otaseal keygen`",
            )),
        }
    }

    fn default_key(&self, half: Half) -> PathBuf {
        match half {
            Half::Private => self.settings.private_path(&self.root),
            Half::Public => self.settings.public_path(&self.root),
        }
    }

    /// Returns the key that the command takes although neither an option nor the settings file names it.
    pub(crate) fn assumed_key(&self, half: Half) -> Option<Assumed> {
        let said: &[&str] = match half {
            Half::Private => &["key", "signer-cmd", "example-key"],
            Half::Public => &["public-key"],
        };
        let said = said.iter().any(|name| self.settings.has(name));
        (!said).then(|| Assumed::new("--key", &self.default_key(half).as_path().into()))
    }

    /// Returns whether the settings name a key or a command that signs.
    pub(crate) fn names_key(&self) -> bool {
        ["key", "public-key", "signer-cmd"].into_iter().any(|name| self.settings.has(name))
    }

    /// Returns the directory of the package.
    pub(crate) fn out_dir(&self) -> PathBuf {
        self.settings.out_dir.clone().unwrap_or_else(|| self.root.join("dist"))
    }

    /// Returns a report that names the settings file.
    pub(crate) fn report<T>(&self, outcome: T) -> BySettings<T> {
        let settings = self.file.as_ref().map(Place::name);
        BySettings { outcome, settings, assumed: Vec::new() }
    }
}

/// The result of a command, the settings file that it read, and what it assumed.
#[derive(Debug, Serialize)]
pub(crate) struct BySettings<T> {
    #[serde(flatten)]
    pub(crate) outcome: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<String>,
    #[serde(rename = "defaults", skip_serializing_if = "Vec::is_empty")]
    assumed: Vec<Assumed>,
}

impl<T> BySettings<T> {
    /// Makes a report of a command that read no settings.
    pub(crate) fn without(outcome: T) -> Self {
        Self { outcome, settings: None, assumed: Vec::new() }
    }

    /// Adds what the command took although nobody named it.
    pub(crate) fn assuming(mut self, assumed: impl IntoIterator<Item = Option<Assumed>>) -> Self {
        self.assumed.extend(assumed.into_iter().flatten());
        self
    }
}

impl<T: Outcome> Outcome for BySettings<T> {
    fn key(&self) -> Option<String> {
        self.outcome.key()
    }

    fn exit(&self) -> Exit {
        self.outcome.exit()
    }

    fn warnings(&self) -> Vec<String> {
        self.outcome.warnings()
    }

    fn stdout_is_taken(&self) -> bool {
        self.outcome.stdout_is_taken()
    }

    fn is_reported(&self) -> bool {
        self.outcome.is_reported()
    }
}

impl<T: Outcome> fmt::Display for BySettings<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        self.settings.iter().try_for_each(|file| writeln!(f, "settings {file}"))?;
        self.assumed.iter().try_for_each(|assumed| assumed.fmt(f))
    }
}
