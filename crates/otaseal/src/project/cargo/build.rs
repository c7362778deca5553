//! The firmware build: with the project's own toolchain, else with its second one, else not at all.

use super::CargoError;
use super::note::Note;
use super::project::{FirmwarePackage, Project};
use cargo_metadata::Message;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the packaged build came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Build {
    /// Cargo built it now.
    Built(PathBuf),
    /// The target cannot be built for here: this is the project's prebuilt image.
    Prebuilt(PathBuf),
    /// Another tool made it.
    Given(PathBuf),
}

impl Build {
    /// The file that is packaged.
    pub fn path(&self) -> &Path {
        match self {
            Self::Built(path) | Self::Prebuilt(path) | Self::Given(path) => path,
        }
    }
}

/// Builds the firmware of a project and finds it.
pub(super) fn build(project: &Project, note: &mut dyn FnMut(Note)) -> Result<Build, CargoError> {
    let settings = &project.settings;
    if let Some(given) = &settings.firmware {
        return Ok(Build::Given(given.clone()));
    }
    let Some(package) = &project.firmware else {
        return Err(CargoError::WhichPackage { candidates: Vec::new() });
    };
    let bin = package.binary(settings.bin.as_deref())?;
    let toolchain = match Toolchain::choose(project, package) {
        Ok(toolchain) => toolchain,
        Err(why) => match &settings.prebuilt {
            Some(path) => {
                note(Note::Prebuilt { why, path: path.clone() });
                return Ok(Build::Prebuilt(path.clone()));
            }
            // Cargo's own words say best what is missing.
            None => Toolchain::default(),
        },
    };
    let mut command = toolchain.command();
    command.args(["build", "--message-format=json-render-diagnostics", "--manifest-path"]);
    command.arg(&package.manifest).args(["--package", &package.name, "--bin", &bin]);
    command.args(["--profile", settings.profile.as_deref().unwrap_or("release")]);
    if let Some(target) = &settings.target {
        command.args(["--target", target]);
    }
    if let Some(features) = settings.features.as_ref().filter(|features| !features.is_empty()) {
        command.args(["--features", &features.join(",")]);
    }
    toolchain.arguments(&mut command, settings.target.as_deref());
    // `.cargo/config.toml` and `rust-toolchain.toml` of the firmware count, wherever the task was called.
    command.current_dir(&package.directory);
    let shown = shown(&command);
    note(Note::Building { command: shown.clone() });
    let executable = run(command, &shown, package, &bin)?;
    executable.map(Build::Built).ok_or(CargoError::NoExecutable { command: shown, bin })
}

/// Runs the build and takes the executable's path from what Cargo reports: guessing it from the target directory
/// would miss `CARGO_TARGET_DIR`, `build.target` and profiles with their own directory.
fn run(
    mut command: Command,
    shown: &str,
    package: &FirmwarePackage,
    bin: &str,
) -> Result<Option<PathBuf>, CargoError> {
    let start =
        |program: &Command, source| CargoError::Start { program: program.get_program().into(), source };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| start(&command, error))?;
    let mut executable = None;
    if let Some(stdout) = child.stdout.take() {
        // Not a message: a build script or a macro that prints. It is nobody's business here.
        for message in Message::parse_stream(BufReader::new(stdout)).map_while(Result::ok) {
            if let Message::CompilerArtifact(artifact) = message
                && artifact.package_id == package.id
                && artifact.target.is_bin()
                && artifact.target.name == bin
            {
                executable = artifact.executable.map(PathBuf::from).or(executable);
            }
        }
    }
    let status = child.wait().map_err(|error| start(&command, error))?;
    match status.success() {
        true => Ok(executable),
        false => Err(CargoError::Build { command: shown.into(), status }),
    }
}

/// What builds.
#[derive(Default)]
struct Toolchain {
    cargo: Option<PathBuf>,
    rustc: Option<PathBuf>,
    linker: Option<String>,
    build_std: Vec<String>,
}

impl Toolchain {
    /// The running toolchain where it has the target's `core`; else the project's fallback, where that has it or
    /// its source. The error says in one line why neither can.
    fn choose(project: &Project, package: &FirmwarePackage) -> Result<Self, String> {
        let Some(target) = project.settings.target.as_deref() else { return Ok(Self::default()) };
        let own = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        if has_core(Path::new(&own), target, &package.directory) {
            return Ok(Self::default());
        }
        let missing =
            format!("`core` for {target} is not installed (`rustup target add {target}` brings it)");
        let Some(fallback) = &project.settings.fallback else { return Err(missing) };
        let rustc = fallback.rustc.clone().unwrap_or_else(|| own.into());
        let has_core = has_core(&rustc, target, &package.directory);
        let build_std = fallback.build_std.clone().filter(|_| !has_core).unwrap_or_default();
        if !has_core && (build_std.is_empty() || !has_source(&rustc, &package.directory)) {
            return Err(missing);
        }
        if let Some(linker) = &fallback.linker
            && !in_path(linker)
        {
            return Err(format!("{missing}, and there is no `{linker}` to build it without"));
        }
        let (cargo, rustc) = (fallback.cargo.clone(), fallback.rustc.clone());
        Ok(Self { cargo, rustc, linker: fallback.linker.clone(), build_std })
    }

    fn command(&self) -> Command {
        match &self.cargo {
            Some(cargo) => Command::new(cargo),
            None => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
        }
    }

    fn arguments(&self, command: &mut Command, target: Option<&str>) {
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        if !self.build_std.is_empty() {
            command.arg(format!("-Zbuild-std={}", self.build_std.join(",")));
            // `-Z` flags are for nightly; this says "for this one build, I know".
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        if let (Some(linker), Some(target)) = (&self.linker, target) {
            let variable = target.to_uppercase().replace(['-', '.'], "_");
            command.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        }
    }
}

/// Whether a compiler has a compiled `core` for a target.
fn has_core(rustc: &Path, target: &str, directory: &Path) -> bool {
    let Some(libraries) = print(rustc, &["--print", "target-libdir", "--target", target], directory) else {
        return false;
    };
    let Ok(entries) = std::fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Whether a compiler has the source of `core`.
fn has_source(rustc: &Path, directory: &Path) -> bool {
    print(rustc, &["--print", "sysroot"], directory)
        .is_some_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists())
}

fn print(rustc: &Path, arguments: &[&str], directory: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(arguments).current_dir(directory).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim_end()))
}

fn in_path(program: &str) -> bool {
    if Path::new(program).components().count() > 1 {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).any(|directory| directory.join(&name).is_file())
}

/// The command as one could type it.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut words: Vec<String> =
        variables.map(|(name, value)| format!("{}={}", name.display(), quoted(value.to_owned()))).collect();
    // The full path of rustup's cargo helps nobody.
    let program = Path::new(command.get_program());
    words.push(match std::env::var_os("CARGO").is_some_and(|cargo| Path::new(&cargo) == program) {
        true => "cargo".into(),
        false => quoted(program.into()),
    });
    words.extend(command.get_args().map(|argument| quoted(argument.to_owned())));
    words.join(" ")
}

/// A word for a POSIX shell.
pub(super) fn quoted(word: OsString) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
