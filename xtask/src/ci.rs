//! `cargo xtask ci`: runs the tests, and checks the rules that a test cannot check.

mod lanes;

use crate::tools::{CROSS, cargo, cross, has_std, run, step, table};
use crate::{Result, bench, book, boundary, crates_io, dist, flags, fuzz, layers, settings, test, windows};
use lanes::Lane;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages outside the workspace: another target, or another way to build.
const OUTSIDE: &[&str] = &[
    "fixtures/demo-firmware",
    "crates/otaseal/fuzz",
    "crates/otaseal-delivery/fuzz",
    "crates/otaseal-device/fuzz",
    "crates/otaseal-fleet/fuzz",
];

/// Largest file in git, in bytes.
const MAX_FILE: u64 = 200 * 1024;

/// Runs some steps on the workspace.
type Steps = fn(&Path) -> Result<()>;

/// What runs beside the other steps, and beside each other. Each lane has its own build directories: two builds in one
/// directory would wait for each other.
const LANES: &[(&str, Steps)] = &[("packages", packages), ("systems", systems)];

/// Checks the format, lints, documentation, dependencies, the written invariants and other systems, and runs the tests.
///
/// # Errors
///
/// The first of these that fails.
#[allow(clippy::print_stderr, reason = "the times of the steps")]
pub(crate) fn run_all(root: &Path) -> Result<()> {
    let lanes = LANES.iter().map(|(name, _)| Lane::start(root, name)).collect::<Result<Vec<_>>>()?;
    workspace(root)?;
    // Each lane says why it failed, so wait for all.
    let ended: Vec<_> = lanes.into_iter().map(Lane::finish).collect();
    ended.into_iter().collect::<Result<Vec<_>>>()?;
    // Nothing runs beside these two: the fuzz targets take all processors, and tests have time limits.
    // All targets run at the same time. In two minutes on two cores, each gets ten seconds of work.
    step("every fuzz target runs for two minutes", &["c++"], || fuzz::run(root, 120))?;
    eprintln!("=== times\n{}", table());
    test::workspace(root)
}

/// Runs one of [`LANES`].
///
/// # Errors
///
/// There is no such lane, or a step fails.
#[allow(clippy::print_stderr, reason = "the times of the steps")]
pub(crate) fn run_lane(root: &Path, name: &str) -> Result<()> {
    let lane =
        LANES.iter().find(|lane| lane.0 == name).ok_or_else(|| format!("there is no lane `{name}`"))?;
    lanes::end_with_parent();
    lane.1(root)?;
    eprintln!("=== times\n{}", table());
    Ok(())
}

/// What Cargo builds in `target/debug`, the steps that build little, and the firmware.
fn workspace(root: &Path) -> Result<()> {
    step("format", &[], || {
        run(cargo(root).args(["fmt", "--all", "--check"]))?;
        for folder in outside(root) {
            run(cargo(root).args(["fmt", "--check", "--manifest-path"]).arg(folder.join("Cargo.toml")))?;
        }
        Ok(String::new())
    })?;
    step("lints", &[], || {
        run(cargo(root).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))?;
        // Check the library alone: in a build of several packages, the features of the others would help it.
        run(cargo(root).args(["clippy", "-p", "otaseal", "--locked", "--", "-D", "warnings"]))?;
        Ok(String::new())
    })?;
    step("documentation", &[], || {
        run(cargo(root).env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))?;
        Ok(String::new())
    })?;
    // The program turns AWS-LC on in the tests of the workspace.
    step("the library alone signs the same bytes", &["openssl"], || {
        // Optimised, the library takes a minute to compile, for a few seconds of tests. What computes is in other crates.
        let quick = ["--config", "profile.dev.package.otaseal.opt-level=0"];
        run(cargo(root).args(["test", "-p", "otaseal", "--locked", "--lib"]).args(quick).arg("sign::"))?;
        Ok(String::new())
    })?;
    step("dependencies", &["cargo-deny"], || {
        run(cargo(root).args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))?;
        Ok("advisories are not looked up here: `cargo deny check advisories` needs the network".into())
    })?;
    step("the device crate's dependencies", &[], || device_dependencies(root))?;
    step("who signs has no network, who has a network cannot sign", &[], || boundary::check(root))?;
    step("the rooms of the host library are in layers", &[], || layers::check(root))?;
    step("the crates are ready for crates.io", &[], || crates_io::check(root))?;
    step("the tables of docs/reference/settings.md", &[], || settings::run(root, true))?;
    step("the book", &["mdbook"], || book::build(root))?;
    step("the libraries name no flag and no command", &[], || flags::check(root))?;
    step("invariants of the source", &["git"], || source(root))?;
    step("workflows", &["python3"], || {
        let mut check = Command::new("python3");
        check.args([
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.github-workflows",
            ".github/workflows/ci.yml",
        ]);
        run(check.arg(".github/workflows/release.yml").current_dir(root))?;
        Ok("checked, not run".into())
    })?;
    let compressors = ["gzip", "libdeflate-gzip", "zopfli", "advdef", "dpkg-deb"];
    step("sizes and times of compression as promised and written", &compressors, || {
        bench::compression(root)
    })?;
    step("the tests are built", &[], || test::build(root))?;
    test::peers(root)
}

