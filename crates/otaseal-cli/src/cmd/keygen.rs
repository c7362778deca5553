use super::KeyInfo;
use crate::error::Failure;
use crate::report::{Outcome, Reporter};
use clap::Args;
use otaseal::key::pair::{PairError, PairFiles};
use otaseal::key::{KeySize, PrivateKey};
use otaseal::output::Overwrite;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Make an RSA key pair
///
/// Writes the private half as PKCS#8 PEM that only its owner may read, and the public half as SPKI PEM: both or
/// none. Keep a copy of the private half where it cannot get lost: devices that trust the public half take
/// updates from nobody else.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Size of the modulus in bits: 2048, 3072 or 4096
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = size)]
    bits: KeySize,
    /// Directory for private.pem and public.pem; made when it is missing
    #[arg(long, short, value_name = "DIR", default_value = "keys", conflicts_with_all = ["private", "public"])]
    out_dir: PathBuf,
    /// File for the private half, in place of DIR/private.pem
    #[arg(long, value_name = "FILE", requires = "public")]
    private: Option<PathBuf>,
    /// File for the public half, in place of DIR/public.pem
    #[arg(long, value_name = "FILE", requires = "private")]
    public: Option<PathBuf>,
    /// Replace existing files: a private key that is replaced is lost
    #[arg(long)]
    force: bool,
}

fn size(text: &str) -> Result<KeySize, &'static str> {
    text.parse().ok().and_then(KeySize::from_bits).ok_or("expected 2048, 3072 or 4096")
}

#[derive(Debug, Serialize)]
pub(crate) struct Made {
    key: KeyInfo,
    private: PathBuf,
    public: PathBuf,
}

impl Outcome for Made {}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key id   {}", self.key)?;
        writeln!(f, "private  {}", self.private.display())?;
        writeln!(f, "public   {}", self.public.display())
    }
}

pub(crate) fn run(args: &Keygen, reporter: &Reporter) -> Result<Made, Failure> {
    let (private, public) = match (&args.private, &args.public) {
        (Some(private), Some(public)) => (private.clone(), public.clone()),
        _ => {
            std::fs::create_dir_all(&args.out_dir).map_err(|error| Failure::write(&args.out_dir, &error))?;
            (args.out_dir.join("private.pem"), args.out_dir.join("public.pem"))
        }
    };
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    let failed = |error: PairError| Failure::new(&error, error.help());
    let files = PairFiles::stage(&private, &public, overwrite).map_err(failed)?;
    let progress = reporter.progress("making a key");
    let key = PrivateKey::generate(args.bits).map_err(|error| Failure::new(&error, error.help()))?;
    drop(progress);
    files.commit(&key).map_err(failed)?;
    Ok(Made { key: KeyInfo::of(key.public()), private, public })
}
