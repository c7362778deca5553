//! `cargo xtask dist`: makes the files that we hand out, and signs their list.
//!
//! The same sources and the same compiler give the same bytes, whatever directory they lie in: all times are those of
//! `SOURCE_DATE_EPOCH`, and no file holds a path of this machine. A tool of another version may write other bytes, so
//! [`tools`] pins them.

mod build;
mod list;
mod tarball;
mod tools;

use crate::Result;
use crate::tools::{run as run_command, step};
use build::Build;
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

/// The example key. Everybody has its private half.
const EXAMPLE_KEY: &str = "keys.example/private.pem";

/// Makes everything in `target/dist`: `[--key KEY] [-- OPTIONS...]`, where the options go to `otaseal sign`.
///
/// # Errors
///
/// A wrong argument, a tool that cannot be installed, a build that fails, or a key that does not sign.
#[allow(clippy::print_stderr, reason = "a warning that nobody may miss")]
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<String> {
    let (key, options) = parse(arguments)?;
    let dist = Dist::new(root)?;
    let mut tools = None;
    step("the tools", &["python3"], || {
        tools = Some(Tools::install(root)?);
        Ok(tools::pinned())
    })?;
    let tools = tools.ok_or("python3 must be installed: maturin comes from PyPI")?;
    let build = Build::new(root, &dist.made, &tools, dist.epoch)?;
    step("the wheel, and the program in it", &[], || build.wheel(&dist.out))?;
    step("manual pages and completions", &[], || build.documentation())?;
    if cfg!(target_os = "linux") {
        step("the Debian package", &["dpkg-deb", "dpkg-shlibdeps"], || build.debian(&dist.out))?;
    }
    step("the tarball", &[], || tarball::make(root, &build, &dist.out, dist.epoch))?;
    step("the bill of materials", &[], || {
        let manifest = root.join("crates/otaseal-cli/Cargo.toml");
        let text = otaseal::cargo::program_sbom(&manifest, Some(build.host()), Some(dist.epoch))?;
        let name = format!("{NAME}-{VERSION}-{}.cdx.json", build.host());
        fs::write(dist.out.join(&name), text)?;
        Ok(name)
    })?;
    let example = root.join(EXAMPLE_KEY);
    let signer = Signer { program: build.program(), key: key.unwrap_or(&example), options };
    step("SHA256SUMS and its signature", &[], || list::sign(&dist.out, &signer))?;
    if key.is_none() {
        eprintln!(
            "warning: the EXAMPLE KEY signed SHA256SUMS. Everybody has its private half: the signature proves nothing.\n\
             help: hand out nothing of this; give your own key with `cargo xtask dist --key KEY`"
        );
    }
    Ok(dist.out.display().to_string())
}

/// Splits the arguments into the key and the options for `otaseal sign`.
fn parse<'a>(arguments: &[&'a str]) -> Result<(Option<&'a Path>, Vec<&'a str>)> {
    let end = arguments.iter().position(|&argument| argument == "--").unwrap_or(arguments.len());
    let options = arguments.iter().skip(end + 1).copied().collect();
    match arguments.get(..end) {
        Some([]) => Ok((None, options)),
        Some(&["--key", key]) => Ok((Some(Path::new(key)), options)),
        _ => Err("usage: cargo xtask dist [--key KEY] [-- OPTIONS OF otaseal sign]".into()),
    }
}

/// The directories of this task, and the time of everything in them.
struct Dist {
    /// What we hand out.
    out: PathBuf,
    /// What it is made of.
    made: PathBuf,
    /// Seconds since 1970.
    epoch: u64,
}

impl Dist {
    fn new(root: &Path) -> Result<Self> {
        let (out, made) = (root.join("target/dist"), root.join("target/dist-build"));
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        fs::create_dir_all(&out)?;
        Ok(Self { out, made, epoch: epoch(root)? })
    }
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

#[cfg(test)]
mod tests {
    use super::parse;
    use std::path::Path;

    #[test]
    fn the_key_comes_first_and_the_options_of_sign_last() {
        assert_eq!(parse(&[]).unwrap(), (None, vec![]));
        assert_eq!(parse(&["--key", "k.pem"]).unwrap(), (Some(Path::new("k.pem")), vec![]));
        let options = ["--key", "k.pem", "--", "--passphrase-env", "P"];
        assert_eq!(parse(&options).unwrap(), (Some(Path::new("k.pem")), vec!["--passphrase-env", "P"]));
        assert_eq!(parse(&["--", "--release"]).unwrap(), (None, vec!["--release"]));
        for wrong in [&["--key"][..], &["k.pem"], &["--key", "a", "b"], &["--kye", "k.pem", "--"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
