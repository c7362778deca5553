//! Compares whole processes by wall-clock time.

use super::{Bench, Promise, firmware, image};
use crate::Result;
use crate::tools::run as run_command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds in which every contender runs once.
const ROUNDS: usize = 50;

/// Size of the image that is signed, in bytes.
const IMAGE: usize = 400_000;

/// Our own short copy of the Arduino cores' `signing.py`. It works as the script does: a Python interpreter reads the
/// image and hands it to an OpenSSL process. It makes no legacy signature.
const SIGNING_PY: &str = r#"
import argparse, hashlib, os, subprocess, sys
parser = argparse.ArgumentParser()
for name in ("mode", "bin", "out", "privatekey"):
    parser.add_argument("--" + name)
args = parser.parse_args()
with open(args.bin, "rb") as file:
    data = file.read()
openssl = subprocess.Popen(["openssl", "dgst", "-sha256", "-sign", args.privatekey],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
signature, _ = openssl.communicate(input=data)
with open(args.out, "wb") as file:
    file.write(data + signature + len(signature).to_bytes(4, "little"))
"#;

/// One program with its arguments.
pub(super) struct Contender {
    name: &'static str,
    command: Command,
    /// A file to remove before each run, outside the measured time. On ext4, replacing a file waits for the disk.
    output: Option<PathBuf>,
    pub(super) times: Vec<Duration>,
}

impl Contender {
    pub(super) fn new(name: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { name, command, output: None, times: Vec::with_capacity(ROUNDS) }
    }

    /// Removes this file before each run.
    fn making(self, output: &Path) -> Self {
        Self { output: Some(output.into()), ..self }
    }

    fn run(&mut self) -> Result<Duration> {
        if let Some(output) = self.output.as_ref().filter(|output| output.exists()) {
            fs::remove_file(output)?;
        }
        let start = Instant::now();
        let status = self.command.status().map_err(|error| format!("{}: {error}", self.name))?;
        let time = start.elapsed();
        if status.success() { Ok(time) } else { Err(format!("{}: {status}", self.name).into()) }
    }
}

/// Signing 400 kB: at most 0.05 of `signing.py`, at most 0.7 of `openssl dgst -sign`, also over an older file.
pub(super) fn sign(bench: &Bench) -> Result<(String, Promise)> {
    let input = bench.folder.join("image.bin");
    fs::write(&input, firmware(IMAGE, &bench.public)?)?;
    let made = |name: &str| bench.folder.join(name);
    let (signed, replaced) = (made("image.signed"), made("image.replaced"));
    let (signature, by_python) = (made("signature"), made("image.python"));
    let ours = |output: &Path, key: &Path| {
        let mut ours = Command::new(&bench.program);
        ours.args(["--quiet", "sign"]).arg(&input).arg("-o").arg(output).arg("--key").arg(key);
        ours
    };
    let repository = bench.folder.join("repository");
    run_command(Command::new("git").args(["init", "--quiet"]).arg(&repository))?;
    let (inside, by_inside) = (repository.join("private.pem"), made("image.inside"));
    fs::copy(&bench.key, &inside)?;
    let openssl = |output: &Path| {
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(&bench.key).arg("-out").arg(output).arg(&input);
        openssl
    };
    let python = signing_py(bench, &input, &by_python)?;
    let mut contenders = [
        Contender::new("otaseal sign", ours(&signed, &bench.key)).making(&signed),
        Contender::new("openssl dgst -sha256 -sign", openssl(&signature)).making(&signature),
        Contender::new("stand-in for signing.py", python).making(&by_python),
        Contender::new("otaseal sign, the key in a repository", ours(&by_inside, &inside)).making(&by_inside),
    ];
    let ratios = race(&mut contenders)?;
    if fs::read(&signed)? != fs::read(&by_python)? {
        return Err("otaseal and OpenSSL signed differently".into());
    }
    // As a build does each time after the first. An older file of another key would not be replaced.
    let _ = fs::remove_file(&replaced);
    let mut again = [
        Contender::new("otaseal sign, over an older file", ours(&replaced, &bench.key)),
        Contender::new("openssl, over an older file", openssl(&made("signature.replaced"))),
    ];
    let over = race(&mut again)?;
    let tables = table(&contenders, &ratios) + "\n" + &table(&again, &over);
    Ok((tables, promise(&[(ratios[0], 0.7), (ratios[1], 0.05), (over[0], 0.7)], "sign")))
}

/// Returns the command that signs with our copy of `signing.py`.
pub(super) fn signing_py(bench: &Bench, input: &Path, output: &Path) -> Result<Command> {
    let script = bench.folder.join("signing_stand_in.py");
    fs::write(&script, SIGNING_PY)?;
    let mut python = Command::new("python3");
    python.arg(&script).args(["--mode", "sign", "--bin"]).arg(input).arg("--out").arg(output);
    python.arg("--privatekey").arg(&bench.key);
    Ok(python)
}

/// A new RSA-2048 key: at most 1.0 of `openssl genrsa`.
pub(super) fn keygen(bench: &Bench) -> Result<(String, Promise)> {
    let mut ours = Command::new(&bench.program);
    ours.args(["--quiet", "keygen", "--force", "-o"]).arg(bench.folder.join("keys"));
    let mut openssl = Command::new("openssl");
    openssl.args(["genrsa", "-out"]).arg(bench.folder.join("genrsa.pem")).arg("2048");
    let mut contenders =
        [Contender::new("otaseal keygen", ours), Contender::new("openssl genrsa 2048", openssl)];
    // The time of a search for primes is luck, so this compares medians, not pairs of searches.
    race(&mut contenders)?;
    let medians = contenders.each_ref().map(|contender| median(&contender.times));
    let ratio = medians[0].as_secs_f64() / medians[1].as_secs_f64();
    Ok((table(&contenders, &[ratio]), promise(&[(ratio, 1.0)], "keygen")))
}

/// Verifying 16 MiB: at least 0.95 of the throughput of `openssl dgst -verify`.
pub(super) fn verify(bench: &Bench) -> Result<(String, Promise)> {
    let (payload, signature) = (bench.folder.join("large.bin"), bench.folder.join("large.signature"));
    let signed = bench.folder.join("large.signed");
    let mut bytes = image(16 << 20);
    fs::write(&payload, &bytes)?;
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-sign"]).arg(&bench.key).arg("-out").arg(&signature).arg(&payload);
    Contender::new("openssl dgst -sha256 -sign", openssl).run()?;
    let made = fs::read(&signature)?;
    bytes.extend(&made);
    bytes.extend((made.len() as u32).to_le_bytes());
    fs::write(&signed, bytes)?;

    let mut ours = Command::new(&bench.program);
    ours.args(["--quiet", "verify"]).arg(&signed).arg("--key").arg(&bench.public);
    let mut openssl = Command::new("openssl");
    openssl
        .args(["dgst", "-sha256", "-verify"])
        .arg(&bench.public)
        .arg("-signature")
        .arg(&signature)
        .arg(&payload);
    let mut contenders =
        [Contender::new("otaseal verify", ours), Contender::new("openssl dgst -sha256 -verify", openssl)];
    let ratios = race(&mut contenders)?;
    Ok((table(&contenders, &ratios), promise(&[(ratios[0], 1.0 / 0.95)], "verify")))
}

/// Runs every contender once per round. Returns for each but the first the median of first / other within a round.
pub(super) fn race(contenders: &mut [Contender]) -> Result<Vec<f64>> {
    for contender in contenders.iter_mut() {
        // Once for the caches.
        contender.run()?;
    }
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            // Another one begins each time.
            let index = (round + turn) % contenders.len();
            let time = contenders[index].run()?;
            contenders[index].times.push(time);
        }
    }
    let (first, others) = contenders.split_first().ok_or("there is no contender")?;
    Ok(others
        .iter()
        .map(|other| {
            let pairs = first.times.iter().zip(&other.times);
            let mut ratios: Vec<f64> = pairs.map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
            ratios.sort_by(f64::total_cmp);
            ratios[ratios.len() / 2]
        })
        .collect())
}

pub(super) fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

pub(super) fn table(contenders: &[Contender], ratios: &[f64]) -> String {
    let mut text = String::from("| program | median of 50 | best | otaseal / this |\n|---|---|---|---|\n");
    let ratios = [None].into_iter().chain(ratios.iter().map(Some));
    for (contender, ratio) in contenders.iter().zip(ratios) {
        let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        let best = contender.times.iter().min().copied().unwrap_or_default();
        let ratio = ratio.map_or_else(|| "1".into(), |ratio| format!("{ratio:.3}"));
        let (name, median) = (contender.name, median(&contender.times));
        text.push_str(&format!("| `{name}` | {} | {} | {ratio} |\n", millis(median), millis(best)));
    }
    text
}

fn promise(pairs: &[(f64, f64)], name: &str) -> Promise {
    match pairs.iter().find(|(ratio, most)| ratio > most) {
        Some((ratio, most)) => Err(format!("{name}: {ratio:.3}, promised at most {most}")),
        None => Ok(()),
    }
}
