use super::KeyInfo;
use super::package::settings;
use crate::batch::{self, BatchArgs, OneOrMany, Summary};
use crate::continuity::ContinuityArgs;
use crate::error::Failure;
use crate::io::{Content, Place, Sink, check_places};
use crate::ledger::{self, Entered, LedgerArgs};
use crate::report::{Outcome, Reporter};
use crate::signer::{ExpectArgs, SignerArgs};
use clap::Args;
use otaseal::Purpose;
use otaseal::device::layout;
use otaseal::format::digest::Sha256Digest;
use otaseal::format::gzip::lint::{self as gzip_lint, Severity};
use otaseal::format::image::{self, esp8266::FlashMode};
use otaseal::format::layers::MAX_IMAGE;
use otaseal::key::PublicKey;
use otaseal::ledger::Ledger;
use otaseal::policy::continuity::{self, Continuity, ContinuityError, WithoutKey};
use otaseal::policy::guard::{self, Content as Kind, GuardError};
use otaseal::sign::{
    self, AlreadySigned, Expecting, Scheme, SignError, Signer, Target, sign_bytes, sign_stream,
};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// Sign an image
///
/// Writes the image, its signature (RSA PKCS#1 v1.5 with SHA-256) and the signature's length, and gives the file
/// its name only when the code that runs on the device has accepted it. An earlier output is replaced in one
/// step. To sign a compressed image, compress first.
///
/// Many images are signed in one run, on all cores, with --out-dir: a line for each, in their order; with --json, one
/// JSON object on each line. The exit code is that of the worst.
#[derive(Debug, Args)]
#[command(mut_arg("key", |key| key.required(true)))]
pub(crate) struct Sign {
    /// The unsigned image, or many with --out-dir
    #[arg(value_name = "IN", required_unless_present = "from_list")]
    inputs: Vec<Place>,
    /// Where the signed image goes
    #[arg(long, short, value_name = "OUT", conflicts_with = "from_list")]
    output: Option<Place>,
    /// Directory for the signed images of many inputs, each named as its input with .signed behind; made when it
    /// is missing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "legacy"])]
    out_dir: Option<PathBuf>,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    signer: SignerArgs,
    /// Also write an image for esp8266 core 2.5.0 to 2.5.2, which signs the bare digest
    #[arg(long, value_name = "OUT2")]
    legacy: Option<Place>,
    /// Sign an image that ends in what looks like a signature, or that is damaged
    #[arg(long)]
    force: bool,
    /// What the image is for: firmware or filesystem. A recognised image of the other kind is refused
    #[arg(long, value_name = "KIND", default_value = "firmware")]
    as_kind: Kind,
    /// Refuse an image of another flash mode than the devices', also inside a gzip: qio, qout, dio or dout
    #[arg(long, value_name = "MODE")]
    expect_flash_mode: Option<FlashMode>,
    /// Refuse a key that does not belong to this public key, which the devices have
    #[arg(long, value_name = "FILE")]
    expect_public: Option<Place>,
    #[command(flatten)]
    expect: ExpectArgs,
    #[command(flatten)]
    continuity: ContinuityArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Refuse a key that is unfit for a release: published, factored by known methods, readable by others, in git. Needs
    /// a ledger
    #[arg(long)]
    release: bool,
}

impl Sign {
    fn purpose(&self) -> Purpose {
        if self.release { Purpose::Release } else { Purpose::Development }
    }

