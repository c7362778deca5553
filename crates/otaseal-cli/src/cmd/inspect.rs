//! `otaseal inspect`: shows what a file is.

mod details;
mod keys;

use self::keys::Carried;

use super::KeyInfo;
use super::verify::{Verdict, judge_with_any};
use crate::error::{Exit, Failure};
use crate::io::{Place, check_places};
use crate::report::{Outcome, Reporter};
use clap::Args;
use otaseal::device::layout;
use otaseal::format::digest::Digests;
use otaseal::format::elf::{self, DEFAULT_MAX_GAP};
use otaseal::format::gzip::lint as gzip_lint;
use otaseal::format::homie::{self, Tokens};
use otaseal::format::image::uf2::{self, Unpacked};
use otaseal::format::image::{self, Kind, TrailerGuess};
use otaseal::format::layers::MAX_IMAGE;
use otaseal::format::metadata::{self, Summary};
use otaseal::key::{KeyError, PrivateKey, PublicKey};
use otaseal::package::manifest::Installed;
use otaseal::sign::Scheme;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Show what a file is
///
/// otaseal looks under a signature and inside a gzip or an ELF, and shows sizes, digests and Homie tokens. It also shows
/// the public keys in the image, which of them signed it, and what `otaseal package` says of the image. Without
/// --key, it only guesses that a signature is there. With --key, it judges the image as `otaseal verify` does, and
/// exits with 1 if the verdict is "rejected". Of a private key, it shows only the size and the key id.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The file
    file: Place,
    /// Public key to judge the image with
    ///
    /// You can give more than one: one key that accepts is enough.
    #[arg(long, short, value_name = "FILE", alias = "public-key", help_heading = "Key")]
    key: Vec<Place>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Inspected {
    file: String,
    /// The file and its contents, from the outside in.
    layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailer: Option<TrailerGuess>,
    /// The tokens of the innermost layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyInfo>,
    /// The public keys in the innermost layer. Absent if the file is a key, or too large.
    #[serde(skip_serializing_if = "Option::is_none")]
    carries: Option<Carried>,
    /// The MD5 that a device reports if it runs the innermost layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    installed: Option<Installed>,
    /// The metadata in the payload, unverified.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Summary>,
    /// The faults of the file. Some stop otaseal from looking further.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
}

#[derive(Debug, Serialize)]
struct Layer {
    layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Kind>,
    /// Absent for a private key: an attacker could test his guesses with its digest.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    digests: Option<Digests>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_address: Option<u64>,
    /// The gaps and duplicates in a UF2 file.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpacked: Option<Unpacked>,
    #[serde(skip)]
    shows_details: bool,
}

impl Outcome for Inspected {
    fn exit(&self) -> Exit {
        self.verdict.as_ref().map_or(Exit::Done, Verdict::exit)
    }

