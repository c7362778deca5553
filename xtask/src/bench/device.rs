//! Measures inspecting an image of 1 MiB and judging it as a device would, and the share of both in making a package.

use super::speed::{Contender, median, race, table};
use super::{Bench, Promise};
use crate::Result;
use crate::tools::{find, run as run_command};
use std::fs;
use std::process::Command;

/// Limit of inspecting or judging, as a whole process, in milliseconds.
const MOST_MS: f64 = 25.0;
/// Limit of the time for a package with device checks, as a multiple of one without.
const MOST_FACTOR: f64 = 1.10;
/// Size of the image in bytes.
const LEN: usize = 1 << 20;
const DEVICE: [&str; 4] = ["--flash-layout", "4m1m", "--installed-size", "1000000"];

/// Inspects and judges 1 MiB: under 25 ms each. The linter and the fit check of `package --for` add under 10 %.
pub(super) fn run(bench: &Bench) -> Result<(String, Promise)> {
    let image = bench.folder.join("esp8266.bin");
    let code = find("git").ok_or("git is not installed: its program is the machine code in the image")?;
    fs::write(&image, esp8266(&fs::read(code)?)?)?;
    let package = |name: &str, options: &[&str]| {
        let mut command = Command::new(&bench.program);
        command.args(["--quiet", "package", "--allow-no-key", "--artefacts", "signed,gz-signed"]).arg(&image);
        command.arg("--key").arg(&bench.key).arg("-o").arg(bench.folder.join(name)).args(options);
        command
    };
    let for_device = [&["--for", "esp8266@3.1.2"], &DEVICE[..]].concat();
    run_command(&mut package("judged", &for_device))?;

    let mut inspect = Command::new(&bench.program);
    inspect.arg("inspect").arg(&image);
    let judge = |file: &str| {
        let mut command = Command::new(&bench.program);
        command.arg("verify").arg(bench.folder.join("judged").join(file)).args(["--as", "esp8266@3.1.2"]);
        command.args(["--flash-mode", "dio"]).args(DEVICE).arg("--key").arg(&bench.public);
        command
    };
    let mut contenders = [
        Contender::new("otaseal inspect", inspect),
        Contender::new("otaseal verify --as, plain", judge("esp8266.bin.signed")),
        Contender::new("otaseal verify --as, gzip", judge("esp8266.bin.gz.signed")),
    ];
    let ratios = race(&mut contenders)?;
    let mut text = table(&contenders, &ratios);
    let slowest = contenders.iter().map(|one| median(&one.times).as_secs_f64() * 1e3).fold(0.0, f64::max);

    let mut contenders = [
        Contender::new("otaseal package --for", package("judged", &for_device)),
        Contender::new("otaseal package", package("made", &[])),
    ];
    let ratios = race(&mut contenders)?;
    text = format!("{text}\n{}", table(&contenders, &ratios));
    let missed = if slowest >= MOST_MS {
        Some(format!("{slowest:.1} ms, promised less than {MOST_MS}"))
    } else if ratios[0] >= MOST_FACTOR {
        Some(format!("a package takes {:.3} with its checks, promised less than {MOST_FACTOR}", ratios[0]))
    } else {
        None
    };
    Ok((text, missed.map_or(Ok(()), |missed| Err(format!("device: {missed}")))))
}

/// An ESP8266 image with machine code for its one segment: header of eight bytes, segment of address and length,
/// data, zeros, and in the last of 16 bytes the checksum (EF, and every byte of data).
fn esp8266(code: &[u8]) -> Result<Vec<u8>> {
    let len = LEN - 32;
    let data = code.get(..len).ok_or("the program is smaller than a mebibyte")?;
    let mut image = vec![0xE9, 1, 2, 0x40, 0, 0, 0x10, 0x40];
    image.extend(0x4010_0000_u32.to_le_bytes());
    image.extend((len as u32).to_le_bytes());
    image.extend(data);
    image.resize(LEN - 1, 0);
    image.push(data.iter().fold(0xEF, |sum, byte| sum ^ byte));
    Ok(image)
}
