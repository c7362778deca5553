//! What the unit tests share.

use std::path::Path;
use std::process::{Command, Output};

/// Says that a test does not run because a program is missing, and fails where nothing may be missing: in CI.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every peer must be there: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether a program is here; [`skipped`] where it is not.
pub(crate) fn has_tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        skipped(&format!("{name} is not installed"));
    }
    found
}

/// Runs `openssl WORDS` in `dir` and asserts that it succeeded.
pub(crate) fn openssl(dir: &Path, words: &str) -> Output {
    let output = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("the tests need the program openssl: install it and run them again");
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What [`openssl`] prints, on both streams.
pub(crate) fn openssl_text(dir: &Path, words: &str) -> String {
    let output = openssl(dir, words);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
