//! `otaseal man`: writes the manual pages.

use crate::args;
use crate::error::Failure;
use crate::io::{Content, Place, Sink, make_directory, refuse_std};
use crate::made::{OverwriteArgs, Replaces};
use crate::report::Outcome;
use clap::Args;
use otaseal::output::Made;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Print the manual page
///
/// With --out-dir, otaseal writes this page and one page for each command.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write otaseal.1, otaseal-sign.1 and so on to DIR; otaseal makes it if it is missing
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    out_dir: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

#[derive(Debug, Serialize)]
pub(crate) struct Pages {
    files: Vec<String>,
}

impl Outcome for Pages {
    fn stdout_is_taken(&self) -> bool {
        self.files.is_empty()
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| writeln!(f, "{file}"))
    }
}

pub(crate) fn run(args: &Man) -> Result<Pages, Failure> {
    let mut command = args::with_help();
    command.build();
    let Some(directory) = &args.out_dir else {
        Sink::create(&Place::Std, Content::Text, Replaces::Any)?.put(&render(&command)?)?;
        return Ok(Pages { files: Vec::new() });
    };
    refuse_std(directory, "the pages need a directory")?;
    make_directory(directory)?;
    let mut files = Vec::new();
    for page in pages(&command) {
        // `build` has made the display name of `otaseal sign` into `otaseal-sign`.
        let name = page.get_display_name().unwrap_or_else(|| page.get_name());
        let path = directory.join(format!("{name}.1"));
        let text = render(page)?;
        let replaces = args.overwrite.over(Made::begins_as(&text));
        Sink::create(&Place::Path(path.clone()), Content::Text, replaces)?.put(&text)?;
        files.push(path.display().to_string());
    }
    Ok(Pages { files })
}

/// Returns a command and all commands below it.
fn pages(command: &clap::Command) -> Vec<&clap::Command> {
    let below = command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
    std::iter::once(command).chain(below.flat_map(pages)).collect()
}

fn render(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Failure::new(error, "report this bug; otaseal wrote nothing"))?;
    Ok(page)
}
