//! Arranges the help of every command: the most used options first, and examples at the end.

use crate::examples;
use crate::settings::with_help;
use clap::{Arg, ArgAction, Command};
use otaseal::project::settings::Heading;
use std::iter;

/// Places under a heading. Options that have a letter are the most used ones.
const LETTER: usize = 0;
const USUAL: usize = 100;
const OF_EVERY_COMMAND: usize = 200;
/// Options that only `--help` shows.
const SELDOM: usize = 300;

/// Arranges the help of the program and of all its commands. Only a user who asks for help waits for this.
pub(crate) fn arrange(command: Command) -> Command {
    // clap's own options for these two would stand under a heading of their own.
    let last = |name, letter, action| {
        let option = Arg::new(name).long(name).short(letter).action(action);
        option.help_heading(Heading::General.name()).display_order(OF_EVERY_COMMAND + 1)
    };
    let help = last("help", 'h', ArgAction::Help).help("Print help: -h a summary, --help all").global(true);
    let version = last("version", 'V', ArgAction::Version).help("Print the version");
    command
        .mut_args(|arg| arg.display_order(OF_EVERY_COMMAND))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args([help, version])
        .mut_subcommands(|command| of_command(command, ""))
        .after_help(examples::text("") + EXIT_CODES)
}

const EXIT_CODES: &str =
    "\nExit codes: 0 done or accepted, 1 judged and rejected, 2 wrong usage, 3 could not do it.";

/// Arranges the help of one command. `above` is the path of its parent, with a blank behind it.
fn of_command(command: Command, above: &str) -> Command {
    let path = format!("{above}{}", command.get_name());
    let (name, mut place) = (path.clone(), 0);
    let usual_first = |arg: Arg| {
        place += 1;
        let group = match arg.get_short() {
            _ if arg.is_hide_short_help_set() => SELDOM,
            Some(_) => LETTER,
            None => USUAL,
        };
        with_help(arg, &name).display_order(group + place)
    };
    let examples = examples::text(&path);
    // The text behind the whole help is in place of the text behind the summary.
    let more = command.get_after_long_help().map(ToString::to_string);
    let whole = more.into_iter().chain(iter::once(examples.clone())).collect::<Vec<_>>().join("\n");
    let path = path + " ";
    command
        .mut_args(usual_first)
        .mut_subcommands(|command| of_command(command, &path))
        .after_help(examples)
        .after_long_help(whole)
}