    fn warnings(&self) -> Vec<String> {
        self.key.iter().filter_map(KeyInfo::warning).collect()
    }
}

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, layer) in self.layers.iter().enumerate() {
            layer.fmt(f)?;
            if let (0, Some(trailer)) = (index, &self.trailer) {
                writeln!(f, "trailer  looks like a signature of {} bytes", trailer.signature_len)?;
            }
        }
        if let Some(tokens) = &self.tokens {
            let token = |f: &mut fmt::Formatter<'_>, what, value: &str, offset| {
                writeln!(f, "{what:<9}{value} (at {offset:#x})")
            };
            tokens.name.iter().try_for_each(|t| token(f, "name", t.value.as_str(), t.offset))?;
            tokens.version.iter().try_for_each(|t| token(f, "version", t.value.as_str(), t.offset))?;
            tokens.brand.iter().try_for_each(|t| token(f, "brand", t.value.as_str(), t.offset))?;
            if tokens.marker {
                writeln!(f, "marker   Homie for ESP8266")?;
            }
        }
        if let Some(installed) = &self.installed {
            if let Some(md5) = installed.md5 {
                writeln!(f, "reports  {md5} (MD5, in the image's own flash mode)")?;
            }
            if installed.bytes_behind > 0 {
                let (size, behind) = (installed.size_bytes, installed.bytes_behind);
                writeln!(
                    f,
                    "         of {size} bytes: no device counts the {behind} bytes behind the image"
                )?;
            }
            let others = installed.md5_by_flash_mode.iter();
            for (mode, md5) in others.filter(|(mode, _)| Some(**mode) != installed.flash_mode) {
                writeln!(f, "         {md5} (sent plain to a device in {mode})")?;
            }
        }
        if let Some(Summary { name, version, board, min_base_version, .. }) = &self.metadata {
            let field = |f: &mut fmt::Formatter<'_>, what: &str, value: &Option<String>| {
                value.iter().try_for_each(|value| writeln!(f, "metadata {what} {value}"))
            };
            field(f, "name", name)?;
            field(f, "version", version)?;
            field(f, "board", board)?;
            field(f, "oldest base version", min_base_version)?;
        }
        self.key.iter().try_for_each(|key| writeln!(f, "key id   {key}"))?;
        self.carries.iter().try_for_each(|carried| carried.fmt(f))?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "problem  {problem}"))?;
        self.verdict.iter().try_for_each(|verdict| write!(f, "verdict  {verdict}"))
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9}", self.layer)?;
        match &self.format {
            Some(format) => write!(f, "{format}")?,
            None => write!(f, "too large to look inside")?,
        }
        if let Some(address) = self.load_address {
            write!(f, ", loaded at {address:#010x}")?;
        }
        if let Some(unpacked) = &self.unpacked {
            details::write_unpacked(f, unpacked)?;
        }
        let Some(digests) = &self.digests else { return writeln!(f) };
        writeln!(f, ", {} bytes", digests.size_bytes)?;
        writeln!(f, "         MD5 {}", digests.md5)?;
        writeln!(f, "         SHA-256 {}", digests.sha256)?;
        // A signed image has the format of its payload, which shows the details already.
        match &self.format {
            Some(format) if self.shows_details => details::write(f, format),
            _ => Ok(()),
        }
    }
}

