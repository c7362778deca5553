//! Measures the peak memory of the program, as Linux counts it.

use super::{Bench, Promise, image};
use crate::Result;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Limit of the peak for packaging a 16 MiB image, in KiB.
const PACKAGE_MAX: u64 = 160 * 1024;

/// Limit of the peak for signing or verifying a gigabyte, in KiB. The memory does not grow with the input.
const STREAM_MAX: u64 = 32 * 1024;

/// Packaging 16 MiB, with either effort, takes less than 160 MiB.
pub(super) fn package(bench: &Bench) -> Result<(String, Promise)> {
    let input = bench.folder.join("16MiB.bin");
    fs::write(&input, image(16 << 20))?;
    let mut rows = Vec::new();
    for effort in ["fast", "default", "max"] {
        let mut command = Command::new(&bench.program);
        command.args(["--quiet", "package"]).arg(&input).arg("--key").arg(&bench.key);
        command.arg("--out-dir").arg(bench.folder.join("package")).args(["--effort", effort]);
        rows.push((format!("package, effort {effort}"), measure(command)?));
    }
    fs::remove_file(input)?;
    Ok((table(&rows), promise(&rows, PACKAGE_MAX)))
}

/// Signing and verifying a gigabyte takes no more memory than a small file.
pub(super) fn gigabyte(bench: &Bench) -> Result<(String, Promise)> {
    let (input, signed) = (bench.folder.join("gigabyte.bin"), bench.folder.join("gigabyte.signed"));
    File::create(&input)?.set_len(1 << 30)?;
    let mut sign = Command::new(&bench.program);
    sign.args(["--quiet", "sign"]).arg(&input).arg("-o").arg(&signed).arg("--key").arg(&bench.key);
    let mut verify = Command::new(&bench.program);
    verify.args(["--quiet", "verify"]).arg(&signed).arg("--key").arg(&bench.public);
    let rows = [("sign 1 GiB".to_owned(), measure(sign)?), ("verify 1 GiB".to_owned(), measure(verify)?)];
    for path in [input, signed] {
        fs::remove_file(path)?;
    }
    Ok((table(&rows), promise(&rows, STREAM_MAX)))
}

/// Measures the peak resident memory and the time of one run.
struct Peak {
    kib: u64,
    time: Duration,
}

/// Reads the high-water mark of the running child again and again. It only grows, so the last reading misses at most
/// the last millisecond.
fn measure(mut command: Command) -> Result<Peak> {
    let start = Instant::now();
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut kib = 0;
    let status = loop {
        if let Some(mark) = fs::read_to_string(&status_file).ok().as_deref().and_then(high_water_mark) {
            kib = kib.max(mark);
        }
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    let time = start.elapsed();
    match (status.success(), kib) {
        (false, _) => Err(format!("{command:?}: {status}").into()),
        (true, 0) => Err("there is no /proc/PID/status: memory is measured on Linux only".into()),
        (true, kib) => Ok(Peak { kib, time }),
    }
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn table(rows: &[(String, Peak)]) -> String {
    let mut text = String::from("| what | peak memory | time |\n|---|---|---|\n");
    for (name, Peak { kib, time }) in rows {
        let mib = *kib as f64 / 1024.0;
        text.push_str(&format!("| {name} | {mib:.1} MiB | {:.2} s |\n", time.as_secs_f64()));
    }
    text
}

fn promise(rows: &[(String, Peak)], most: u64) -> Promise {
    match rows.iter().find(|(_, peak)| peak.kib >= most) {
        Some((name, peak)) => Err(format!("{name}: {} KiB, promised less than {most}", peak.kib)),
        None => Ok(()),
    }
}