/// What we hand out.
fn packages(root: &Path) -> Result<()> {
    step("what we hand out", &["python3", "git"], || dist::run(root, &[]))?;
    step("what we hand out, installed", &["python3", "mmdebstrap"], || dist::run(root, &["--check"]))
}

/// Other systems, and the fuzz targets.
fn systems(root: &Path) -> Result<()> {
    step("the fuzz targets are built", &["c++"], || fuzz::build(root))?;
    other_systems(root)
}

fn outside(root: &Path) -> Vec<PathBuf> {
    let folders = OUTSIDE.iter().map(|folder| root.join(folder));
    folders.filter(|folder| folder.join("Cargo.toml").exists()).collect()
}

/// Checks that the device crate depends on nothing but `sha2`, `crypto-bigint` and their own dependencies.
fn device_dependencies(root: &Path) -> Result<String> {
    let mut tree = cargo(root);
    tree.args(["tree", "-p", "otaseal-device", "--edges", "normal", "--prefix", "depth", "--format", " {p}"]);
    let output = tree.args(["--target", "thumbv6m-none-eabi"]).output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut names = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name)) = (words.next(), words.next()) else { continue };
        if depth == "1" && !["sha2", "crypto-bigint"].contains(&name) {
            return Err(format!("otaseal-device depends on {name}").into());
        }
        names.push(name.to_owned());
    }
    names.dedup();
    if names.first().is_none_or(|first| first != "otaseal-device") {
        return Err(format!("cargo tree said: {text}").into());
    }
    Ok(names.join(" "))
}

/// Checks the files in git: their size, and texts that must not be there.
fn source(root: &Path) -> Result<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)).into());
    }
    let files: Vec<PathBuf> = String::from_utf8(listed.stdout)?
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect();
    let mut wrong = Vec::new();
    for file in &files {
        let path = root.join(file);
        // The file is removed, and the removal is not committed yet.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.len() > MAX_FILE {
            wrong.push(format!("{}: {} bytes", file.display(), metadata.len()));
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        wrong.extend(in_text(file, &text).into_iter().map(|what| format!("{}: {what}", file.display())));
    }
    let device = fs::read_to_string(root.join("crates/otaseal-device/src/lib.rs"))?;
    if !device.contains("#![no_std]") {
        wrong.push("otaseal-device is not no_std".into());
    }
    if wrong.is_empty() { Ok(format!("{} files", files.len())) } else { Err(wrong.join("\n").into()) }
}

fn in_text(file: &Path, text: &str) -> Vec<String> {
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let library = is_rust
        && ["crates/otaseal/src", "crates/otaseal-device/src", "crates/otaseal-delivery/src"]
            .iter()
            .any(|library| file.starts_with(library))
        // A test that is skipped says so.
        && !file.ends_with("tests.rs")
        && !file.iter().any(|folder| folder == "tests")
        && !file.ends_with("testing.rs");
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut refuse = |what: &str| wrong.push(format!("line {}: {what}", number + 1));
        if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
            refuse("a conflict mark");
        }
        let code = line.trim_start();
        if library && !code.starts_with("//") {
            if ["println!", "eprintln!", "print!(", "dbg!"].iter().any(|print| code.contains(print)) {
                refuse("a library does not print");
            }
            if file.starts_with("crates/otaseal-device") && code.contains("extern crate alloc") {
                refuse("the device crate does not allocate");
            }
        }
    }
    wrong
}

/// Builds the workspace for Windows and runs the program under wine. Checks the Rust code for macOS: there is no C compiler
/// for it here, and no way to run it.
fn other_systems(root: &Path) -> Result<()> {
    let with = |target, more: &[&'static str]| {
        let std: &[&str] = if has_std(target) { &[] } else { CROSS };
        [std, more].concat()
    };
    let needs = with(windows::TARGET, windows::NEEDS);
    step("Windows: otaseal.exe under wine", &needs, || windows::run_all(root))?;
    let macos = "aarch64-apple-darwin";
    step("macOS: the code is checked", &with(macos, &["true"]), || {
        let mut check = cross(root, "check", macos);
        check.args(["--workspace", "--no-default-features", "--features", "otaseal-cli/pkcs11"]);
        run(check.env("CC_aarch64_apple_darwin", "true").env("AR_aarch64_apple_darwin", "true"))?;
        Ok("checked, not run".into())
    })
}
