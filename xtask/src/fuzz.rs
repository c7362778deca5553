//! `cargo xtask fuzz`: runs every fuzz target for a while, on stable Rust and without cargo-fuzz.
//!
//! The instrumentation is what cargo-fuzz asks the compiler for, without a sanitizer: the crates have no unsafe
//! code. Whoever looks for bugs for longer uses cargo-fuzz, see the folders' READMEs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// Fuzz folders, their targets, and the inputs to begin with.
const TARGETS: &[(&str, &str, &[&str])] = &[
    ("crates/otaseal-device/fuzz", "layout", &["fixtures/accept", "fixtures/reject"]),
    ("crates/otaseal-device/fuzz", "stream", &["fixtures/accept", "fixtures/reject"]),
    ("crates/otaseal-device/fuzz", "metadata", &[]),
    ("crates/otaseal/fuzz", "tokens", &["fixtures/plain"]),
    ("crates/otaseal/fuzz", "elf", &["crates/otaseal/fuzz/seeds/elf"]),
    ("crates/otaseal/fuzz", "esp8266", &["fixtures/plain"]),
    ("crates/otaseal/fuzz", "uf2", &[]),
    ("crates/otaseal/fuzz", "gzip", &["tests/cmd/in"]),
    ("crates/otaseal/fuzz", "compress", &[]),
    ("crates/otaseal/fuzz", "metadata", &[]),
    ("crates/otaseal/fuzz", "identify", &["fixtures/plain", "crates/otaseal/fuzz/seeds/elf"]),
    ("crates/otaseal/fuzz", "encrypted", &["crates/otaseal/fuzz/seeds/encrypted"]),
    ("crates/otaseal/fuzz", "keys", &["keys.example", "tests/cmd/in/keys"]),
    ("crates/otaseal/fuzz", "uri", &["crates/otaseal/fuzz/seeds/uri"]),
    ("crates/otaseal/fuzz", "ledger", &["tests/cmd/in"]),
    ("crates/otaseal/fuzz", "release", &["tests/cmd/in/release", "tests/cmd/in/rotation"]),
    ("crates/otaseal/fuzz", "continuity", &["keys.example", "tests/cmd/in/keys"]),
    ("crates/otaseal/fuzz", "signature", &["tests/cmd/in/signatures"]),
    ("crates/otaseal-delivery/fuzz", "espota", &["crates/otaseal-delivery/fuzz/seeds/espota"]),
    ("crates/otaseal-delivery/fuzz", "form", &["crates/otaseal-delivery/fuzz/seeds/form"]),
    ("crates/otaseal-delivery/fuzz", "homie", &["crates/otaseal-delivery/fuzz/seeds/homie"]),
    ("crates/otaseal-delivery/fuzz", "homie_config", &["crates/otaseal-delivery/fuzz/seeds/homie_config"]),
    ("crates/otaseal-delivery/fuzz", "pull", &["crates/otaseal-delivery/fuzz/seeds/pull"]),
    ("crates/otaseal-fleet/fuzz", "upload_archive", &["crates/otaseal-fleet/fuzz/seeds/upload_archive"]),
    ("crates/otaseal-fleet/fuzz", "upload_manifest", &["crates/otaseal-fleet/fuzz/seeds/upload_manifest"]),
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
    for (_, target, seeds) in TARGETS {
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
    let host = host()?;
    let work = work(root);
    let mut folders: Vec<&str> = TARGETS.iter().map(|(folder, ..)| *folder).collect();
    folders.dedup();
    for folder in folders {
        let mut cargo = Command::new(env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
        cargo.current_dir(root.join(folder)).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &work);
        // A panic names its line without them, and each of the programs links faster.
        cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
        // If the command names a target, Cargo does not apply the flags to build scripts.
        cargo.args(["build", "--quiet", "--release", "--bins", "--target", &host]);
        if !cargo.status()?.success() {
            return Err(format!("the fuzz targets of {folder} do not build").into());
        }
    }
    Ok(String::new())
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
