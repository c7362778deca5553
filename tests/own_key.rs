//! Makes a key of one's own in a copy of this workspace, and signs the demo firmware with it.
#![cfg(unix)]

use crate::common::{self, root};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn a_key_of_ones_own_signs_the_demo_firmware() {
    let copy = Copy::new();
    let made = copy.ok(&["keygen"]);
    assert!(text(&made.stdout).contains("fixtures/demo-firmware/src/ota_key.rs"), "{}", text(&made.stdout));
    if !Path::new("/usr/lib/rustlib/src/rust/library").exists() {
        assert!(std::env::var_os("CI").is_none(), "rust-web-src must be installed in CI");
        eprintln!("SKIPPED: no toolchain can build the demo firmware");
        return;
    }
    let signed = copy.ok(&["sign"]);
    let said = text(&signed.stdout);
    assert!(
        said.contains("demo-firmware.bin.gz.signed  verified") && said.contains("keys/public.pem"),
        "{said}"
    );
    assert!(!text(&signed.stderr).contains("WARNING"), "{}", text(&signed.stderr));
    // A firmware with another key: the error says how to put the right one into it.
    let source = copy.path("fixtures/demo-firmware/src/ota_key.rs");
    fs::copy(root().join("fixtures/demo-firmware/src/ota_key.rs"), &source).unwrap();
    let refused = copy.xtask(&["sign"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("help: type `cargo xtask pubkey`"), "{said}");
    copy.ok(&["pubkey"]);
    copy.ok(&["sign"]);
}

#[test]
fn the_prebuilt_image_cannot_have_a_key_of_ones_own() {
    let copy = Copy::new();
    let settings = fs::read_to_string(copy.path("Cargo.toml")).unwrap();
    let (without, _) = settings.split_once("[workspace.metadata.otaseal.fallback]").unwrap();
    fs::write(copy.path("Cargo.toml"), without).unwrap();
    // This compiler has `core` for no target.
    let rustc = copy.path("rustc");
    fs::write(
        &rustc,
        "#!/bin/sh\ncase \"$*\" in *target-libdir*) echo /nonexistent;; *) exec rustc \"$@\";; esac\n",
    )
    .unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |task: &str| copy.command(&[task]).env("RUSTC", &rustc).output().unwrap();
    let example = run("sign");
    assert!(example.status.success(), "{}", text(&example.stderr));
    assert!(run("keygen").status.success());
    let refused = run("sign");
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("error: the prebuilt image has a key of its own"), "{said}");
    let help = said.lines().find(|line| line.starts_with("help: ")).unwrap();
    assert!(help.contains("rustup target add thumbv6m-none-eabi") && !help.contains("rotate"), "{help}");
}

/// A copy of the parts of this workspace that signing the demo firmware reads.
struct Copy {
    dir: tempfile::TempDir,
    /// The xtask of this workspace, which is that of the copy.
    xtask: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let dir = common::tempdir();
        let from = root();
        for name in ["Cargo.toml", "Cargo.lock", "keys.example", "crates", "xtask", "fixtures"] {
            copy(&from.join(name), &dir.path().join(name));
        }
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(&from).args(["build", "--quiet", "--package", "xtask"]);
        assert!(build.env_remove("CARGO_TARGET_DIR").status().unwrap().success());
        let xtask = from.join("target/debug/xtask");
        Self { dir, xtask }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.xtask);
        command.current_dir(self.dir.path()).args(arguments).env("CARGO", env!("CARGO"));
        // The runs of this test share the directory, so Cargo builds `core` once.
        command.env("CARGO_TARGET_DIR", root().join("target/own-key"));
        for variable in ["RUSTFLAGS", "SOURCE_DATE_EPOCH"] {
            command.env_remove(variable);
        }
        command
    }

    fn xtask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.xtask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        output
    }
}

/// Copies a file or a directory, without what Cargo built in it.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "target" {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
