//! Makes a software token (SoftHSM) in its own directory.

use super::{Bench, OTASEAL};
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

pub(crate) const PIN: &str = "tulip-2718";
/// Configuration of a token without `CKM_RSA_PKCS`. SoftHSM 2.6.1 overlooks the first name in a list of forbidden ones.
pub(crate) const HASHES_ONLY: &str = "slots.mechanisms = CKM_SHA256_RSA_PKCS,CKM_RSA_PKCS_KEY_PAIR_GEN";
const SO_PIN: &str = "officer-31415";

/// Returns the path of SoftHSM's module. If it is missing, it prints a notice; in CI it fails.
pub(crate) fn module() -> Option<PathBuf> {
    let places = ["/usr/lib/softhsm", "/usr/lib64", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm"];
    let module =
        places.iter().map(|place| PathBuf::from(place).join("libsofthsm2.so")).find(|path| path.exists());
    let tools = ["softhsm2-util", "pkcs11-tool"];
    let found = tools.iter().all(|tool| Command::new(tool).arg("--version").output().is_ok());
    let module = module.filter(|_| found);
    assert!(
        module.is_some() || std::env::var_os("CI").is_none(),
        "softhsm2 and opensc must be installed in CI"
    );
    if module.is_none() {
        eprintln!("SKIPPED: softhsm2 or pkcs11-tool is not installed");
    }
    module
}

/// A directory with tokens, and programs that see them.
pub(crate) struct Tokens<'a> {
    bench: &'a Bench,
    module: PathBuf,
    configuration: PathBuf,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(bench: &'a Bench, module: PathBuf) -> Self {
        let tokens = Self { bench, module, configuration: bench.path("softhsm2.conf") };
        fs::create_dir(bench.path("tokens")).unwrap();
        tokens.configure("");
        tokens
    }

    /// Writes SoftHSM's configuration, with more lines.
    pub(crate) fn configure(&self, more: &str) {
        let tokens = self.bench.path("tokens");
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n{more}\n", tokens.display());
        fs::write(&self.configuration, text).unwrap();
    }

    pub(crate) fn module(&self) -> &str {
        self.module.to_str().unwrap()
    }

    /// Makes a token with this label and [`PIN`].
    pub(crate) fn make(&self, label: &str) {
        self.run(
            "softhsm2-util",
            &["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN],
        );
    }

    /// Imports a private key and its public key from a PKCS#8 file.
    pub(crate) fn import(&self, token: &str, file: &str, label: &str, id: &str) {
        let words =
            ["--import", file, "--token", token, "--label", label, "--id", id, "--pin", PIN, "--force"];
        self.run("softhsm2-util", &words);
    }

    /// Runs `pkcs11-tool WORDS`, logged in to a token.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn tool(&self, token: &str, words: &[&str]) -> Output {
        let common = ["--module", self.module(), "--token-label", token, "--login", "--pin", PIN];
        self.run("pkcs11-tool", &[&common, words].concat())
    }

    pub(crate) fn run(&self, program: &str, words: &[&str]) -> Output {
        let output = self.command(program).args(words).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {stderr}");
        output
    }

    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.bench.dir()).env("SOFTHSM2_CONF", &self.configuration);
        command.env_remove("OTASEAL_PKCS11_PIN").env_remove("OTASEAL_PKCS11_MODULE");
        command
    }

    /// Runs `otaseal ARGS` with the PIN and the module in its environment.
    pub(crate) fn otaseal(&self, args: &[&str]) -> Output {
        let mut command = self.command(OTASEAL);
        command.env("OTASEAL_PKCS11_PIN", PIN).env("OTASEAL_PKCS11_MODULE", &self.module).args(args);
        command.output().unwrap()
    }

    pub(crate) fn ok(&self, args: &[&str]) -> Output {
        let output = self.otaseal(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "otaseal {args:?}: {stderr}");
        output
    }
}
