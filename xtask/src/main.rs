//! Tasks of the workspace.
mod device;
mod fixtures;
mod interop;

use std::path::Path;
use std::process::ExitCode;

/// What a task fails with: the text for the person at the terminal.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
/// What a task returns.
pub(crate) type Result<T> = std::result::Result<T, Error>;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the one place that prints")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let outcome = match args.as_slice() {
        ["fixtures"] => fixtures::run(root, false),
        ["fixtures", "--check"] => fixtures::run(root, true),
        ["device"] => device::run(root, false),
        ["device", "--update"] => device::run(root, true),
        ["interop"] => interop::run(root, 10_000),
        ["interop", count] => count.parse().map_err(Into::into).and_then(|count| interop::run(root, count)),
        _ => Err("usage: cargo xtask fixtures [--check] | device [--update] | interop [COUNT]".into()),
    };
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}
