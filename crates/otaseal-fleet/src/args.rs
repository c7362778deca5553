//! Declares the command line. Each command declares its own arguments, in its own file.

use crate::cmd;
use clap::{Args, Parser, Subcommand};

/// Bring firmware to ESP8266, ESP32, RP2040 and Homie devices, and prove that it runs there.
///
/// This program never signs, and loads no key that signs firmware. The packages come from the program otaseal, which has
/// no network code.
#[derive(Debug, Parser)]
#[command(name = "otaseal-fleet", version, propagate_version = false, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print JSON instead of text: one object for each line
    ///
    /// An error is a JSON object on standard error.
    #[arg(long, global = true, help_heading = "General")]
    pub(crate) json: bool,
    /// Print only errors and results
    #[arg(short, long, global = true, help_heading = "General")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring a package or a file to a device.
    #[command(subcommand)]
    Push(cmd::push::Push),
    /// Show which devices there are.
    Discover(cmd::discover::DiscoverArgs),
    /// Read or change the configuration of a device.
    #[command(subcommand)]
    Config(cmd::homie::Config),
    /// Erase the configuration of a Homie device.
    Reset(cmd::homie::ResetArgs),
    /// Clear what a broker remembers of a Homie device.
    Forget(cmd::homie::ForgetArgs),
    /// Simulate devices, to try a set-up without a board.
    #[command(subcommand)]
    Simulate(cmd::simulate::Simulate),
    /// Serve a fleet, or the packages of a folder, to devices that pull by HTTP.
    Serve(cmd::serve::ServeArgs),
    /// Upload a release to a fleet.
    Upload(cmd::client::release::UploadArgs),
    /// The releases of a fleet.
    #[command(subcommand)]
    Release(cmd::client::release::Release),
    /// The devices of a fleet.
    #[command(subcommand)]
    Device(cmd::client::device::Device),
    /// The rollouts of a fleet.
    #[command(subcommand)]
    Rollout(cmd::client::rollout::Rollout),
    /// The keys that a fleet trusts.
    #[command(subcommand)]
    Key(cmd::client::key::Key),
    /// The tokens of a fleet.
    #[command(subcommand)]
    Token(cmd::client::token::Token),
    /// Show who changed what in a fleet.
    Audit(cmd::client::token::AuditArgs),
    /// Print a completion script for a shell.
    Completions(cmd::pages::CompletionsArgs),
    /// Print the manual page.
    Man(cmd::pages::ManArgs),
}
