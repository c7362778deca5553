//! The tasks of the workspace. `cargo xtask --help` lists them.
mod bench;
mod book;
mod boundary;
mod ci;
mod crates_io;
mod device;
mod dist;
mod fixtures;
mod flags;
mod fuzz;
mod interop;
mod layers;
mod settings;
mod sources;
mod test;
mod tools;
mod windows;

use std::io::{stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

/// The error of a task: a text for the person at the terminal.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of a task.
pub(crate) type Result<T> = std::result::Result<T, Error>;

const HELP: &str = "\
cargo xtask TASK: the tasks of this workspace

  sign                 build the demo firmware, package it, verify every signed image
  keygen               make your own key pair: keys/private.pem and keys/public.pem
  pubkey [--check]     write the public key into the source files of the setting `emit`
  verify [IMAGE...]    judge the package, or any image, with the public key

  test                 run all tests; the test runner's summary comes last
  ci                   run all tests, and check format, lints, dependencies, invariants, other systems
  crates               make the packages for crates.io, and check that they compile alone
  book [--update]      check the pages of the book, and build it with mdbook; or write the generated pages
  dist [--key KEY]     make what we hand out, in target/dist: tarball, Debian package, wheel; KEY signs the list
                       (options of `otaseal sign` may follow after --)
  dist --sign DIR --key KEY   sign the list of files that several machines made
  dist --check         install them into an empty Debian and an empty venv, and use them there
  settings [--check]   write the tables of docs/reference/settings.md
  fixtures [--check]   make the images that a device must accept or reject
  device [--update]    build the demo firmware, and judge every fixture with it in QEMU
  device --measure     measure size, instructions and stack of a verdict, and compare with BearSSL
  fuzz [SECONDS]       run every fuzz target for a minute, or for SECONDS
  interop [COUNT]      judge every fixture and COUNT generated images with other verifiers
  windows              build the program for Windows, and run it under wine
  bench [NAME...]      measure speed and memory, and compare with other programs; NAME is sign, verify, keygen,
                       encrypted, batch, pkcs11, device, compress, memory or gigabyte

Type `cargo xtask sign --help` to see the options of sign; keygen, pubkey and verify have --help too.
";

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the one place that prints")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let outcome = match words.as_slice() {
        // Every project has this task. The library parses its arguments and prints its report.
        ["sign" | "keygen" | "pubkey" | "verify", ..] => {
            return otaseal::cargo::run(std::env::args_os().skip(1), &mut stdout(), &mut stderr());
        }
        [] | ["help" | "--help" | "-h"] => Ok(HELP.trim_end().into()),
        ["bench", names @ ..] => bench::run(root, names),
        ["test"] => test::run_all(root).map(|()| String::new()),
        ["ci"] => ci::run_all(root).map(|()| String::new()),
        ["ci", "--lane", lane] => ci::run_lane(root, lane).map(|()| String::new()),
        ["dist", arguments @ ..] => dist::run(root, arguments),
        ["crates"] => crates_io::check(root),
        ["fixtures"] => fixtures::run(root, false),
        ["fixtures", "--check"] => fixtures::run(root, true),
        ["book"] => book::build(root),
        ["book", "--update"] => book::update(root),
        ["settings"] => settings::run(root, false),
        ["settings", "--check"] => settings::run(root, true),
        ["device"] => device::run(root, false),
        ["device", "--update"] => device::run(root, true),
        ["device", "--measure"] => device::measure(root),
        ["fuzz"] => fuzz::run(root, 60),
        ["fuzz", seconds] => seconds.parse().map_err(Into::into).and_then(|seconds| fuzz::run(root, seconds)),
        ["interop"] => interop::run(root, 10_000),
        ["interop", count] => count.parse().map_err(Into::into).and_then(|count| interop::run(root, count)),
        ["windows"] => windows::run_all(root),
        _ => {
            eprintln!("error: there is no task `{}`\nhelp: `cargo xtask --help` lists them", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(text) => {
            if !text.is_empty() {
                println!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}