    fn ledger(&self, input: Option<&Path>) -> Result<Option<Ledger>, Failure> {
        self.ledger.open_for(self.purpose(), &settings(None)?, input)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Signed {
    key: KeyInfo,
    payload_bytes: u64,
    payload_sha256: Sha256Digest,
    signature_bytes: usize,
    outputs: Vec<Output>,
    /// What the public keys in the image say; absent where it could not be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    continuity: Option<Continuity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Entered>,
    #[serde(skip)]
    warnings: Vec<String>,
    /// What the holder of the key said.
    #[serde(skip)]
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Output {
    file: String,
    signature: Scheme,
    size_bytes: u64,
}

impl Outcome for Signed {
    fn warnings(&self) -> Vec<String> {
        let own = self.key.warning().into_iter().chain(self.warnings.clone());
        let own = own.chain(self.ledger.as_ref().and_then(Entered::warning));
        own.chain(self.remarks.iter().cloned()).collect()
    }

    fn stdout_is_taken(&self) -> bool {
        self.outputs.iter().any(|output| output.file == "-")
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for output in &self.outputs {
            let form = match output.signature {
                Scheme::Pkcs1v15Sha256 => "signed",
                Scheme::Legacy => "legacy",
            };
            writeln!(f, "{form}   {} ({} bytes)", output.file, output.size_bytes)?;
        }
        writeln!(f, "payload  {} bytes, SHA-256 {}", self.payload_bytes, self.payload_sha256)?;
        writeln!(f, "key id   {}", self.key)?;
        self.continuity.iter().try_for_each(|keys| keys.fmt(f))?;
        self.ledger.iter().try_for_each(|entered| entered.fmt(f))
    }
}

pub(crate) fn run(args: &Sign, reporter: &Reporter) -> Result<OneOrMany<Signed>, Failure> {
    if args.output.is_none() && args.out_dir.is_none() {
        let one = args.inputs.len() == 1 && args.batch.list().is_none();
        return Err(Failure::usage(
            "nothing says where what is signed goes",
            if one {
                "name the signed image with --output"
            } else {
                "name a directory for the images with --out-dir"
            },
        ));
    }
    let guard = Guard {
        kind: Some(args.as_kind),
        flash_mode: args.expect_flash_mode,
        public: args.expect_public.as_ref().map(Place::public_key).transpose()?,
        damaged_too: args.force,
        continuity: args.continuity.rule().for_purpose(args.purpose()),
    };
    let rule = if args.force { AlreadySigned::Allow } else { AlreadySigned::Refuse };
    match (&args.output, &args.out_dir) {
        (Some(output), _) => {
            one(args, output, rule, &guard, reporter).map(|signed| OneOrMany::One(Box::new(signed)))
        }
        (None, Some(directory)) => many(args, directory, rule, &guard, reporter).map(OneOrMany::Many),
        (None, None) => unreachable!("refused above"),
    }
}

fn one(
    args: &Sign,
    output: &Place,
    rule: AlreadySigned,
    guard: &Guard,
    reporter: &Reporter,
) -> Result<Signed, Failure> {
    let [input] = &args.inputs[..] else {
        return Err(Failure::usage(
            format_args!("{} inputs and one output", args.inputs.len()),
            "give the directory for the signed images with --out-dir",
        ));
    };
    let mut outputs = vec![(Scheme::Pkcs1v15Sha256, output)];
    outputs.extend(args.legacy.as_ref().map(|legacy| (Scheme::Legacy, legacy)));
    let ledger = args.ledger(input.path())?;
    let read: Vec<_> = args.signer.inputs(None).into_iter().chain(ledger::place(ledger.as_ref())).collect();
    let inputs: Vec<_> = read.iter().chain([input]).collect();
    check_places(&inputs, &outputs.iter().map(|(_, place)| *place).collect::<Vec<_>>())?;
    let signer = args.signer.open(None, args.purpose())?;
    guard.check_key(&*signer)?;
    args.expect.check_key(signer.public_key())?;
    let _progress = reporter.progress("signing");
    match args.expect.expect_sha256 {
        Some(sha256) => {
            let signer = Expecting { signer: &*signer, sha256 };
            sign(input, &outputs, &signer, rule, guard, ledger.as_ref())
        }
        None => sign(input, &outputs, &*signer, rule, guard, ledger.as_ref()),
    }
}

fn many(
    args: &Sign,
    directory: &Path,
    rule: AlreadySigned,
    guard: &Guard,
    reporter: &Reporter,
) -> Result<Summary, Failure> {
    let ledger = args.ledger(args.inputs.first().and_then(Place::path))?;
    let read: Vec<_> = args.signer.inputs(None).into_iter().chain(ledger::place(ledger.as_ref())).collect();
    let streams: Vec<_> = read.iter().chain(args.batch.list()).collect();
    check_places(&streams, &[])?;
    let inputs = args.batch.inputs(&args.inputs)?;
    let mut outputs = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let Some(name) = input.file_name() else {
            return Err(Failure::usage(
                format_args!("{} is no file name", input.display()),
                "name the images",
            ));
        };
        let mut name = name.to_owned();
        name.push(".signed");
        outputs.push(directory.join(name));
    }
    let read = inputs.iter().map(PathBuf::as_path).chain(streams.iter().filter_map(|place| place.path()));
    batch::check_outputs(read, outputs.iter().map(PathBuf::as_path))?;
    args.expect.check_many()?;
    let signer = args.signer.open(None, args.purpose())?;
    guard.check_key(&*signer)?;
    args.expect.check_key(signer.public_key())?;
    std::fs::create_dir_all(directory).map_err(|error| Failure::write(directory, &error))?;
    let work = |index: usize, input: &Path| {
        let output = Place::from(&*outputs[index]);
        sign(
            &Place::from(input),
            &[(Scheme::Pkcs1v15Sha256, &output)],
            &*signer,
            rule,
            guard,
            ledger.as_ref(),
        )
    };
    let line = |signed: &Signed| {
        let outputs =
            signed.outputs.iter().map(|output| format!("{} ({} bytes)", output.file, output.size_bytes));
        format!("signed   {}", outputs.collect::<Vec<_>>().join(", "))
    };
    let jobs = args.batch.jobs(if ledger.is_some() { ledger::WAIT_AT_ONCE } else { 1 });
    batch::run("signed", &args.batch, jobs, &inputs, reporter, work, line)
}

/// What is checked before anything is signed.
#[derive(Default)]
pub(super) struct Guard {
    /// What the image is for; without it, only its keys are checked.
    pub(super) kind: Option<Kind>,
    pub(super) flash_mode: Option<FlashMode>,
    pub(super) public: Option<PublicKey>,
    pub(super) damaged_too: bool,
    pub(super) continuity: continuity::Rule,
}

impl Guard {
    /// Looks at nothing but the public keys in the image.
    pub(super) fn of_keys(continuity: continuity::Rule) -> Self {
        Self { continuity, ..Self::default() }
    }

    fn check_key(&self, signer: &dyn Signer) -> Result<(), Failure> {
        let Some(expected) = &self.public else { return Ok(()) };
        guard::expect_public(signer.public_key(), expected)
            .map_err(|error| Failure::new(&error, error.help()))
    }

    /// A release whose keys cannot be looked at.
    fn unseen(input: &Place, what: &str) -> Failure {
        let error = ContinuityError::NoKey { found: what.into() };
        Failure::new(format_args!("{input}: {error}"), error.help())
    }

    /// Reads and checks the input; gives back the very bytes that were checked. What is larger than any firmware
    /// is streamed and can only be what nobody expects anything of.
    fn open(
        &self,
        input: &Place,
        signer: Option<&dyn Signer>,
        rule: AlreadySigned,
    ) -> Result<(Image, Option<Continuity>), Failure> {
        let (mut file, length) = input.open_seekable()?;
        let refused = |error: GuardError| Failure::new(format_args!("{input}: {error}"), error.help());
        if length > MAX_IMAGE as u64 {
            return match self.flash_mode {
                Some(_) => Err(refused(GuardError::NoFlashMode)),
                None if self.continuity.without_key == WithoutKey::Refuse => {
                    Err(Self::unseen(input, "larger than any firmware"))
                }
                None => Ok((Image::Stream(file), None)),
            };
        }
        let mut bytes = Vec::with_capacity(length as usize + 1);
        let read = file.by_ref().take(MAX_IMAGE as u64).read_to_end(&mut bytes);
        read.map_err(|error| Failure::read(input, &error))?;
        let plain = guard::plain_of(&bytes);
        match self.kind.map(|kind| guard::check_plain(plain.as_deref(), kind, self.flash_mode)) {
            Some(Err(GuardError::Damaged(_))) if self.damaged_too => {}
            Some(checked) => checked.map_err(refused)?,
            None => {}
        }
        // What is signed already is refused for that.
        let to_be_signed = rule == AlreadySigned::Allow || !looks_signed(&bytes);
        let bad = |error: ContinuityError| Failure::new(format_args!("{input}: {error}"), error.help());
        if to_be_signed && !matches!(plain, Some(Cow::Borrowed(_))) {
            continuity::check_wrapping(&bytes).map_err(bad)?;
        }
        let keys = plain.as_deref().filter(|_| to_be_signed).map(|plain| {
            let kind = self.kind.unwrap_or_default();
            continuity::check(plain, kind, signer, &self.continuity).map_err(bad)
        });
        let keys = keys.transpose()?;
        if plain.is_none() && self.continuity.without_key == WithoutKey::Refuse {
            return Err(Self::unseen(input, "a gzip that cannot be inflated"));
        }
        drop(plain);
        Ok((Image::Bytes(bytes), keys))
    }
}

fn looks_signed(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(layout::LENGTH_FIELD_LEN)..];
    image::trailer(tail, bytes.len() as u64).is_some()
}

/// Looks at a gzip as the boot loader does that will inflate it: one that bricks a device is refused, for what is
/// signed is believed; one that some cores refuse is worth a warning.
fn lint(input: &Place, image: &mut Image, rule: AlreadySigned) -> Result<Option<String>, Failure> {
    let start = match image {
        Image::Bytes(bytes) => Cow::Borrowed(&**bytes),
        Image::Stream(file) => Cow::Owned(start(file).map_err(|error| Failure::read(input, &error))?),
    };
    // What is signed already is refused for that.
    if !start.starts_with(&[0x1F, 0x8B]) || (rule == AlreadySigned::Refuse && looks_signed(&start)) {
        return Ok(None);
    }
    match gzip_lint::lint(&start).objection() {
        Some(finding) if finding.severity() == Severity::Bricks => {
            Err(Failure::new(format_args!("{input}: {finding}"), finding.help()))
        }
        objection => Ok(objection.map(|finding| format!("{input}: {finding}; {}", finding.help()))),
    }
}

/// As much of a file as a boot loader could take, where it is a gzip; else its first bytes.
fn start(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.by_ref().take(2).read_to_end(&mut bytes)?;
    if bytes == [0x1F, 0x8B] {
        file.by_ref().take(MAX_IMAGE as u64).read_to_end(&mut bytes)?;
    }
    file.rewind()?;
    Ok(bytes)
}

/// What is to be signed.
pub(super) enum Image {
    /// All of it.
    Bytes(Vec<u8>),
    /// Larger than any firmware.
    Stream(File),
}

impl Image {
    pub(super) fn sign(
        &mut self,
        targets: &mut [(Scheme, &mut dyn Target)],
        signer: &dyn Signer,
        rule: AlreadySigned,
    ) -> Result<sign::Signed, SignError> {
        match self {
            Self::Bytes(bytes) => sign_bytes(bytes, targets, signer, rule),
            Self::Stream(file) => sign_stream(file, targets, signer, rule),
        }
    }
}

/// An input that may be signed.
pub(super) struct Checked {
    /// What was checked.
    pub(super) image: Image,
    pub(super) warnings: Vec<String>,
    /// What the public keys in the image say; nothing where it could not be searched.
    pub(super) continuity: Option<Continuity>,
}

/// The input, as it may be signed by this key, where it is known.
pub(super) fn checked(
    input: &Place,
    rule: AlreadySigned,
    guard: &Guard,
    signer: Option<&dyn Signer>,
) -> Result<Checked, Failure> {
    let (mut image, continuity) = guard.open(input, signer, rule)?;
    let warning = lint(input, &mut image, rule)?;
    let keys = continuity.iter().flat_map(Continuity::warnings);
    let keys = keys.map(|warning| format!("{input}: {warning}"));
    Ok(Checked { image, warnings: warning.into_iter().chain(keys).collect(), continuity })
}

/// Signs one input into every output: all of them are verified before the first gets its name. The caller has
/// checked the places against each other.
pub(super) fn sign(
    input: &Place,
    outputs: &[(Scheme, &Place)],
    signer: &dyn Signer,
    rule: AlreadySigned,
    guard: &Guard,
    ledger: Option<&Ledger>,
) -> Result<Signed, Failure> {
    let Checked { mut image, warnings, continuity } = checked(input, rule, guard, Some(signer))?;
    let mut sinks = Vec::new();
    for (scheme, place) in outputs {
        sinks.push((*scheme, Sink::create(place, Content::Binary)?));
    }
    let mut targets: Vec<(Scheme, &mut dyn Target)> =
        sinks.iter_mut().map(|(scheme, sink)| (*scheme, sink.target())).collect();
    let signed = image.sign(&mut targets, signer, rule).map_err(|error| match error {
        SignError::Write(error) => {
            let names: Vec<_> = outputs.iter().map(|(_, place)| place.name()).collect();
            Failure::write(Path::new(&names.join(" or ")), &error)
        }
        error => Failure::sign(input, &error),
    })?;
    let entered = ledger::enter(ledger, input, &signed, outputs, signer.public_key())?;
    for (_, sink) in sinks {
        sink.commit()?;
    }
    let size_bytes = signed.output_len();
    Ok(Signed {
        key: KeyInfo::of(signer.public_key()),
        warnings,
        continuity,
        ledger: entered,
        remarks: signer.remarks(),
        payload_bytes: signed.payload_len,
        payload_sha256: signed.sha256,
        signature_bytes: signed.signature_len,
        outputs: outputs
            .iter()
            .map(|(scheme, place)| Output { file: place.name(), signature: *scheme, size_bytes })
            .collect(),
    })
}
