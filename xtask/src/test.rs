//! `cargo xtask test`: everything that must hold, with the test runner's own summary at the end.

use crate::tools::{cargo, run, step};
use crate::{Result, device, fixtures, interop};
use std::path::Path;

/// What building and running the demo firmware takes, see [`device`].
const DEVICE: &[&str] = &[
    "/usr/bin/cargo",
    "/usr/bin/rustc",
    "/usr/lib/rustlib/src/rust/library",
    "arm-none-eabi-ld",
    "riscv64-unknown-elf-ld",
    "qemu-system-arm",
    "qemu-system-riscv32",
];

/// What building and running the C verifiers takes, see [`interop`].
const INTEROP: &[&str] = &[
    "openssl",
    "gcc",
    "/usr/include/bearssl.h",
    "apt-get",
    "dpkg-source",
    "xtensa-lx106-elf-gcc",
    "qemu-system-xtensa",
];

/// What measuring a verdict takes beyond [`DEVICE`], see [`device::measure`].
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
    step("fixtures are what OpenSSL makes", &["openssl", "gzip"], || fixtures::run(root, true))?;
    step("the demo firmware judges every fixture in QEMU", DEVICE, || device::run(root, false))?;
    step("other verifiers say what ours says", INTEROP, || interop::run(root, 2_000))?;
    step("a verdict costs no more than BearSSL's, and cannot panic", COST, || device::measure(root))?;
    // Last, so that the runner's summary is what the reader sees.
    run(cargo(root).args(["test", "--workspace", "--no-fail-fast"]))
}
