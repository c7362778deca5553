//! `cargo xtask windows`: builds `otaseal.exe`, and runs it under wine.
//!
//! Each case says what the program promises on every system, or what differs on Windows. The native program and OpenSSL
//! are the peers: the files must have the same bytes.

mod bench;
mod cases;

use crate::Result;
use crate::tools::{ELSEWHERE, cargo, cross, has_std, run};
use bench::{Bench, Programs};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";
const GCC: &str = "x86_64-w64-mingw32-gcc";
/// Debian's package `wine64` puts no program into PATH.
const WINE: &str = "/usr/lib/wine/wine64";

/// The programs that [`run_all`] needs, beside those of [`cross`].
pub(crate) const NEEDS: &[&str] = &[GCC, WINE, "openssl", "timeout"];

/// Builds the workspace for Windows, and runs every case.
///
/// # Errors
///
/// A build that fails, or all the cases that fail.
pub(crate) fn run_all(root: &Path) -> Result<String> {
    let programs = build(root)?;
    let version = Command::new(WINE).arg("--version").output()?;
    let mut wrong = Vec::new();
    for (name, case) in cases::ALL {
        let outcome = Bench::new(root, &programs).and_then(|bench| {
            case(&bench)?;
            bench.has_no_temporary_file()
        });
        if let Err(error) = outcome {
            wrong.push(format!("{name}: {error}"));
        }
    }
    if wrong.is_empty() {
        let version = String::from_utf8_lossy(&version.stdout);
        Ok(format!("{} cases under {}", cases::ALL.len(), version.trim()))
    } else {
        Err(wrong.join("\n").into())
    }
}

/// Builds the workspace for Windows, the programs of the tests, and the native program.
fn build(root: &Path) -> Result<Programs> {
    let folder = root.join(ELSEWHERE);
    let mut flags = vec!["-C".to_owned(), format!("linker={GCC}")];
    if !has_std(TARGET) {
        // A standard library from source lacks two objects that every program for this target begins and ends with.
        let objects = folder.join("rt");
        fs::create_dir_all(&objects)?;
        for name in ["rsbegin", "rsend"] {
            let source = format!("/usr/lib/rustlib/src/rust/library/rtstartup/{name}.rs");
            let mut rustc = Command::new("/usr/bin/rustc");
            rustc.args(["--target", TARGET, "--emit=obj", "-o"]).arg(objects.join(format!("{name}.o")));
            run(rustc.arg(source).env("RUSTC_BOOTSTRAP", "1"))?;
        }
        flags.splice(0..0, ["-L".to_owned(), objects.display().to_string()]);
    }
    let mut windows = cross(root, "build", TARGET);
    windows.args(["--workspace", "--bins", "--locked"]);
    windows.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    run(windows.env_remove("RUSTFLAGS"))?;
    // A test beside the program: without one, Cargo would build the library once more, because its dependencies have
    // fewer features.
    run(cargo(root).args(["build", "--workspace", "--locked", "--bins", "--test", "errors"]))?;

    let folder = folder.join(TARGET).join("debug");
    let sources = root.join("xtask/src/windows");
    // The linker wants the library after the source.
    let compile = |options: &[&str], source: &str, output: &str| -> Result<PathBuf> {
        let output = folder.join(output);
        let mut gcc = Command::new(GCC);
        gcc.args(["-O", "-Wall", "-Werror"]).args(options).arg("-o").arg(&output).arg(sources.join(source));
        run(gcc.arg("-ladvapi32"))?;
        Ok(output)
    };
    compile(&["-shared"], "bcryptprimitives.c", "bcryptprimitives.dll")?;
    let hold = compile(&["-municode"], "hold.c", "hold.exe")?;
    Ok(Programs {
        otaseal: folder.join("otaseal.exe"),
        hold,
        native: root.join("target/debug/otaseal"),
        prefix: root.join(ELSEWHERE).join("wine"),
    })
}
