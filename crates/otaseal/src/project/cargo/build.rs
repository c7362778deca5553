//! Builds the firmware with the running toolchain, or with the fallback of the settings. If neither can build for the
//! target, it takes the prebuilt image.

use super::CargoError;
use super::note::Note;
use super::project::{FirmwarePackage, Project};
use cargo_metadata::Message;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The origin of the packaged build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Build {
    /// Cargo built it now.
    Built(PathBuf),
    /// The project's prebuilt image, because no toolchain here can build for the target.
    Prebuilt {
        /// The image.
        path: PathBuf,
        /// What is missing to build it.
        why: String,
    },
    /// Another tool made it.
    Given(PathBuf),
}

impl Build {
    /// The file that is packaged.
    pub fn path(&self) -> &Path {
        match self {
            Self::Built(path) | Self::Prebuilt { path, .. } | Self::Given(path) => path,
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
                let path = path.clone();
                note(Note::Prebuilt { why: why.clone(), path: path.clone() });
                return Ok(Build::Prebuilt { path, why });
            }
            // Cargo's own error says best what is missing.
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
    // Cargo then reads the firmware's `.cargo/config.toml` and `rust-toolchain.toml`, wherever you called the task.
    command.current_dir(&package.directory);
    let shown = shown(&command);
    note(Note::Building { command: shown.clone() });
    let executable = run(command, &shown, package, &bin)?;
    executable.map(Build::Built).ok_or(CargoError::NoExecutable { command: shown, bin })
}

/// Runs the build and takes the executable's path from Cargo's messages. A guess from the target directory would miss
/// `CARGO_TARGET_DIR`, `build.target` and profiles with their own directory.
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
        // A line that is not a message comes from a macro or a build script that prints. It does not matter here.
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

/// The toolchain that builds. Missing fields stand for the running one.
#[derive(Default)]
struct Toolchain {
    cargo: Option<PathBuf>,
    rustc: Option<PathBuf>,
    linker: Option<String>,
    build_std: Vec<String>,
}

impl Toolchain {
    /// Returns the running toolchain if it has the target's `core`. Otherwise it returns the project's fallback, if
    /// that has `core` or its source. The error says in one line why neither can build.
    fn choose(project: &Project, package: &FirmwarePackage) -> Result<Self, String> {
        let Some(target) = project.settings.target.as_deref() else { return Ok(Self::default()) };
        let own = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        if has_core(Path::new(&own), target, &package.directory) {
            return Ok(Self::default());
        }
        let missing =
            format!("`core` for {target} is not installed (`rustup target add {target}` installs it)");
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
            return Err(format!("{missing}, and the fallback's linker `{linker}` is not installed"));
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
            // A stable compiler refuses `-Z` flags. This variable allows them, for this one build.
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        if let (Some(linker), Some(target)) = (&self.linker, target) {
            let variable = target.to_uppercase().replace(['-', '.'], "_");
            command.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        }
    }
}

/// Returns whether a compiler has a compiled `core` for a target.
fn has_core(rustc: &Path, target: &str, directory: &Path) -> bool {
    let Some(libraries) = print(rustc, &["--print", "target-libdir", "--target", target], directory) else {
        return false;
    };
    let Ok(entries) = std::fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Returns whether a compiler has the source of `core`.
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

/// Returns the command as you could type it.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut words: Vec<String> =
        variables.map(|(name, value)| format!("{}={}", name.display(), quoted(value.to_owned()))).collect();
    // The full path of rustup's cargo would only make the line longer.
    let program = Path::new(command.get_program());
    words.push(match std::env::var_os("CARGO").is_some_and(|cargo| Path::new(&cargo) == program) {
        true => "cargo".into(),
        false => quoted(program.into()),
    });
    words.extend(command.get_args().map(|argument| quoted(argument.to_owned())));
    words.join(" ")
}

/// Returns a word with quotes for a POSIX shell, if it needs them.
pub(super) fn quoted(word: OsString) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
