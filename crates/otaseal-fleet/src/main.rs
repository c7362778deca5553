//! The program `otaseal-fleet`: it brings firmware to devices, and proves that it runs there. It cannot sign.
//!
//! Exit codes: 0 done; 1 otaseal or the device refused; 2 wrong usage; 3 it could not be done, or cannot be known.

mod args;
mod broker;
mod cmd;
mod error;
mod folder;
mod package;
mod report;
mod secret;

use crate::args::{Cli, Command};
use crate::error::{Exit, Failure};
use clap::Parser;
use otaseal::key::material;
use std::process::ExitCode;

fn main() -> ExitCode {
    report::install_panic_hook();
    if let Err(error) = material::check_command_line(std::env::args_os().skip(1)) {
        let help = "give the name of a file instead, or of a variable";
        return report::failure(&Failure { exit: Exit::Usage, ..Failure::new(error, help) }, false);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let reporter = report::Reporter { json: cli.global.json, quiet: cli.global.quiet };
    let done = match &cli.command {
        Command::Push(push) => cmd::push::run(push, reporter),
        Command::Discover(args) => cmd::discover::run(args, reporter),
        Command::Config(config) => cmd::homie::config(config, reporter),
        Command::Reset(args) => cmd::homie::reset(args, reporter),
        Command::Forget(args) => cmd::homie::forget(args, reporter),
        Command::Simulate(simulate) => cmd::simulate::run(simulate, reporter),
        Command::Serve(args) => cmd::serve::run(args, reporter),
        Command::Upload(args) => cmd::client::release::upload(args, reporter),
        Command::Release(command) => cmd::client::release::release(command, reporter),
        Command::Device(command) => cmd::client::device::run(command, reporter),
        Command::Rollout(command) => cmd::client::rollout::run(command, reporter),
        Command::Key(command) => cmd::client::key::run(command, reporter),
        Command::Token(command) => cmd::client::token::run(command, reporter),
        Command::Audit(args) => cmd::client::token::audit(args, reporter),
        Command::Completions(args) => cmd::pages::completions(args, reporter),
        Command::Man(args) => cmd::pages::man(args, reporter),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => report::failure(&failure, reporter.json),
    }
}
