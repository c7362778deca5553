//! Builds the demo firmware for a target without an operating system.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// A cargo that can build for a target.
pub(super) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    /// Build `core` too, because the target's is not installed.
    build_std: bool,
    /// The compiler's version.
    pub(super) version: String,
}

impl Toolchain {
    /// Returns the cargo that runs this task, if it has the target's `core`. Otherwise it returns Debian's, with its
    /// sources.
    ///
    /// # Errors
    ///
    /// Neither is there. The text says what to install.
    pub(super) fn find(target: &str) -> Result<Self> {
        let (cargo, rustc, installed) = running()?;
        if installed.join(target).join("lib").is_dir() {
            return Self::new(cargo, rustc, false);
        }
        if let Some((cargo, rustc)) = debian() {
            return Self::new(cargo, rustc, true);
        }
        Err(format!(
            "core for {target} is not installed\nrun: rustup target add {target}, or on Debian: \
             apt-get install rustc-web cargo-web rust-web-src"
        )
        .into())
    }

    /// Returns a cargo that builds the target's `core` from source: this one if it has the source, or Debian's.
    ///
    /// Sizes are measured so. A `core` that comes compiled has memory functions made for speed: on a Cortex-M0 its
    /// `memcpy` alone has 594 bytes, and 324 if it is built for size, as the firmware is.
    ///
    /// # Errors
    ///
    /// Neither has the source. The text says what to install.
    pub(super) fn with_source() -> Result<Self> {
        let (cargo, rustc, installed) = running()?;
        if installed.join(SOURCE).is_dir() {
            return Self::new(cargo, rustc, true);
        }
        if let Some((cargo, rustc)) = debian() {
            return Self::new(cargo, rustc, true);
        }
        Err("the source of Rust's core is not installed\nrun: rustup component add rust-src, or on Debian: apt-get install \
             rustc-web cargo-web rust-web-src"
            .into())
    }

    fn new(cargo: PathBuf, rustc: PathBuf, build_std: bool) -> Result<Self> {
        let version = text(Command::new(&rustc).arg("--version"))?;
        let version = version.split(" (built from").next().unwrap_or_default().to_owned();
        Ok(Self { cargo, rustc, build_std, version })
    }

    /// Builds one program of `fixtures/demo-firmware` and returns its ELF file.
    pub(super) fn build(&self, root: &Path, target: &str, program: &str) -> Result<PathBuf> {
        let folder = root.join("fixtures/demo-firmware");
        self.build_in(&folder, &folder.join("target"), target, program, &[])
    }

    /// Builds a program with these variables in the environment. Its bytes do not depend on the path of this workspace.
    ///
    /// Cargo mixes the absolute path of a dependency outside the workspace into the names of its symbols, and
    /// the compiler orders functions by them. So the sources are copied to a place of the same name everywhere.
    pub(super) fn build_reproducibly(
        &self,
        root: &Path,
        target: &str,
        program: &str,
        environment: &[(&str, &str)],
    ) -> Result<PathBuf> {
        let mirror = Path::new("/var/tmp/otaseal-reproducible-build");
        if mirror.exists() {
            fs::remove_dir_all(mirror)?;
        }
        copy(root, mirror, Path::new("Cargo.toml"))?;
        for path in ["crates/otaseal-device", "fixtures/demo-firmware"] {
            copy(root, mirror, Path::new(path))?;
        }
        let target_dir = root.join("fixtures/demo-firmware/target");
        let folder = mirror.join("fixtures/demo-firmware");
        let elf = self.build_in(&folder, &target_dir, target, program, environment);
        fs::remove_dir_all(mirror)?;
        elf
    }

    /// Builds one program of the firmware in `folder`, with these variables in the environment.
    pub(super) fn build_in(
        &self,
        folder: &Path,
        target_dir: &Path,
        target: &str,
        program: &str,
        environment: &[(&str, &str)],
    ) -> Result<PathBuf> {
        let mut cargo = Command::new(&self.cargo);
        cargo.current_dir(folder).env("RUSTC", &self.rustc).env("CARGO_TARGET_DIR", target_dir);
        cargo.envs(environment.iter().copied());
        // The firmware does not use the flags, the profile and the toolchain of the cargo that runs this task. Each would
        // change its bytes. An incremental build, for one, names and orders functions in another way.
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            let build = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO_INCREMENTAL"];
            if build.contains(&&*name)
                || name.starts_with("CARGO_PROFILE_")
                || name.starts_with("CARGO_BUILD_")
            {
                cargo.env_remove(&variable);
            }
        }
        cargo.args(["build", "--quiet", "--release", "--locked", "--target", target, "--bin", program]);
        if self.build_std {
            // Debian has no rust-lld. GNU's linker works too.
            let linker =
                if target.starts_with("thumb") { "arm-none-eabi-ld" } else { "riscv64-unknown-elf-ld" };
            let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
            cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core").env(variable, linker);
        }
        let status = cargo.status().map_err(|error| format!("{}: {error}", self.cargo.display()))?;
        if !status.success() {
            return Err(format!("{program} does not build for {target}").into());
        }
        Ok(target_dir.join(target).join("release").join(program))
    }
}

/// The source of the standard library, in the folder of a toolchain.
const SOURCE: &str = "src/rust/library";

/// Returns the cargo that runs this task, its rustc, and the folder with their libraries.
fn running() -> Result<(PathBuf, PathBuf, PathBuf)> {
    let program = |variable, name: &str| env::var_os(variable).map_or_else(|| name.into(), PathBuf::from);
    let rustc = program("RUSTC", "rustc");
    let sysroot = text(Command::new(&rustc).args(["--print", "sysroot"]))?;
    Ok((program("CARGO", "cargo"), rustc, Path::new(&sysroot).join("lib/rustlib")))
}

/// Returns Debian's cargo and rustc, if they are there with their source.
fn debian() -> Option<(PathBuf, PathBuf)> {
    let (cargo, rustc) = ("/usr/bin/cargo", "/usr/bin/rustc");
    let is_there = Path::new("/usr/lib/rustlib").join(SOURCE).is_dir() && Path::new(cargo).is_file();
    is_there.then(|| (cargo.into(), rustc.into()))
}

fn text(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Copies a file or a folder, except Cargo's output.
fn copy(from: &Path, to: &Path, path: &Path) -> Result<()> {
    let (source, copied) = (from.join(path), to.join(path));
    if !source.is_dir() {
        fs::create_dir_all(copied.parent().unwrap_or(to))?;
        fs::copy(&source, &copied)?;
        return Ok(());
    }
    for entry in fs::read_dir(&source)? {
        let name = entry?.file_name();
        if name != "target" && name != "fuzz" {
            copy(from, to, &path.join(name))?;
        }
    }
    Ok(())
}
