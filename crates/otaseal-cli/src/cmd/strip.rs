//! `otaseal strip`: removes the signature from a signed image.

use super::{KeyInfo, scheme};
use crate::defaults::{self, Assumed, Naming};
use crate::error::{Exit, Failure};
use crate::io::{Content, Place, Sink, check_places};
use crate::made::{self, OverwriteArgs};
use crate::report::Outcome;
use clap::Args;
use otaseal::device::layout;
use otaseal::format::image;
use otaseal::key::PublicKey;
use otaseal::sign::verify::{JudgeError, judge};
use serde::Serialize;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// Remove the signature from a signed image
///
/// The output must be new, or have the same bytes already: your build may have made that file.
///
/// With --key, otaseal judges the image first. If it rejects the image, it writes nothing and exits with 1. Without
/// --key, it does not check the signature.
#[derive(Debug, Args)]
pub(crate) struct Strip {
    /// The signed image
    #[arg(value_name = "IN")]
    input: Place,
    /// Public key to judge the image with
    #[arg(long, short, value_name = "FILE", alias = "public-key", help_heading = "Key")]
    key: Option<Place>,
    /// Write the unsigned image to OUT [default: IN without .signed]
    #[arg(long, short, value_name = "OUT", help_heading = "Output")]
    output: Option<Place>,
    /// Judge a legacy signature, of esp8266 core 2.5.0 to 2.5.2
    #[arg(long, requires = "key", help_heading = "Checks", hide_short_help = true)]
    legacy: bool,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

#[derive(Debug, Serialize)]
pub(crate) struct Stripped {
    output: String,
    payload_bytes: u64,
    signature_bytes: usize,
    /// The key that accepts the image. Absent without --key.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_by: Option<KeyInfo>,
    #[serde(rename = "defaults", skip_serializing_if = "Option::is_none")]
    assumed: Option<[Assumed; 1]>,
}

impl Outcome for Stripped {
    fn key(&self) -> Option<String> {
        self.verified_by.as_ref().map(KeyInfo::to_string)
    }

    fn warnings(&self) -> Vec<String> {
        self.verified_by.iter().filter_map(KeyInfo::warning).collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.output == "-"
    }
}

impl fmt::Display for Stripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "payload  {} ({} bytes)", self.output, self.payload_bytes)?;
        write!(f, "removed  a signature of {} bytes and its length; ", self.signature_bytes)?;
        match &self.verified_by {
            Some(_) => writeln!(f, "it was good"),
            None => writeln!(f, "it was not verified (no --key)"),
        }?;
        self.verified_by.iter().try_for_each(|key| writeln!(f, "key id   {key}"))?;
        self.assumed.iter().flatten().try_for_each(|assumed| assumed.fmt(f))
    }
}

pub(crate) fn run(args: &Strip) -> Result<Stripped, Failure> {
    let inputs: Vec<_> = args.key.iter().chain([&args.input]).collect();
    let defaults::Output { place: output, assumed } =
        Naming::Strip.output(args.output.as_ref(), &args.input)?;
    check_places(&inputs, &[&output])?;
    let key = args.key.as_ref().map(Place::public_key).transpose()?;
    let (mut image, length) = args.input.open_seekable()?;
    let unreadable = |error: io::Error| Failure::read(&args.input, &error);
    let mut tail = [0; layout::LENGTH_FIELD_LEN];
    let trailer = match length.checked_sub(tail.len() as u64) {
        Some(start) => {
            image.seek(SeekFrom::Start(start)).map_err(unreadable)?;
            image.read_exact(&mut tail).map_err(unreadable)?;
            image::trailer(&tail, length)
        }
        None => None,
    };
    let Some(trailer) = trailer else {
        return Err(Failure::new(
            format_args!("{} does not end in a signature", args.input),
            "look at it with `otaseal inspect`: it may be unsigned already, or cut off",
        ));
    };
    let replaces = args.overwrite.over(made::same(&image, trailer.payload_len)?);
    let mut sink = Sink::create(&output, Content::Binary, replaces)?;
    image.rewind().map_err(unreadable)?;
    let mut payload = image.by_ref().take(trailer.payload_len);
    // The error does not tell which side of the copy failed. It was the output: the input could be read a moment ago.
    io::copy(&mut payload, &mut sink.target()).map_err(|error| sink.failed(&error))?;
    if let Some(key) = &key {
        let mut rest = Vec::new();
        image
            .take(layout::trailer_len(trailer.signature_len) as u64)
            .read_to_end(&mut rest)
            .map_err(unreadable)?;
        judge_written(&mut sink, &rest, length, key, args)?;
    }
    sink.commit()?;
    Ok(Stripped {
        output: output.name(),
        payload_bytes: trailer.payload_len,
        signature_bytes: trailer.signature_len,
        verified_by: key.as_ref().map(KeyInfo::of),
        assumed: assumed.map(|assumed| [assumed]),
    })
}

/// Judges the written bytes, not the input: an attacker could change the input after it was judged.
fn judge_written(
    sink: &mut Sink,
    trailer: &[u8],
    length: u64,
    key: &PublicKey,
    args: &Strip,
) -> Result<(), Failure> {
    sink.target().rewind().map_err(|error| sink.failed(&error))?;
    let verdict = {
        let mut image = sink.target().chain(trailer);
        judge(&mut image, usize::try_from(length).ok(), key, scheme(args.legacy))
    };
    match verdict {
        Ok(_) => Ok(()),
        Err(JudgeError::Read(error)) => Err(sink.failed(&error)),
        Err(JudgeError::Rejected(reject)) => Err(Failure {
            exit: Exit::Rejected,
            ..Failure::new(
                format_args!(
                    "{} is rejected: {reject} (check {}, {})",
                    args.input,
                    reject.code(),
                    reject.name()
                ),
                "type `otaseal verify` to see the cause; otaseal wrote nothing",
            )
        }),
    }
}
