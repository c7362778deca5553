//! `otaseal ledger`: checks, shows and exports a ledger.

use crate::error::{Exit, Failure};
use crate::io::{Content, Place, Sink, check_places};
use crate::made::OverwriteArgs;
use crate::report::{Outcome, Reporter};
use clap::{Args, Subcommand, ValueEnum};
use otaseal::format::digest::Sha256Digest;
use otaseal::format::input::Input;
use otaseal::ledger::{self, Head, LedgerError, Record};
use otaseal::output::Made;
use serde::Serialize;
use std::fmt::{self, Write};
use std::io::Read;

/// Check, show or export the ledger of signatures
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    Verify(Verify),
    Show(Show),
    Export(Export),
}

/// Check that nobody changed, removed or inserted a line
///
/// otaseal prints the number of lines and the SHA-256 of the last one. Write this SHA-256 down in another place. Later,
/// --contains with it shows that nobody removed lines from the end either.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The ledger
    file: Place,
    /// Require a line with this SHA-256: the last line of the ledger at an earlier time
    #[arg(long, value_name = "HEX", help_heading = "Checks")]
    contains: Option<Sha256Digest>,
}

/// Show the signatures in a ledger
///
/// With a filter, the exit code is 1 if there is no such line.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The ledger
    file: Place,
    /// Show only lines with this SHA-256 of an input or output, or with these first digits
    #[arg(long, value_name = "HEX", value_parser = hexadecimal, help_heading = "Output")]
    sha256: Option<String>,
    /// Show only signatures of the key with this key id, or with these first digits
    #[arg(long, value_name = "HEX", value_parser = hexadecimal, help_heading = "Output")]
    key_id: Option<String>,
}

/// Write the ledger in another form, for other programs
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The ledger
    file: Place,
    /// Write this form
    #[arg(long, value_enum, default_value = "json", help_heading = "Output")]
    format: Format,
    /// Write it to OUT
    #[arg(long, short, value_name = "OUT", default_value = "-", help_heading = "Output")]
    output: Place,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An array with every line of the ledger, unchanged
    Json,
    /// A table, RFC 4180
    Csv,
}

fn hexadecimal(text: &str) -> Result<String, &'static str> {
    match (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected 4 to 64 hexadecimal digits"),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    ledger: String,
    #[serde(flatten)]
    head: Head,
}

impl Outcome for Verified {}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "intact   {} ({} lines)", self.ledger, self.head.records)?;
        writeln!(f, "SHA-256  {} (of the last line)", self.head.sha256)
    }
}

/// Opens a ledger to read it.
fn open(place: &Place) -> Result<Input, LedgerError> {
    place.open().map_err(|source| LedgerError::Io { path: place.to_path(), action: "read", source })
}

pub(crate) fn verify(args: &Verify, reporter: &Reporter) -> Result<Verified, Failure> {
    let _progress = reporter.progress("checking");
    let head = ledger::verify_input(&args.file.to_path(), open(&args.file)?, args.contains)?;
    Ok(Verified { ledger: args.file.name(), head })
}

#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    records: Vec<Record>,
    #[serde(skip)]
    filtered: bool,
}

impl Outcome for Shown {
    fn exit(&self) -> Exit {
        if self.filtered && self.records.is_empty() { Exit::Rejected } else { Exit::Done }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records.is_empty() {
            return writeln!(f, "no such line");
        }
        for record in &self.records {
            let Record { seq, time, input, output, key_id, .. } = record;
            // Anybody may have chosen these names: no control character may reach the terminal.
            let (from, to) = (input.file.escape_debug(), output.file.escape_debug());
            writeln!(f, "{seq:<8} {time}  {from} -> {to}")?;
            writeln!(f, "         input    {}", input.sha256)?;
            writeln!(f, "         output   {}", output.sha256)?;
            writeln!(f, "         key id   {key_id}")?;
            let said = [("by", &record.who), ("commit", &record.git_commit), ("build", &record.build_id)];
            for (what, text) in said {
                text.iter().try_for_each(|text| writeln!(f, "         {what:8} {}", text.escape_debug()))?;
            }
            if let Some(recovered) = &record.recovered {
                writeln!(
                    f,
                    "         after    an unfinished line, now in {}",
                    recovered.file.escape_debug()
                )?;
            }
        }
        Ok(())
    }
}

