//! `cargo xtask device`: builds the demo firmware, and runs it in QEMU against every fixture.

mod build;
mod emulate;
mod measure;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Result;
use build::Toolchain;
use emulate::{BOARDS, Board};

/// The compiler of `fixtures/plain/demo-firmware.bin`. Another compiler may make other bytes.
const PLAIN_MADE_BY: &str = "rustc 1.96.0 (ac68faa20 2026-05-25)";

/// Measures size, instructions and stack of a verdict, and compares them with BearSSL's.
///
/// # Errors
///
/// A program that is not installed, code that can panic, or a number above its limit.
pub(crate) fn measure(root: &Path) -> Result<String> {
    measure::run(root)
}

/// Builds the firmware for every target, and runs it on every board. With `update`, it rewrites the committed image.
///
/// # Errors
///
/// A program that is not installed, a build that fails, a verdict, code or active slot other than in the fixture's
/// name, or an old committed image.
pub(crate) fn run(root: &Path, update: bool) -> Result<String> {
    let mut report = String::new();
    for board in BOARDS {
        let toolchain = Toolchain::find(board.target)?;
        let elf = toolchain.build(root, board.target, "demo-firmware")?;
        linker_kept_tokens(&elf)?;
        if board.committed {
            committed_image(root, &toolchain, board.target, update, &mut report)?;
        }
        let runs = judge_all(root, board, &elf)?;
        writeln!(report, "{} ({}): {runs} images judged as their names say", board.machine, board.target)?;
    }
    Ok(report)
}

/// Checks that the packager finds the tokens that the macros placed, after every linker.
fn linker_kept_tokens(elf: &Path) -> Result<()> {
    let flat = otaseal::format::elf::flatten(&fs::read(elf)?, otaseal::format::elf::DEFAULT_MAX_GAP)?.bytes;
    let tokens = otaseal::format::homie::extract(&flat)?;
    let found = (
        tokens.marker,
        tokens.name.map(|token| token.value.to_string()),
        tokens.version.map(|token| token.value.to_string()),
        tokens.brand.map(|token| token.value.to_string()),
    );
    let text = |text: &str| Some(text.to_owned());
    if found == (true, text("demo-firmware"), text("1.0.0"), text("Otaseal")) {
        Ok(())
    } else {
        Err(format!("{}: the tokens are {found:?}", elf.display()).into())
    }
}

/// Compares the image in git with a fresh one.
fn committed_image(
    root: &Path,
    tools: &Toolchain,
    target: &str,
    update: bool,
    report: &mut String,
) -> Result<()> {
    let path = root.join("fixtures/plain/demo-firmware.bin");
    if !update && tools.version != PLAIN_MADE_BY {
        writeln!(report, "{}: not compared, it is of {PLAIN_MADE_BY}", path.display())?;
        return Ok(());
    }
    let elf = tools.build_reproducibly(root, target, "demo-firmware", &[])?;
    let flat = otaseal::format::elf::flatten(&fs::read(elf)?, otaseal::format::elf::DEFAULT_MAX_GAP)?.bytes;
    if update {
        fs::write(&path, &flat)?;
        writeln!(report, "{}: {} bytes by {}", path.display(), flat.len(), tools.version)?;
    } else if fs::read(&path)? == flat {
        writeln!(report, "{}: reproduced byte for byte", path.display())?;
    } else {
        return Err(format!("{} is stale\nrun: cargo xtask device --update", path.display()).into());
    }
    Ok(())
}

fn judge_all(root: &Path, board: &Board, elf: &Path) -> Result<usize> {
    let mut runs = 0;
    for folder in ["accept", "reject"] {
        for entry in fs::read_dir(root.join("fixtures").join(folder))? {
            let image = entry?.path();
            let name =
                image.file_name().and_then(|name| name.to_str()).ok_or("a fixture's name is not UTF-8")?;
            let Some(name) = name.strip_suffix(".bin") else { continue };
            let expected = expectation(folder, name)?;
            let run = board.run(elf, &image, expected.announced)?;
            let slot = if run.code == 0 { "slot B is active" } else { "slot A is active" };
            if !expected.codes.contains(&run.code) || !run.output.trim_end().ends_with(slot) {
                return Err(format!(
                    "{} on {}: expected a code of {:?} and {slot}, got code {} and\n{}",
                    image.display(),
                    board.machine,
                    expected.codes,
                    run.code,
                    run.output
                )
                .into());
            }
            runs += 1;
        }
    }
    Ok(runs)
}

struct Expectation {
    /// One code, or either of two.
    codes: Vec<i32>,
    announced: Option<usize>,
}

/// Returns the expected answer of the demo firmware. It knows the example key and the next key, and no legacy
/// signatures.
fn expectation(folder: &str, name: &str) -> Result<Expectation> {
    use otaseal::device::Reject;
    let (what, judge) = name.split_once('.').unwrap_or((name, ""));
    let reject = match (folder, judge) {
        // The signing key has another size.
        ("accept", "rsa3072" | "rsa4096" | "rsa4096.legacy") => Some(Reject::LengthField),
        // For the RSA-3072 key, the length field is wrong. For this key, the field is right and the signature is wrong.
        ("reject", "rsa3072") => Some(Reject::SignatureMismatch),
        // The firmware takes no legacy signature.
        ("accept", "legacy") => Some(Reject::SignatureMismatch),
        ("reject", "legacy") if what.ends_with("--current-form-for-legacy") => None,
        ("accept", _) => None,
        _ => {
            let wanted = what.split("--").next().unwrap_or_default();
            let known = Reject::ALL.into_iter().find(|reject| reject.name() == wanted);
            Some(known.ok_or_else(|| format!("{name}: no such reject"))?)
        }
    };
    let announced = what.split_once("--announced-").map(|(_, number)| number.parse()).transpose()?;
    let mut codes = vec![reject.map_or(0, |reject| reject.code().into())];
    if reject == Some(Reject::SignatureRange) {
        // The signature is larger than the example key's modulus. If the next key's modulus is larger, that key rejects
        // it later.
        codes.push(Reject::SignatureMismatch.code().into());
    }
    Ok(Expectation { codes, announced })
}