pub(crate) fn run(args: &Inspect, reporter: &Reporter) -> Result<Inspected, Failure> {
    let inputs: Vec<_> = args.key.iter().chain([&args.file]).collect();
    check_places(&inputs, &[])?;
    let keys = args.key.iter().map(Place::public_key).collect::<Result<Vec<_>, _>>()?;
    let (mut file, length) = args.file.open_seekable()?;
    let _progress = reporter.progress("inspecting");
    let unreadable = |error: io::Error| Failure::read(&args.file, &error);
    let mut found = if length > MAX_IMAGE as u64 {
        look_at_large(&mut file, length).map_err(unreadable)?
    } else {
        let mut bytes = Vec::new();
        file.by_ref().take(MAX_IMAGE as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        look(&bytes, &keys)?
    };
    found.file = args.file.name();
    if let (Some(_), Some(carried)) = (&found.trailer, &mut found.carries) {
        carried.find_signer(&mut file, length).map_err(unreadable)?;
    }
    if !keys.is_empty() {
        let verdict = judge_with_any(&mut file, length, &keys, Scheme::Pkcs1v15Sha256).map_err(unreadable)?;
        found.verdict = Some(verdict);
    }
    Ok(found)
}

fn nothing_yet() -> Inspected {
    Inspected {
        file: String::new(),
        layers: Vec::new(),
        trailer: None,
        tokens: None,
        metadata: None,
        key: None,
        carries: None,
        installed: None,
        problems: Vec::new(),
        verdict: None,
    }
}

/// Looks at a file that is larger than any flash. It finds digests and trailer, in constant memory.
fn look_at_large(file: &mut File, length: u64) -> io::Result<Inspected> {
    let digests = Digests::of_reader(file)?;
    let mut tail = [0; layout::LENGTH_FIELD_LEN];
    file.seek(SeekFrom::Start(length.saturating_sub(tail.len() as u64)))?;
    file.read_exact(&mut tail)?;
    let layer = Layer {
        layer: "file",
        format: None,
        digests: Some(digests),
        load_address: None,
        unpacked: None,
        shows_details: false,
    };
    Ok(Inspected { layers: vec![layer], trailer: image::trailer(&tail, length), ..nothing_yet() })
}

fn look(bytes: &[u8], keys: &[PublicKey]) -> Result<Inspected, Failure> {
    let mut found = nothing_yet();
    let layer = |layer, bytes: &[u8], format| Layer {
        layer,
        format: Some(format),
        digests: Some(Digests::of(bytes)),
        load_address: None,
        unpacked: None,
        shows_details: true,
    };
    let format = image::identify(bytes);
    if let Kind::Key(recognised) = &format {
        let digests = (!recognised.kind.is_private()).then(|| Digests::of(bytes));
        match key_info(bytes) {
            Ok(key) => found.key = Some(key),
            Err(error) => found.problems.push(error.to_string()),
        }
        let layer = layer("file", &[], format);
        found.layers.push(Layer { digests, ..layer });
        return Ok(found);
    }
    found.trailer = image::trailer(bytes, bytes.len() as u64);
    let payload = match &found.trailer {
        None => {
            found.layers.push(layer("file", bytes, format.clone()));
            bytes
        }
        Some(trailer) => {
            let payload = &bytes[..bytes.len() - layout::trailer_len(trailer.signature_len)];
            // The payload gives the format: with the trailer, the file would look damaged.
            let format = image::identify(payload);
            found.layers.push(Layer { shows_details: false, ..layer("file", bytes, format.clone()) });
            found.layers.push(layer("payload", payload, format));
            payload
        }
    };
    let innermost = found.layers.last().and_then(|layer| layer.format.clone());
    match innermost.unwrap_or(Kind::Empty) {
        Kind::Uf2(_) => match uf2::unpack(payload, DEFAULT_MAX_GAP) {
            Ok(mut unpacked) => {
                let flash = std::mem::take(&mut unpacked.bytes);
                let format = image::identify(&flash);
                let plain = layer("plain", &flash, format.clone());
                let load_address = Some(unpacked.base_address.into());
                found.layers.push(Layer { load_address, unpacked: Some(unpacked), ..plain });
                look_at_plain(&mut found, &flash, &format, keys)?;
            }
            Err(error) => found.problems.push(error.to_string()),
        },
        Kind::Gzip => {
            let report = gzip_lint::lint(payload);
            if let Some(plain) = report.content {
                let format = image::identify(&plain);
                found.layers.push(layer("plain", &plain, format.clone()));
                look_at_plain(&mut found, &plain, &format, keys)?;
                match metadata::summary(payload, &plain) {
                    Ok(summary) => found.metadata = summary,
                    Err(error) => found.problems.push(error),
                }
            }
            found.problems.extend(report.findings.iter().map(ToString::to_string));
        }
        Kind::Elf(_) => match elf::flatten(payload, DEFAULT_MAX_GAP) {
            Ok(flat) => {
                let format = image::identify(&flat.bytes);
                let plain = layer("plain", &flat.bytes, format.clone());
                found.layers.push(Layer { load_address: Some(flat.base), ..plain });
                look_at_plain(&mut found, &flat.bytes, &format, keys)?;
            }
            Err(error) => found.problems.push(error.to_string()),
        },
        format => {
            look_at_plain(&mut found, payload, &format, keys)?;
            match metadata::summary(payload, payload) {
                Ok(summary) => found.metadata = summary,
                Err(error) => found.problems.push(error),
            }
        }
    }
    Ok(found)
}

/// Looks at the innermost layer: finds tokens, keys, damage, and the MD5 that a device reports.
fn look_at_plain(
    found: &mut Inspected,
    plain: &[u8],
    format: &Kind,
    keys: &[PublicKey],
) -> Result<(), Failure> {
    found.carries = Some(Carried::of(plain, keys)?);
    found.problems.extend(details::problems(format));
    if let Kind::Esp8266(file) = format
        && file.is_intact()
    {
        let known = found.layers.last().and_then(|layer| layer.digests);
        found.installed =
            Some(known.map_or_else(|| Installed::of(plain), |it| Installed::with_digests(plain, it)));
    }
    match homie::extract(plain) {
        Ok(tokens) if tokens == Tokens::default() => {}
        Ok(tokens) => found.tokens = Some(tokens),
        Err(error) => found.problems.push(error.to_string()),
    }
    Ok(())
}

fn key_info(bytes: &[u8]) -> Result<KeyInfo, KeyError> {
    match PublicKey::from_bytes(bytes) {
        Err(KeyError::PrivateOffered(_)) => Ok(KeyInfo::of(PrivateKey::from_bytes(bytes)?.public())),
        key => Ok(KeyInfo::of(&key?)),
    }
}
