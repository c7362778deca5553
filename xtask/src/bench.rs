//! `cargo xtask bench`: compares the program with the tools that people use today, and measures its memory.
//!
//! Runs of the contenders alternate, so that whatever else the machine does meets all of them; what is reported is
//! the median of each, and the median of the ratios within each round.

mod batch;
mod corpus;
mod device;
mod encrypted;
mod memory;
mod serve;
mod speed;
mod token;

use crate::Result;
use crate::tools::{cargo, run as run_command};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use tempfile::TempDir;

/// Every benchmark, in the order in which all of them run.
pub(crate) const ALL: &[&str] = &[
    "sign",
    "verify",
    "keygen",
    "encrypted",
    "batch",
    "pkcs11",
    "device",
    "compress",
    "memory",
    "gigabyte",
    "serve",
];

/// Runs the named benchmarks, or all.
///
/// # Errors
///
/// A contender that is missing or fails, or a promised number that is not reached.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<String> {
    let names = if names.is_empty() { ALL } else { names };
    if let Some(unknown) = names.iter().find(|name| !ALL.contains(name)) {
        return Err(format!("there is no benchmark `{unknown}`: {}", ALL.join(", ")).into());
    }
    if cfg!(debug_assertions) && names != ["serve"] {
        // Some benchmarks call the library in this process, so it must be the library as it is shipped.
        let release = ["run", "--release", "--locked", "--package", "xtask", "--", "bench"];
        return run_command(cargo(root).args(release).args(names)).map(|()| String::new());
    }
    measure(root, names)
}

/// Runs the benchmark of compression with the library of this process. In the development profile, that library makes
/// the same bytes as the one that we hand out, in a little more time.
///
/// # Errors
///
/// The same as of [`run`].
pub(crate) fn compression(root: &Path) -> Result<String> {
    measure(root, &["compress"])
}

fn measure(root: &Path, names: &[&str]) -> Result<String> {
    // The compressors are compared in this process, and the server is another program.
    let others = names.iter().any(|&name| !["compress", "serve"].contains(&name));
    let bench = others.then(|| Bench::new(root)).transpose()?;
    let mut report = vec![machine()];
    let mut missed = Vec::new();
    for &name in names {
        let (text, promise) = match &bench {
            _ if name == "compress" => corpus::run(root)?,
            Some(bench) if name != "serve" => one(root, bench, name)?,
            _ => serve::run(root)?,
        };
        report.push(format!("## {name}\n\n{text}"));
        missed.extend(promise.err());
    }
    let report = report.join("\n");
    match missed.is_empty() {
        true => Ok(report),
        false => Err(format!("{report}\nnot reached: {}", missed.join("; ")).into()),
    }
}

/// Runs one benchmark of the program.
fn one(root: &Path, bench: &Bench, name: &str) -> Result<(String, Promise)> {
    match name {
        "sign" => speed::sign(bench),
        "verify" => speed::verify(bench),
        "keygen" => speed::keygen(bench),
        "encrypted" => encrypted::run_all(bench),
        "batch" => batch::run(root, bench),
        "pkcs11" => token::run(bench),
        "device" => device::run(bench),
        "memory" => memory::package(bench),
        _ => memory::gigabyte(bench),
    }
}

/// Whether a promised number was reached; if not, which.
type Promise = std::result::Result<(), String>;

/// The directories of the benchmarks, and the program that they measure.
struct Bench {
    folder: PathBuf,
    program: PathBuf,
    /// This directory is in no git repository: in one, otaseal would ask git about each file.
    key: PathBuf,
    public: PathBuf,
    /// This directory holds the key pair, and is removed at the end.
    _keys: TempDir,
}

impl Bench {
    fn new(root: &Path) -> Result<Self> {
        run_command(cargo(root).args(["build", "--release", "--locked", "--package", "otaseal-cli"]))?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = target.join("bench");
        fs::create_dir_all(&folder)?;
        let program = target.join("release").join(format!("otaseal{}", env::consts::EXE_SUFFIX));
        // Make a new key: otaseal knows the example keys, and does not check their files.
        let keys = tempfile::tempdir()?;
        run_command(Command::new(&program).args(["--quiet", "keygen", "--force", "-o"]).arg(keys.path()))?;
        let [key, public] = ["private.pem", "public.pem"].map(|name| keys.path().join(name));
        Ok(Self { program, key, public, folder, _keys: keys })
    }
}

/// Returns the machine of the measurement.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| env::consts::ARCH.into());
    let hardware_sha = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "sha_ni"));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("{cores} cores, {model}, SHA instructions: {hardware_sha}, load before: {load}\n")
}

/// Makes an image that holds its public key as PEM, as the Arduino cores embed it. The search in an image without a key
/// takes longer.
fn firmware(len: usize, public: &Path) -> Result<Vec<u8>> {
    let mut bytes = image(len);
    let key = fs::read(public)?;
    let middle = len / 2;
    bytes.get_mut(middle..middle + key.len()).ok_or("the image is too small")?.copy_from_slice(&key);
    Ok(bytes)
}

/// Bytes that compress about as firmware does: words from a small vocabulary among noise, always the same.
fn image(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let vocabulary: Vec<[u8; 8]> = (0..256).map(|_| next().to_le_bytes()).collect();
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        let random = next();
        match random % 4 {
            0 => bytes.extend(&random.to_le_bytes()[2..6]),
            _ => bytes.extend(vocabulary[(random >> 8) as usize % vocabulary.len()]),
        }
    }
    bytes.truncate(len);
    bytes
}
