//! `cargo xtask test`: runs all tests, with the test runner's own summary at the end.

use crate::tools::{cargo, run, step};
use crate::{Result, device, fixtures, interop};
use std::path::Path;

/// Programs that building and running the demo firmware needs, see [`device`].
const DEVICE: &[&str] = &[
    "/usr/bin/cargo",
    "/usr/bin/rustc",
    "/usr/lib/rustlib/src/rust/library",
    "arm-none-eabi-ld",
    "riscv64-unknown-elf-ld",
    "qemu-system-arm",
    "qemu-system-riscv32",
];

/// Programs that building and running the C verifiers needs, see [`interop`].
const INTEROP: &[&str] = &[
    "openssl",
    "gcc",
    "/usr/include/bearssl.h",
    "apt-get",
    "dpkg-source",
    "xtensa-lx106-elf-gcc",
    "qemu-system-xtensa",
];

/// Programs that measuring a verdict needs besides [`DEVICE`], see [`device::measure`].
const COST: &[&str] = &[
    "/usr/bin/rustc",
    "/usr/lib/rustlib/src/rust/library",
    "apt-get",
    "dpkg-source",
    "arm-none-eabi-gcc",
    "arm-none-eabi-nm",
    "qemu-system-arm",
];

/// Runs the fixtures' check, the demo firmware, the other verifiers, and the tests of every package.
///
/// # Errors
///
/// The first of these that fails.
pub(crate) fn run_all(root: &Path) -> Result<()> {
    peers(root)?;
    workspace(root)
}

/// Runs the fixtures' check, the demo firmware and the other verifiers.
///
/// # Errors
///
/// The first of these that fails.
pub(crate) fn peers(root: &Path) -> Result<()> {
    step("fixtures are what OpenSSL makes", &["openssl", "gzip"], || fixtures::run(root, true))?;
    step("the demo firmware judges every fixture in QEMU", DEVICE, || device::run(root, false))?;
    step("other verifiers say what ours says", INTEROP, || interop::run(root, 2_000))?;
    step("a verdict costs no more than BearSSL's, and cannot panic", COST, || device::measure(root))
}

/// Builds what [`workspace`] runs.
///
/// # Errors
///
/// A test that does not compile.
pub(crate) fn build(root: &Path) -> Result<String> {
    run(cargo(root).args(["test", "--workspace", "--no-run"]))?;
    Ok(String::new())
}

/// Runs the tests of every package. This comes last, so that the reader sees the runner's summary.
///
/// # Errors
///
/// A test that fails.
pub(crate) fn workspace(root: &Path) -> Result<()> {
    run(cargo(root).args(["test", "--workspace", "--no-fail-fast"]))
}
