//! Other programs that a task runs, and what happens where they are missing.

use crate::Result;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program to its end with its output for all to see.
///
/// # Errors
///
/// When it cannot be started or does not end well.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}").into()) }
}

/// The cargo that runs this task, in the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
    cargo.current_dir(root);
    cargo
}

/// Where a program is, by PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())
}

/// Runs one step of several, where what it needs is installed. Without it the step is skipped, loudly; in CI
/// (the variable `CI` is set) that is a failure.
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

/// A program in PATH, or a file by its full path.
fn present(need: &str) -> bool {
    if need.starts_with('/') { Path::new(need).exists() } else { find(need).is_some() }
}
