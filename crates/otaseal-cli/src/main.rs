//! The program `otaseal`: it parses the command line, calls the library, and prints the result.
//!
//! Exit codes: 0 done or accepted; 1 judged and rejected; 2 wrong usage; 3 could not do it.

mod args;
mod batch;
mod cmd;
mod colour;
mod defaults;
mod error;
mod examples;
mod help;
mod io;
mod ledger;
mod made;
mod passphrase;
mod policy;
mod progress;
mod report;
mod settings;
mod signer;

use crate::args::{Cli, Command};
use crate::cmd::key::Key;
use crate::cmd::ledger::Ledger;
use crate::cmd::rotate::Rotate;
use crate::report::Reporter;
use clap::{CommandFactory, FromArgMatches};
use otaseal::key::stack;
use otaseal::output::signals;
use std::alloc::System;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Wipes all freed memory: the arithmetic of RSA frees memory that holds copies of the private numbers.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    report::install_panic_hook();
    passphrase::forbid_core_dumps();
    // If the system refuses this, everything else still works.
    let _ = signals::report_size_limit();
    signals::end_cleanly_with_names(passphrase::show_typing);
    if let Some(failure) = args::key_among(std::env::args_os().skip(1)) {
        return report::refused(&failure);
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let reporter = Reporter::new(cli.global.json, cli.global.quiet);
    if cli.global.dry_run {
        io::begin_dry_run();
    }
    stack::wiped_after_command(|| run(&cli.command, &reporter))
}

/// Runs the command, and prints its result.
fn run(command: &Command, reporter: &Reporter) -> ExitCode {
    match command {
        Command::Keygen(args) => reporter.finish(cmd::keygen::run(args, reporter)),
        Command::Key(Key::Info(args)) => reporter.finish(cmd::key::info::run(args)),
        Command::Key(Key::Passwd(args)) => reporter.finish(cmd::key::passwd::run(args)),
        Command::Key(Key::Convert(args)) => reporter.finish(cmd::key::convert::run(args)),
        Command::Key(Key::Check(args)) => reporter.finish(cmd::key::check::run(args)),
        Command::Package(args) => reporter.finish(cmd::package::run(args, reporter)),
        Command::Sign(args) => reporter.finish(cmd::sign::run(args, reporter)),
        Command::Digest(args) => reporter.finish(cmd::digest::run(args)),
        Command::Attach(args) => reporter.finish(cmd::attach::run(args)),
        Command::Verify(args) => reporter.finish(cmd::verify::run(args, reporter)),
        Command::Ledger(Ledger::Verify(args)) => reporter.finish(cmd::ledger::verify(args, reporter)),
        Command::Ledger(Ledger::Show(args)) => reporter.finish(cmd::ledger::show(args)),
        Command::Ledger(Ledger::Export(args)) => reporter.finish(cmd::ledger::export(args)),
        Command::Rotate(Rotate::Plan(args)) => reporter.finish(cmd::rotate::plan(args, reporter)),
        Command::Release(args) => reporter.finish(cmd::release::run(args, reporter)),
        Command::Doctor(args) => reporter.finish(cmd::doctor::run(args, reporter)),
        Command::Identify(args) => reporter.finish(cmd::identify::run(args)),
        Command::Inspect(args) => reporter.finish(cmd::inspect::run(args, reporter)),
        Command::Strip(args) => reporter.finish(cmd::strip::run(args)),
        Command::Compress(args) => reporter.finish(cmd::compress::run(args, reporter)),
        Command::Pubkey(args) => reporter.finish(cmd::pubkey::run(args, reporter)),
        Command::SigningPy(args) => reporter.finish(cmd::signing_py::run(args, reporter)),
        Command::Completions(args) => reporter.finish(cmd::completions::run(args)),
        Command::Man(args) => reporter.finish(cmd::man::run(args)),
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os()).map_err(|error| {
        use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand};
        match error.kind() {
            DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand => help(error),
            _ => args::did_you_mean(error),
        }
    })?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Returns the help that the command line asks for, arranged. `bare` is the same help as clap arranges it.
fn help(bare: clap::Error) -> clap::Error {
    let mut command = args::with_help();
    // The help of `signing-py` has lines to copy, which must not be wrapped. The width is one for the whole program.
    if std::env::args_os().any(|arg| arg == "signing-py") {
        command = command.term_width(0);
    }
    command.try_get_matches_from(std::env::args_os()).err().unwrap_or(bare)
}
