//! Declares the command line. Each command declares its own arguments, in its own file.

use crate::cmd;
use crate::error::{Exit, Failure};
use crate::help;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};
use otaseal::key::material;
use std::ffi::OsString;

/// Sign, compress, package and verify firmware images for ESP8266 and RP2040 updates.
///
/// In place of the name of a file, - means standard input or output. It is no name for a directory, for a ledger that
/// gets lines, or for a key that otaseal replaces.
#[derive(Debug, Parser)]
#[command(name = "otaseal", version, propagate_version = false, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Returns the command line with its help. Without the help, `Cli::command` takes less time.
pub(crate) fn with_help() -> clap::Command {
    help::arrange(Cli::command())
}

/// Adds the commands that the user may have meant, if the error is about a command name of another program, or about a
/// name that could mean more than one command.
pub(crate) fn did_you_mean(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let meant: &[&str] = match typed.replace('_', "-").as_str() {
        "check" => &["verify", "key check", "ledger verify", "release verify", "doctor"],
        "sign-data" | "sign-image" => &["sign"],
        "verify-signature" | "verify-image" => &["verify"],
        "generate-signing-key" | "generate-key" | "generate" => &["keygen"],
        "extract-public-key" | "public-key" => &["pubkey"],
        _ => return error,
    };
    let meant = meant.iter().map(ToString::to_string).collect();
    error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(meant));
    error
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
    /// Print one JSON object instead of text
    ///
    /// An error is a JSON object on standard error.
    #[arg(long, global = true, help_heading = "General")]
    pub(crate) json: bool,
    /// Print only warnings and errors
    #[arg(long, short, global = true, conflicts_with = "json", help_heading = "General")]
    pub(crate) quiet: bool,
    /// Make every check, say what would be written, and write nothing
    ///
    /// The exit code is that of the real run. otaseal asks no token and no command to sign, and enters nothing into a
    /// ledger.
    #[arg(long, global = true, help_heading = "General")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(alias = "genkey")]
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
    #[command(aliases = ["info", "image-info", "image_info"])]
    Inspect(cmd::inspect::Inspect),
    Identify(cmd::identify::Identify),
    Doctor(cmd::doctor::Doctor),
    Strip(cmd::strip::Strip),
    #[command(alias = "gzip")]
    Compress(cmd::compress::Compress),
    #[command(alias = "getpub")]
    Pubkey(cmd::pubkey::Pubkey),
    SigningPy(cmd::signing_py::SigningPy),
    Completions(cmd::completions::Completions),
    Man(cmd::man::Man),
}
