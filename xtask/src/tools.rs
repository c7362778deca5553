//! Finds and runs other programs for the tasks, and skips a check if one is missing.

mod times;

use crate::Result;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use times::Timer;
pub(crate) use times::table;

/// Runs a program to its end, and shows its output.
///
/// # Errors
///
/// A program that cannot start or that fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}").into()) }
}

/// Returns the cargo that runs this task, for the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
    cargo.current_dir(root);
    cargo
}

/// Returns whether the compiler in PATH has the standard library for a target, as rustup installs it.
pub(crate) fn has_std(target: &str) -> bool {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    libraries.is_ok_and(|output| {
        fs::read_dir(String::from_utf8_lossy(&output.stdout).trim())
            .is_ok_and(|mut entries| entries.next().is_some())
    })
}

/// The programs that [`cross`] takes if rustup has no standard library for a target.
pub(crate) const CROSS: &[&str] = &["/usr/bin/cargo", "/usr/bin/rustc", "/usr/lib/rustlib/src/rust/library"];

/// Cargo's target directory of [`cross`].
pub(crate) const ELSEWHERE: &str = "target/elsewhere";

/// Returns cargo with a task for another target. If rustup has no standard library for it, Debian's cargo builds that
/// from Debian's source.
pub(crate) fn cross(root: &Path, task: &str, target: &str) -> Command {
    let mut command = if has_std(target) { cargo(root) } else { Command::new(CROSS[0]) };
    // One directory for all of them: they share the build scripts and the macros, which run on this machine.
    command.current_dir(root).args([task, "--target", target, "--target-dir"]).arg(root.join(ELSEWHERE));
    // Nobody hands out these programs. The crates that compute keep the optimisation of the workspace.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    command.args(["--config", "profile.dev.package.otaseal.opt-level=0"]);
    if !has_std(target) {
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC", CROSS[1]).env("RUSTC_BOOTSTRAP", "1");
    }
    command
}

/// Returns the path of a program in PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())
}

/// Runs one step of a task, if the programs that it needs are installed. Otherwise it prints a notice and skips the
/// step; in CI (the variable `CI` is set) it fails.
#[allow(clippy::print_stderr, reason = "a step speaks to the person at the terminal")]
pub(crate) fn step(name: &str, needs: &[&str], work: impl FnOnce() -> Result<String>) -> Result<()> {
    let missing: Vec<_> = needs.iter().filter(|&&need| !present(need)).copied().collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        if env::var_os("CI").is_some() {
            return Err(format!("{name}: {missing} must be installed in CI").into());
        }
        eprintln!("SKIPPED: {name}: not installed: {missing}");
        return Ok(());
    }
    eprintln!("=== {name}");
    let timer = Timer::start(name);
    let outcome = work();
    let time = timer.stop();
    let text = outcome.map_err(|error| format!("{name}: {error}"))?;
    for line in text.lines() {
        eprintln!("    {line}");
    }
    eprintln!("    {time}");
    Ok(())
}

/// Returns whether a program is in PATH, or a file with a full path exists.
fn present(need: &str) -> bool {
    if need.starts_with('/') { Path::new(need).exists() } else { find(need).is_some() }
}
