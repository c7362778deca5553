//! Finds and runs other programs for the tasks, and skips a check if one is missing.

use crate::Result;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let text = work().map_err(|error| format!("{name}: {error}"))?;
    for line in text.lines() {
        eprintln!("    {line}");
    }
    Ok(())
}

/// Returns whether a program is in PATH, or a file with a full path exists.
fn present(need: &str) -> bool {
    if need.starts_with('/') { Path::new(need).exists() } else { find(need).is_some() }
}
