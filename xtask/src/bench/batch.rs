//! Signs a thousand images in one run, and compares the time with a loop of `signing.py` and with OpenSSL's library.

use super::speed::signing_py;
use super::{Bench, Promise, firmware};
use crate::Result;
use crate::tools::{cargo, run as run_command};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const IMAGES: u32 = 1000;
/// Size of each image in bytes.
const LEN: usize = 400_000;
/// Each round measures every contender once.
const ROUNDS: usize = 5;
/// Runs of `signing.py` in a round. A thousand would take minutes, and each run takes the same time.
const LOOP: u32 = 10;

/// Images a second of every contender in one round, in the order of the table.
type Round = [f64; 5];
const PROGRAM: usize = 0;
const OPENSSL: usize = 3;
const SIGNING_PY_LOOP: usize = 4;

/// Signs a thousand images of 400 kB: at least 100 times as fast as a loop of `signing.py`, and at least 0.9 of what
/// OpenSSL's library could do in one process, reading and writing nothing.
pub(super) fn run(root: &Path, bench: &Bench) -> Result<(String, Promise)> {
    let target = bench.folder.join("rustcrypto");
    let build = ["build", "--release", "--locked", "--package", "otaseal-cli", "--no-default-features"];
    run_command(cargo(root).args(build).arg("--target-dir").arg(&target))?;
    let rustcrypto = target.join("release").join(format!("otaseal{}", std::env::consts::EXE_SUFFIX));

    let input = bench.folder.join("batch");
    fs::create_dir_all(&input)?;
    let mut bytes = firmware(LEN, &bench.public)?;
    let mut list = String::new();
    for number in 0..IMAGES {
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let file = input.join(format!("{number:04}.bin"));
        // Write everything to the disk before measuring. Otherwise the system would write it meanwhile.
        let mut made = File::create(&file)?;
        made.write_all(&bytes)?;
        made.sync_all()?;
        list += &format!("{}\n", file.display());
    }
    let names = bench.folder.join("batch.list");
    fs::write(&names, list)?;
    let signed = |program: &Path, jobs: Option<&str>| -> Result<f64> {
        let output = memory().unwrap_or(&bench.folder).join(format!("otaseal-batch-{}", std::process::id()));
        let mut command = Command::new(program);
        command.args(["--quiet", "sign", "--from-list"]).arg(&names).arg("--out-dir").arg(&output);
        command.arg("--key").arg(&bench.key).args(jobs.map(|jobs| ["--jobs", jobs]).into_iter().flatten());
        let time = timed(&mut command)?;
        if fs::read_dir(&output)?.count() != IMAGES as usize {
            return Err("not every image was signed".into());
        }
        fs::remove_dir_all(&output)?;
        Ok(f64::from(IMAGES) / time.as_secs_f64())
    };
    let python = || -> Result<f64> {
        let mut time = Duration::ZERO;
        for _ in 0..LOOP {
            let output = bench.folder.join("image.python");
            time += timed(&mut signing_py(bench, &input.join("0000.bin"), &output)?)?;
        }
        Ok(f64::from(LOOP) / time.as_secs_f64())
    };
    let contenders: [(&str, &dyn Fn() -> Result<f64>); 5] = [
        ("`otaseal sign`", &|| signed(&bench.program, None)),
        ("the same with `--jobs 1`", &|| signed(&bench.program, Some("1"))),
        ("the same without feature `aws-lc`, RSA by RustCrypto", &|| signed(&rustcrypto, None)),
        ("OpenSSL's library by `openssl speed`", &openssl),
        ("loop of the stand-in for `signing.py`", &python),
    ];
    // Run once to fill the caches.
    signed(&bench.program, None)?;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut rates = Round::default();
        for turn in 0..rates.len() {
            // Each round starts with another contender.
            let index = (round + turn) % rates.len();
            rates[index] = contenders[index].1()?;
        }
        rounds.push(rates);
    }
    let ratio = |of: usize, to: usize| median(rounds.iter().map(|round| round[of] / round[to]));
    let mut table = String::from(
        "| program | images a second | of a loop of signing.py | of OpenSSL's library, one thread, no files |\n\
         |---|--:|--:|--:|\n",
    );
    for (index, (name, _)) in contenders.iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[index]));
        let (of_python, of_openssl) = (ratio(index, SIGNING_PY_LOOP), ratio(index, OPENSSL));
        table += &format!("| {name} | {rate:.0} | {of_python:.1} | {of_openssl:.2} |\n");
    }
    let (against_python, against_openssl) = (ratio(PROGRAM, SIGNING_PY_LOOP), ratio(PROGRAM, OPENSSL));
    let promise = match (against_python >= 100.0, against_openssl >= 0.9) {
        (true, true) => Ok(()),
        _ => {
            Err(format!("batch: {against_python:.1} and {against_openssl:.2}, promised at least 100 and 0.9"))
        }
    };
    Ok((table, promise))
}

/// A directory in memory. On a disk, ext4 avoids the inodes of files that were deleted within a minute, and takes the
/// longer to make new ones the more of them there are: each run would be slower than the one before.
fn memory() -> Option<&'static Path> {
    Some(Path::new("/dev/shm")).filter(|path| path.is_dir())
}

fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    let time = start.elapsed();
    if status.success() { Ok(time) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Returns the images a second of OpenSSL's library, if it only hashes and signs, on one thread.
fn openssl() -> Result<f64> {
    // Lines for machines: `+F2:index:bits:signatures a second:…` and `+F:index:name:bytes a second`.
    let speed = |args: &[&str], start: &str, field: usize| -> Result<f64> {
        let mut command = Command::new("openssl");
        let output =
            command.args(["speed", "-mr", "-seconds", "2"]).args(args).stderr(Stdio::null()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find(|line| line.starts_with(start)).ok_or("openssl speed said nothing")?;
        Ok(line.split(':').nth(field).ok_or("openssl speed said too little")?.parse()?)
    };
    let signatures = speed(&["rsa2048"], "+F2:", 3)?;
    let bytes = speed(&["-bytes", &LEN.to_string(), "-evp", "sha256"], "+F:", 3)?;
    Ok(1.0 / (1.0 / signatures + LEN as f64 / bytes))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
