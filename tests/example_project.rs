//! Builds the ten-line xtask of the README in a temporary directory and runs it. OpenSSL verifies its package.
use crate::common;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The rest of the firmware, behind the code of the README. It is built for this machine, and judges the update in a
/// file.
const FIRMWARE: &str = r#"
fn main() -> std::process::ExitCode {
    let update = std::env::args_os().nth(1).expect("the name of an update");
    match checked(&std::fs::read(update).expect("an update")) {
        Ok(payload) => println!("installing {} bytes", payload.len()),
        Err(reject) => return reject.code().into(),
    }
    0.into()
}
"#;

/// Cargo finds this file only if the build runs in the firmware's directory. A firmware needs it: it is linked to fixed
/// addresses.
const FIXED_ADDRESSES: &str = r#"[build]
target = "HOST"
rustflags = ["-Crelocation-model=static", "-Ctarget-feature=+crt-static"]
"#;

/// Most projects for a device have these lines. The xtask is built for this machine all the same.
const FOR_A_DEVICE: &str = r#"
[build]
target = "thumbv6m-none-eabi"
"#;

const WORKSPACE: &str = r#"[workspace]
resolver = "3"
members = ["firmware", "xtask"]

# otaseal compiles faster like this, and it makes the same bytes.
[profile.release.package.otaseal]
opt-level = 0

[workspace.metadata.otaseal]
EMIT
effort = "fast"
legacy = true
"#;

#[test]
fn another_project_signs_with_the_xtask_of_the_readme() {
    if !openssl_is_there() {
        return;
    }
    let dir = common::tempdir();
    let project = Project::new(dir.path());

    let missing = project.xtask(&["sign"]);
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing.stderr));
    assert!(text(&missing.stderr).contains("help: make one with `cargo xtask keygen`"));

    assert_eq!(project.xtask(&["pubkey", "--check"]).status.code(), Some(3), "nothing is emitted yet");
    project.ok(&["keygen"]);
    project.ok(&["pubkey", "--check"]);
    let again = project.xtask(&["keygen"]);
    assert_eq!(again.status.code(), Some(3), "a key is never overwritten");

    let signed = project.ok(&["sign", "--release", "--ledger", "ledger.jsonl", "--sbom", "--name", "lamp"]);
    assert!(!text(&signed.stderr).contains("warning:"), "{}", text(&signed.stderr));
    assert!(text(&signed.stdout).contains("lamp.bin.gz.signed  verified"), "{}", text(&signed.stdout));
    project.ok(&["verify", "--name", "lamp"]);

    let package = project.target().join("otaseal/lamp");
    let names = ["lamp.bin", "lamp.bin.gz", "lamp.bin.signed", "lamp.bin.gz.signed", "lamp.bin.legacy_sig"];
    for name in names.iter().chain(&["lamp.sbom.json", "manifest.json"]) {
        assert!(package.join(name).is_file(), "{name}");
    }
    let manifest = fs::read_to_string(package.join("manifest.json")).unwrap();
    assert!(manifest.contains("\"example_key\": false"), "{manifest}");
    for (signed, plain) in [("lamp.bin.signed", "lamp.bin"), ("lamp.bin.gz.signed", "lamp.bin.gz")] {
        project.openssl_accepts(&package.join(signed), &package.join(plain));
    }

    // The firmware judges the update that was made of it.
    let firmware = project.target().join(host()).join("release/firmware");
    let judged = |image: &str| Command::new(&firmware).arg(package.join(image)).output().unwrap();
    let accepted = judged("lamp.bin.signed");
    assert!(accepted.status.success() && text(&accepted.stdout).contains("installing"), "{accepted:?}");
    assert_eq!(judged("lamp.bin").status.code(), Some(3), "no signature: a wrong length field");

    // The key moves to a place that only a command knows. The firmware's own settings name the command. The bytes stay
    // the same.
    let path = package.join("lamp.bin.signed");
    let by_file = fs::read(&path).unwrap();
    fs::rename(dir.path().join("keys/private.pem"), dir.path().join("firmware/safe")).unwrap();
    let settings = "[package.metadata.otaseal]\npublic-key = \"../keys/public.pem\"\n\
        signer-cmd = \"openssl pkeyutl -sign -inkey safe -pkeyopt rsa_padding_mode:pkcs1\"\n";
    let manifest = fs::read_to_string(dir.path().join("firmware/Cargo.toml")).unwrap();
    fs::write(dir.path().join("firmware/Cargo.toml"), manifest + settings).unwrap();
    project.ok(&["sign", "--release", "--ledger", "ledger.jsonl", "--name", "lamp"]);
    assert!(fs::read(&path).unwrap() == by_file);
    let refused = project.xtask(&["sign", "--name", "lamp", "--signer-cmd", "false"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(fs::read(&path).unwrap() == by_file);

    // One byte of the signed image changes, so `verify` exits with 1.
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(project.xtask(&["verify", "--name", "lamp"]).status.code(), Some(1));
}

struct Project<'a> {
    root: &'a Path,
}

