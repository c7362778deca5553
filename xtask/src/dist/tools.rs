//! Installs the tools that make packages, each in one version, below `target`.

use crate::Result;
use crate::tools::{cargo, run};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Puts the list of crates into the program.
const CARGO_AUDITABLE: &str = "0.7.7";
/// Makes the Debian package.
const CARGO_DEB: &str = "3.8.0";
/// Makes the wheel. It comes compiled, from PyPI.
const MATURIN: &str = "1.16.0";

/// The installed tools.
pub(super) struct Tools {
    /// Where cargo installed its own.
    bin: PathBuf,
    pub(super) maturin: PathBuf,
}

/// Returns the names and versions of the tools.
pub(super) fn pinned() -> String {
    format!("cargo-auditable {CARGO_AUDITABLE}, cargo-deb {CARGO_DEB}, maturin {MATURIN}")
}

impl Tools {
    /// Installs what is not there yet.
    ///
    /// # Errors
    ///
    /// Cargo or pip cannot install a tool.
    pub(super) fn install(root: &Path) -> Result<Self> {
        let folder = root.join("target/dist-tools");
        from_crates_io(root, &folder, "cargo-auditable", CARGO_AUDITABLE)?;
        if cfg!(target_os = "linux") {
            from_crates_io(root, &folder, "cargo-deb", CARGO_DEB)?;
        }
        let python = folder.join("python");
        let maturin = python.join("bin").join(format!("maturin{}", env::consts::EXE_SUFFIX));
        let version = Command::new(&maturin).arg("--version").output();
        let wanted = format!("maturin {MATURIN}");
        if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == wanted) {
            let mut pip = Command::new("python3");
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--root-user-action=ignore",
                "--upgrade",
                "--target",
            ])
            .arg(&python);
            // Their compiled programs differ per system, so this pins the version and no digest.
            run(pip.args(["--no-deps", "--only-binary", ":all:"]).arg(format!("maturin=={MATURIN}")))?;
        }
        Ok(Self { bin: folder.join("bin"), maturin })
    }

    /// Returns PATH with these tools in front.
    pub(super) fn path(&self) -> Result<OsString> {
        let rest = env::var_os("PATH").unwrap_or_default();
        Ok(env::join_paths([self.bin.clone()].into_iter().chain(env::split_paths(&rest)))?)
    }
}

/// Installs a tool with the dependencies of its own lock file. Cargo does nothing if it has this version.
fn from_crates_io(root: &Path, folder: &Path, name: &str, version: &str) -> Result<()> {
    let mut install = cargo(root);
    install.args(["install", "--quiet", "--locked", "--version", &format!("={version}")]);
    // They run once, so a quick build saves more time.
    install.args(["--debug", "--no-default-features", name, "--root"]).arg(folder);
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        install.env_remove(variable);
    }
    run(install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_OPT_LEVEL", "0"))
}
