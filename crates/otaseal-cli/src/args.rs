//! Declares the command line. Each command declares its own arguments, in its own file.

use crate::cmd;
use crate::error::{Exit, Failure};
use clap::{Args, Parser, Subcommand};
use otaseal::key::material;
use std::ffi::OsString;

/// Sign, compress, package and verify firmware images for ESP8266 and RP2040 updates.
///
/// In place of the name of a file, - means standard input or output. It is no name for a directory, for a ledger that
/// gets lines, or for a key that otaseal replaces.
#[derive(Debug, Parser)]
#[command(name = "otaseal", version, propagate_version = false, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done or accepted, 1 judged and rejected, 2 wrong usage, 3 could not do it."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Refuses a command line with a key on it, such as `--key "$(cat private.pem)"`. This comes first: anything later
/// could show the key in an error.
pub(crate) fn key_among(arguments: impl Iterator<Item = OsString>) -> Option<Failure> {
    let error = material::check_command_line(arguments).err()?;
    Some(Failure { exit: Exit::Usage, ..Failure::of(&error) })
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON object instead of text; an error is a JSON object on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only warnings and errors
    #[arg(long, short, global = true, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Keygen(cmd::keygen::Keygen),
    #[command(subcommand)]
    Key(cmd::key::Key),
    Package(Box<cmd::package::Package>),
    Sign(Box<cmd::sign::Sign>),
    Digest(cmd::digest::Digest),
    Attach(cmd::attach::Attach),
    Verify(cmd::verify::Verify),
    #[command(subcommand)]
    Ledger(cmd::ledger::Ledger),
    #[command(subcommand)]
    Rotate(cmd::rotate::Rotate),
    Release(cmd::release::Release),
    Inspect(cmd::inspect::Inspect),
    Identify(cmd::identify::Identify),
    Strip(cmd::strip::Strip),
    Compress(cmd::compress::Compress),
    Pubkey(cmd::pubkey::Pubkey),
    SigningPy(cmd::signing_py::SigningPy),
    Completions(cmd::completions::Completions),
    Man(cmd::man::Man),
}