impl<'a> Project<'a> {
    fn new(root: &'a Path) -> Self {
        let workspace = common::root();
        let readme = fs::read_to_string(workspace.join("README.md")).unwrap();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let crate_path = workspace.join("crates/otaseal").display().to_string().replace('\\', "/");
        let manifest = block(&readme, "toml", "name = \"xtask\"");
        let by_path = manifest.replace("../../otaseal/crates/otaseal", &crate_path);
        assert_ne!(by_path, manifest, "the README names another source");
        let settings = block(&readme, "toml", "[workspace.metadata.otaseal]");
        let emit = settings.lines().find(|line| line.starts_with("emit")).unwrap();
        write("Cargo.toml", &WORKSPACE.replace("EMIT", emit));
        write("xtask/Cargo.toml", &by_path);
        write("xtask/src/main.rs", &block(&readme, "rust", "fn main()"));
        write(".cargo/config.toml", &(block(&readme, "toml", "[alias]") + FOR_A_DEVICE));
        write("firmware/src/main.rs", &(block(&readme, "rust", "mod ota_key;") + FIRMWARE));
        write("firmware/.cargo/config.toml", &FIXED_ADDRESSES.replace("HOST", &host()));
        write("firmware/src/ota_key.rs", "//! Written by `cargo xtask pubkey`.\n");
        let device = workspace.join("crates/otaseal-device").display().to_string().replace('\\', "/");
        let firmware = format!(
            "[package]\nname = \"firmware\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
             [dependencies]\notaseal-device = {{ path = \"{device}\" }}\n"
        );
        write("firmware/Cargo.toml", &firmware);
        // Use the lock file of this workspace, so that Cargo downloads nothing.
        fs::copy(workspace.join("Cargo.lock"), root.join("Cargo.lock")).unwrap();
        Self { root }
    }

    fn target(&self) -> PathBuf {
        // The runs of this test share the directory, so Cargo builds unchanged crates once.
        common::root().join("target/example-project")
    }

    fn xtask(&self, arguments: &[&str]) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.arg("xtask").args(arguments).current_dir(self.root);
        cargo.env("CARGO_TARGET_DIR", self.target());
        // This takes the compiler less time, and the result is the same.
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        for variable in ["RUSTFLAGS", "CARGO_PKG_NAME", "SOURCE_DATE_EPOCH"] {
            cargo.env_remove(variable);
        }
        cargo.output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.xtask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output.stderr));
        output
    }

    fn openssl_accepts(&self, signed: &Path, plain: &Path) {
        let image = fs::read(signed).unwrap();
        let (head, length) = image.split_last_chunk::<4>().unwrap();
        assert_eq!(length, &256u32.to_le_bytes());
        let (payload, signature) = head.split_at(head.len() - 256);
        assert_eq!(payload, fs::read(plain).unwrap());
        let path = self.root.join("signature");
        fs::write(&path, signature).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-verify"]).arg(self.root.join("keys/public.pem"));
        let output = openssl.arg("-signature").arg(&path).arg(plain).output().unwrap();
        assert_eq!(text(&output.stdout).trim(), "Verified OK", "{}", text(&output.stderr));
    }
}

/// Returns the code block of the README in this language that holds `mark`.
fn block(readme: &str, language: &str, mark: &str) -> String {
    let start = format!("```{language}\n");
    let blocks = readme.split(start.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next());
    let found: Vec<_> = blocks.filter(|block| block.contains(mark)).collect();
    assert_eq!(found.len(), 1, "the README has {} blocks with {mark:?}", found.len());
    format!("{}\n", found[0])
}

/// Returns the name of this machine's target.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = text(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn openssl_is_there() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "openssl must be installed in CI");
    if !there {
        eprintln!("SKIPPED: openssl is not installed");
    }
    there
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
