//! `cargo xtask fuzz`: runs every fuzz target for a while, on stable Rust and without cargo-fuzz.
//!
//! The instrumentation is what cargo-fuzz asks the compiler for, without a sanitizer: the crates have no unsafe
//! code. Whoever looks for bugs for longer uses cargo-fuzz, see the folders' READMEs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The workspace of the fuzz targets.
const WORKSPACE: &str = "fuzz";

/// Targets, and the inputs to begin with.
const TARGETS: &[(&str, &[&str])] = &[
    ("layout", &["fixtures/accept", "fixtures/reject"]),
    ("stream", &["fixtures/accept", "fixtures/reject"]),
    ("metadata_block", &[]),
    ("tokens", &["fixtures/plain"]),
    ("elf", &["crates/otaseal/fuzz/seeds/elf"]),
    ("esp8266", &["fixtures/plain"]),
    ("uf2", &[]),
    ("gzip", &["tests/cmd/in"]),
    ("compress", &[]),
    ("metadata", &[]),
    ("identify", &["fixtures/plain", "crates/otaseal/fuzz/seeds/elf"]),
    ("encrypted", &["crates/otaseal/fuzz/seeds/encrypted"]),
    ("keys", &["keys.example", "tests/cmd/in/keys"]),
    ("uri", &["crates/otaseal/fuzz/seeds/uri"]),
    ("ledger", &["tests/cmd/in"]),
    ("release", &["tests/cmd/in/release", "tests/cmd/in/rotation"]),
    ("continuity", &["keys.example", "tests/cmd/in/keys"]),
    ("signature", &["tests/cmd/in/signatures"]),
    ("espota", &["crates/otaseal-delivery/fuzz/seeds/espota"]),
    ("form", &["crates/otaseal-delivery/fuzz/seeds/form"]),
    ("homie", &["crates/otaseal-delivery/fuzz/seeds/homie"]),
    ("homie_config", &["crates/otaseal-delivery/fuzz/seeds/homie_config"]),
    ("pull", &["crates/otaseal-delivery/fuzz/seeds/pull"]),
    ("upload_archive", &["crates/otaseal-fleet/fuzz/seeds/upload_archive"]),
    ("upload_manifest", &["crates/otaseal-fleet/fuzz/seeds/upload_manifest"]),
];

const FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cdebug-assertions -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs every target for some seconds, all at once.
///
/// # Errors
///
/// A target that does not build, or an input that breaks a rule.
pub(crate) fn run(root: &Path, seconds: u32) -> Result<String> {
    build(root)?;
    let work = work(root);
    let programs = work.join(host()?).join("release");
    let mut running = Vec::new();
    for (target, seeds) in TARGETS {
        let corpus = work.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        let child = Command::new(programs.join(target))
            .arg(format!("-max_total_time={seconds}"))
            // An input that takes so long is a fault, even if all targets share few cores.
            .args(["-timeout=60", "-rss_limit_mb=1024"])
            .arg(format!("-artifact_prefix={}/", work.display()))
            .arg(&corpus)
            .args(seeds.iter().map(|seed| root.join(seed)))
            .stdout(Stdio::null())
            .stderr(fs::File::create(work.join(format!("{target}.log")))?)
            .spawn()?;
        running.push((target, child));
    }
    let mut failed = Vec::new();
    let mut report = Vec::new();
    for (target, mut child) in running {
        let status = child.wait()?;
        let log = String::from_utf8_lossy(&fs::read(work.join(format!("{target}.log")))?).into_owned();
        let last = log.trim_end().lines().next_back().unwrap_or_default().to_owned();
        report.push(format!("{target}: {last}"));
        if !status.success() {
            failed.push(format!("{target}:\n{log}"));
        }
    }
    if failed.is_empty() { Ok(report.join("\n")) } else { Err(failed.join("\n").into()) }
}

/// Builds every target.
///
/// # Errors
///
/// A target that does not build.
pub(crate) fn build(root: &Path) -> Result<String> {
    let mut cargo = Command::new(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
    cargo.current_dir(root.join(WORKSPACE)).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", work(root));
    // A panic names its line without them, and each of the programs links faster.
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    // If the command names a target, Cargo does not apply the flags to build scripts.
    cargo.args(["build", "--quiet", "--release", "--locked", "--bins", "--target", &host()?]);
    match cargo.status()?.success() {
        true => Ok(String::new()),
        false => Err("the fuzz targets do not build".into()),
    }
}

fn work(root: &Path) -> PathBuf {
    root.join("target/fuzz")
}

/// Returns the compiler's name for this machine.
fn host() -> Result<String> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not say what it runs on")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    /// Two programs of one name would be one file, so one of them would never run.
    #[test]
    fn every_target_has_a_name_of_its_own_and_runs() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(WORKSPACE);
        let manifest = |folder: &Path| -> Table {
            fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
        };
        let members = manifest(&workspace)["workspace"]["members"].as_array().unwrap().clone();
        let mut built: Vec<String> = Vec::new();
        for member in members {
            let package = manifest(&workspace.join(member.as_str().unwrap()));
            let programs = package["bin"].as_array().unwrap().iter();
            built.extend(programs.map(|program| program["name"].as_str().unwrap().to_owned()));
        }
        let mut run: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        built.sort();
        run.sort_unstable();
        assert_eq!(built, run);
        run.dedup();
        assert_eq!(built.len(), run.len());
    }
}
