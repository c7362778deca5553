//! `completions` and `man`: a script for a shell, and the manual pages. Both come from the parser itself.

use crate::args::Cli;
use crate::error::{Exit, Failure};
use crate::report::Reporter;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use otaseal::output::{Access, Made, Pending, Run};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The program.
const NAME: &str = "otaseal-fleet";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet completions bash -o otaseal-fleet.bash
  otaseal-fleet completions zsh -o _otaseal-fleet")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
    /// Write the script to this file [default: print it]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  otaseal-fleet man
  otaseal-fleet man --out-dir man1")]
pub(crate) struct ManArgs {
    /// Write otaseal-fleet.1 and one page for each command into this directory [default: print otaseal-fleet.1]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    out_dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    put(args.output.as_deref(), &script, reporter)?;
    Ok(Exit::Done)
}

pub(crate) fn man(args: &ManArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(directory) = &args.out_dir else {
        put(None, &render(&command)?, reporter)?;
        return Ok(Exit::Done);
    };
    Run::default().make_directory(directory).map_err(|error| not_written(&error))?;
    for page in pages(&command) {
        // `build` has made the display name of `otaseal-fleet push` into `otaseal-fleet-push`.
        let name = page.get_display_name().unwrap_or_else(|| page.get_name());
        put(Some(&directory.join(format!("{name}.1"))), &render(page)?, reporter)?;
    }
    Ok(Exit::Done)
}

/// Returns a command and all commands below it.
fn pages(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
    std::iter::once(command).chain(below.flat_map(pages)).collect()
}

fn render(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| Failure::new(error, "report this bug; nothing was written"))?;
    Ok(page)
}

/// Writes a text into a file, in place of an earlier one of the same kind alone, or prints it.
fn put(path: Option<&Path>, text: &[u8], reporter: Reporter) -> Result<(), Failure> {
    let Some(path) = path else { return reporter.text(text) };
    let mut file = Pending::create_over(path, Made::begins_as(text), Access::Public)
        .map_err(|error| not_written(&error))?;
    file.write_all(text).and_then(|()| file.flush()).map_err(|error| not_written(&error))?;
    file.commit().map_err(|error| not_written(&error))?;
    reporter.note(format!("wrote {}", otaseal::key::material::shown(path)));
    Ok(())
}

fn not_written(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    Failure::new(text, "choose another file or directory")
}
