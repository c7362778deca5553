//! `cargo xtask dist`: makes the files that we hand out, and signs their list.
//!
//! The same sources and the same compiler give the same bytes, whatever directory they lie in: all times are those of
//! `SOURCE_DATE_EPOCH`, and no file holds a path of this machine. A tool of another version may write other bytes, so
//! [`tools`] pins them.

mod build;
mod installed;
mod list;
mod tarball;
mod tools;

use crate::Result;
use crate::tools::{run as run_command, step};
use build::{Build, PROGRAMS};
use list::Signer;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tools::Tools;

/// Name of the files before the version.
const NAME: &str = "otaseal";

/// The version of every crate of this workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What we hand out.
const OUT: &str = "target/dist";

/// The example key. Everybody has its private half.
const EXAMPLE_KEY: &str = "keys.example/private.pem";

/// Does one of these:
///
/// - `[--key KEY] [-- OPTIONS...]`: makes everything in `target/dist`. The options go to `otaseal sign`;
/// - `--sign DIR --key KEY [-- OPTIONS...]`: signs the list of the files in `DIR`, which other machines made, with the
///   program that this machine made;
/// - `--check`: installs what is in `target/dist` into empty places, and uses it there.
///
/// # Errors
///
/// A wrong argument, a tool that cannot be installed, a build that fails, or a key that does not sign.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<String> {
    let end = arguments.iter().position(|&argument| argument == "--").unwrap_or(arguments.len());
    let options: Vec<&str> = arguments.iter().skip(end + 1).copied().collect();
    match arguments.get(..end) {
        Some([]) => make(root, None, options),
        Some(&["--key", key]) => make(root, Some(Path::new(key)), options),
        Some(&["--sign", directory, "--key", key]) => {
            let signer = Signer { program: PROGRAMS[0].file(&made(root)), key: Path::new(key), options };
            list::sign(Path::new(directory), &signer)
        }
        Some(&["--check"]) => installed::check(root, &root.join(OUT)),
        _ => Err("usage: cargo xtask dist [--key KEY | --sign DIR --key KEY | --check] [-- OPTIONS OF otaseal sign]"
            .into()),
    }
}

/// Makes everything, and signs its list with the key or with the example key.
#[allow(clippy::print_stderr, reason = "a warning that nobody may miss")]
fn make(root: &Path, key: Option<&Path>, options: Vec<&str>) -> Result<String> {
    let (out, made, epoch) = (root.join(OUT), made(root), epoch(root)?);
    empty(&out)?;
    let mut tools = None;
    step("the tools", &["python3"], || {
        tools = Some(Tools::install(root)?);
        Ok(tools::pinned())
    })?;
    let tools = tools.ok_or("python3 must be installed: maturin comes from PyPI")?;
    let build = Build::new(root, &made, &tools, epoch)?;
    for program in &PROGRAMS {
        step(&format!("the program {}", program.name), &[], || build.compile(program))?;
    }
    step("manual pages and completions", &[], || build.documentation())?;
    step("the wheel", &[], || build.wheel(&out))?;
    if cfg!(target_os = "linux") {
        step("the Debian package", &["dpkg-deb", "dpkg-shlibdeps"], || build.debian(&out))?;
    }
    step("the tarball", &[], || tarball::make(root, &build, &out, epoch))?;
    step("the bills of materials", &[], || {
        let mut names = Vec::new();
        for program in &PROGRAMS {
            let manifest = root.join("crates").join(program.package).join("Cargo.toml");
            let text = otaseal::cargo::program_sbom(&manifest, Some(build.host()), Some(epoch))?;
            names.push(format!("{}-{VERSION}-{}.cdx.json", program.name, build.host()));
            fs::write(out.join(&names[names.len() - 1]), text)?;
        }
        Ok(names.join(" "))
    })?;
    let example = root.join(EXAMPLE_KEY);
    let signer = Signer { program: build.program(&PROGRAMS[0]), key: key.unwrap_or(&example), options };
    step("SHA256SUMS and its signature", &[], || list::sign(&out, &signer))?;
    if key.is_none() {
        eprintln!(
            "warning: the EXAMPLE KEY signed SHA256SUMS. Everybody has its private half: the signature proves nothing.\n\
             help: hand out nothing of this; give your own key with `cargo xtask dist --key KEY`"
        );
    }
    Ok(out.display().to_string())
}

/// Returns the directory of what the files are made of. It is Cargo's target directory for the programs.
fn made(root: &Path) -> PathBuf {
    root.join("target/dist-build")
}

/// Returns `SOURCE_DATE_EPOCH`, or the time of the last commit.
fn epoch(root: &Path) -> Result<u64> {
    if let Some(given) = env::var_os("SOURCE_DATE_EPOCH") {
        let given = given.to_string_lossy();
        return given
            .parse()
            .map_err(|_| format!("SOURCE_DATE_EPOCH is no number of seconds: {given}").into());
    }
    let commit = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root).output();
    let time = commit.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok());
    time.ok_or_else(|| "git knows no commit here: set SOURCE_DATE_EPOCH to the time of the sources".into())
}

/// Runs the program and shows nothing but its warnings and errors.
fn quietly(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--quiet");
    command
}

/// Makes an empty directory.
fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    Ok(fs::create_dir_all(directory)?)
}
