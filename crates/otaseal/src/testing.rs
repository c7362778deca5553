//! Helpers that the unit tests share.

use std::path::Path;
use std::process::{Command, Output};

/// Prints that a test does not run because a program is missing. In CI it fails.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every peer must be there: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Returns whether a program is installed. If not, it calls [`skipped`].
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

/// Runs [`openssl`], and returns the text of both streams.
pub(crate) fn openssl_text(dir: &Path, words: &str) -> String {
    let output = openssl(dir, words);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Returns an ESP8266 image as an Arduino build makes it: eboot, padding, application; mode DIO, 4 MiB.
pub(crate) fn esp_image() -> Vec<u8> {
    let image = |segment: &[u8]| {
        let mut image = vec![0xE9, 1, 2, 0x40];
        image.extend(0x4010_0000u32.to_le_bytes());
        image.extend(0x4010_0000u32.to_le_bytes());
        image.extend((segment.len() as u32).to_le_bytes());
        image.extend_from_slice(segment);
        while image.len() % 16 != 15 {
            image.push(0);
        }
        image.push(segment.iter().fold(0xEF, |sum, byte| sum ^ byte));
        image
    };
    let mut file = image(b"the boot loader.");
    file.resize(0x1000, 0xAA);
    let text: Vec<u8> = (0u32..50_000).map(|i| (i.wrapping_mul(2_654_435_761) >> 28) as u8).collect();
    file.extend(image(&text));
    file
}

/// Makes a signed image with the one function that seals. It judges nothing first.
pub(crate) fn signed(payload: &[u8], key: &dyn crate::sign::Signer, scheme: crate::sign::Scheme) -> Vec<u8> {
    crate::sign::sign_in_memory(payload, scheme, key).unwrap().parts().concat()
}
