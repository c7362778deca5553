//! `otaseal completions`: writes a completion script for a shell.

use crate::args;
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places};
use crate::made::OverwriteArgs;
use crate::report::Outcome;
use clap::Args;
use clap_complete::Shell;
use otaseal::output::Made;
use serde::Serialize;
use std::fmt;

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
    /// Write the script to OUT
    #[arg(long, short, value_name = "OUT", default_value = "-", help_heading = "Output")]
    output: Place,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

#[derive(Debug, Serialize)]
pub(crate) struct Printed {
    output: String,
}

impl Outcome for Printed {
    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.output == "-" { Ok(()) } else { writeln!(f, "wrote {}", self.output) }
    }
}

pub(crate) fn run(args: &Completions) -> Result<Printed, Failure> {
    check_places(&[], &[&args.output])?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::with_help(), "otaseal", &mut script);
    let replaces = args.overwrite.over(Made::begins_as(&script));
    Sink::create(&args.output, Content::Text, replaces)?.put(&script)?;
    Ok(Printed { output: args.output.name() })
}
