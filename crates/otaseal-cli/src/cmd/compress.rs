//! `otaseal compress`: makes a gzip of a plain image.

use crate::defaults::{Naming, Output};
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places};
use crate::made::{self, OverwriteArgs};
use crate::report::{Outcome, Reporter};
use crate::settings::{BySettings, HasSettings, SettingArgs};
use clap::Args;
use otaseal::format::digest::Digests;
use otaseal::format::elf::DEFAULT_MAX_GAP;
use otaseal::format::layers::MAX_IMAGE;
use otaseal::package::firmware::Firmware;
use otaseal::policy::guard::Content as Kind;
use otaseal::project::settings::{Command, Settings};
use serde::Serialize;
use std::fmt;

/// Compress a plain image to a gzip that boot loaders can unpack
///
/// The gzip has one member without name and time, and its length is a multiple of 4. The same image gives the same
/// bytes on every machine. otaseal flattens an ELF first. It refuses a signed image: compress first, then sign.
#[derive(Debug, Args)]
pub(crate) struct Compress {
    /// The plain image
    #[arg(value_name = "IN")]
    input: Place,
    /// Write the gzip to OUT [default: IN.gz; for an ELF or UF2, the name of the .bin and .gz]
    #[arg(long, short, value_name = "OUT", help_heading = "Output")]
    output: Option<Place>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    #[command(flatten)]
    settings: SettingArgs<Self>,
}

impl HasSettings for Compress {
    const COMMAND: Command = Command::Compress;
}

#[derive(Debug, Serialize)]
pub(crate) struct Compressed {
    output: String,
    /// The image that is in the gzip.
    plain: Digests,
    gzip: Digests,
}

impl Outcome for Compressed {
    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.plain.size_bytes, self.gzip.size_bytes);
        // Firmware::from_bytes refuses empty input.
        let percent = 100.0 * to as f64 / from.max(1) as f64;
        writeln!(f, "gzip     {} ({to} bytes, {percent:.1} % of {from})", self.output)?;
        writeln!(f, "SHA-256  {}", self.gzip.sha256)
    }
}

pub(crate) fn run(args: &Compress, reporter: &Reporter) -> Result<BySettings<Compressed>, Failure> {
    let chosen = args.settings.choose()?;
    let Settings { effort, max_gap, .. } = &chosen.settings;
    let read: Vec<_> = [args.input.clone()].into_iter().chain(chosen.input()).collect();
    let Output { place: output, assumed } = Naming::Compress.output(args.output.as_ref(), &args.input)?;
    check_places(&read.iter().collect::<Vec<_>>(), &[&output])?;
    let bytes = args.input.read(MAX_IMAGE)?;
    // This command signs nothing, so it takes a filesystem image as well as firmware.
    let kind = Kind::of(&bytes);
    let firmware =
        Firmware::from_bytes_as(&args.input.to_string(), bytes, max_gap.unwrap_or(DEFAULT_MAX_GAP), kind)?;
    // Open the output before the work, so that a missing directory shows at once.
    let sink = Sink::create(&output, Content::Binary, args.overwrite.over(made::gzip()))?;
    let progress = reporter.progress("compressing");
    let payload = firmware.gzip(effort.unwrap_or_default()).map_err(|error| {
        Failure::new(
            format_args!("{}: {error}", args.input),
            "check that this is the right file: no device has that much flash",
        )
    })?;
    drop(progress);
    sink.put(payload.bytes())?;
    let compressed = Compressed {
        output: output.name(),
        plain: Digests::of(firmware.bytes()),
        gzip: Digests::of(payload.bytes()),
    };
    Ok(chosen.report(compressed).assuming([assumed]))
}