pub(crate) fn show(args: &Show) -> Result<Shown, Failure> {
    let mut records = Vec::new();
    let begins = |id: &dyn fmt::Display, start: &Option<String>| {
        start.as_deref().is_none_or(|start| id.to_string().starts_with(start))
    };
    ledger::walk_input(&args.file.to_path(), open(&args.file)?, &mut |record, _| {
        let digest =
            begins(&record.input.sha256, &args.sha256) || begins(&record.output.sha256, &args.sha256);
        if digest && begins(&record.key_id, &args.key_id) {
            records.push(record.clone());
        }
    })?;
    Ok(Shown { records, filtered: args.sha256.is_some() || args.key_id.is_some() })
}

#[derive(Debug, Serialize)]
pub(crate) struct Exported {
    output: String,
    #[serde(flatten)]
    head: Head,
}

impl Outcome for Exported {
    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exported {} lines", self.head.records)
    }
}

pub(crate) fn export(args: &Export) -> Result<Exported, Failure> {
    check_places(&[&args.file], &[&args.output])?;
    let (path, input) = (args.file.to_path(), open(&args.file)?);
    let mut text = String::new();
    let head = match args.format {
        Format::Json => {
            let head = ledger::walk_input(&path, input, &mut |record, line| {
                text.push_str(if record.seq == 1 { "[\n" } else { ",\n" });
                text.push_str(line);
            })?;
            text.push_str(if head.records == 0 { "[]\n" } else { "\n]\n" });
            head
        }
        Format::Csv => {
            text.push_str(TABLE);
            ledger::walk_input(&path, input, &mut |record, _| row(&mut text, record))?
        }
    };
    Sink::create(&args.output, Content::Text, args.overwrite.over(earlier()))?.put(text.as_bytes())?;
    Ok(Exported { output: args.output.name(), head })
}

/// The head of a table.
const TABLE: &str =
    "seq,time,input,input_sha256,output,output_sha256,signature,key_id,tool,git_commit,build_id,who\r\n";

/// Recognises an earlier export, in either form.
fn earlier() -> Made {
    Made::when(|file| {
        let mut start = Vec::new();
        file.take(TABLE.len() as u64).read_to_end(&mut start)?;
        Ok(start == TABLE.as_bytes() || start == b"[]\n" || start.starts_with(b"[\n{\"seq\":1,\"prev\":\""))
    })
}

/// Writes one line of the table as RFC 4180 says: every field in quotes, and each quote doubled. A control character
/// becomes `\u{…}`: a terminal would obey it, and a line break could fake a line. A text that a spreadsheet could run as
/// a formula gets an apostrophe in front.
fn row(table: &mut String, record: &Record) {
    let empty = String::new();
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_else(|| empty.clone());
    let signature = serde_json::to_value(record.signature).ok();
    let fields = [
        record.seq.to_string(),
        record.time.clone(),
        record.input.file.clone(),
        record.input.sha256.to_string(),
        record.output.file.clone(),
        record.output.sha256.to_string(),
        signature.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
        record.key_id.to_string(),
        record.tool.clone(),
        or_empty(&record.git_commit),
        or_empty(&record.build_id),
        or_empty(&record.who),
    ];
    for (index, field) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let formula =
            if field.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) { "'" } else { "" };
        let _ = write!(table, "{comma}\"{formula}");
        for letter in field.chars() {
            match letter {
                '"' => table.push_str("\"\""),
                _ if is_hidden(letter) => table.extend(letter.escape_unicode()),
                _ => table.push(letter),
            }
        }
        table.push('"');
    }
    table.push_str("\r\n");
}

/// Returns whether a character controls how a text is shown: line and paragraph separators and the marks that turn the
/// direction of writing (Unicode UAX #9) do, besides the control characters.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
