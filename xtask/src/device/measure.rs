//! `cargo xtask device --measure`: measures the cost of a verdict on Cortex-M, and compares it with BearSSL's.
//!
//! Both sides are built for size and run in QEMU with one instruction a nanosecond; the programs are
//! `fixtures/demo-firmware/src/bin` and `tests/peers/bearssl/cortexm.c`, and measure by the same method.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::Toolchain;
use super::emulate::{BOARDS, Board};
use crate::Result;
use crate::fixtures::peer::Key;
use crate::interop::peers::{compile, freestanding};

/// Difference of the two payloads in bytes. The difference of their costs is the hash's share.
const MORE: usize = 2048;
/// Limit of the stack for RSA-2048, in bytes.
const STACK_LIMIT: u64 = 2048;

/// Limit of each number, as a fraction of BearSSL's.
const RATIO_LIMIT: f64 = 1.0;

/// The page with the numbers, and by how much a measured one may differ from them, as a fraction.
const PAGE: &str = "docs/device.md";
const TOLERANCE: f64 = 0.02;

/// The cost of one verdict.
struct Cost {
    text: u64,
    instructions: u64,
    per_byte: f64,
    stack: u64,
}

pub(super) fn run(root: &Path) -> Result<String> {
    let work = root.join("target/interop");
    fs::create_dir_all(&work)?;
    let images = images(root, &work)?;
    let mut report = String::from(
        "| core | verdict | text, bytes | instructions | hash, instructions per byte | stack, bytes |\n",
    );
    report += "|---|---|---|---|---|---|\n";
    let mut ratios = String::new();
    for board in BOARDS.iter().filter(|board| board.target.starts_with("thumb")) {
        let ours = ours(root, board, &images, &mut report)?;
        for assembly in [false, true] {
            let theirs = theirs(root, &work, board, &images, assembly)?;
            let name = if assembly { "BearSSL i15 with its assembly" } else { "BearSSL i15, RSA-2048" };
            row(&mut report, board, name, &theirs)?;
            let (size, time) = (ratio(ours.text, theirs.text), ratio(ours.instructions, theirs.instructions));
            ratios +=
                &format!("{}, {name}: {size:.2} of its text, {time:.2} of its instructions\n", board.core);
            if size > RATIO_LIMIT || time > RATIO_LIMIT {
                return Err(format!("{report}\n{ratios}\nlarger or slower than BearSSL").into());
            }
        }
        if ours.stack > STACK_LIMIT {
            return Err(format!("{report}\nmore than {STACK_LIMIT} bytes of stack").into());
        }
    }
    let different = different(&report, &fs::read_to_string(root.join(PAGE))?);
    if !different.is_empty() {
        return Err(format!("{report}\n{PAGE} has other numbers:\n{}", different.join("\n")).into());
    }
    Ok(format!("{report}\n{ratios}"))
}

/// The lines of the report that the page does not have, or whose numbers differ from the page's by more than
/// [`TOLERANCE`].
fn different<'a>(report: &'a str, page: &str) -> Vec<&'a str> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().replace(',', "")).collect::<Vec<_>>();
    let close = |(ours, stated): (&String, &String)| match (ours.parse::<f64>(), stated.parse::<f64>()) {
        (Ok(ours), Ok(stated)) => (ours - stated).abs() <= TOLERANCE * stated,
        _ => ours == stated,
    };
    let stated: Vec<_> = page.lines().map(cells).collect();
    let known = |line: &&str| {
        let line = cells(line);
        stated.iter().any(|stated| line.len() == stated.len() && line.iter().zip(stated).all(close))
    };
    report.lines().filter(|line| !known(line)).collect()
}

fn ratio(ours: u64, theirs: u64) -> f64 {
    ours as f64 / theirs as f64
}

fn row(report: &mut String, board: &Board, name: &str, cost: &Cost) -> Result<()> {
    let [text, instructions, stack] = [cost.text, cost.instructions, cost.stack].map(grouped);
    writeln!(
        report,
        "| {} | {name} | {text} | {instructions} | {:.1} | {stack} |",
        board.core, cost.per_byte
    )?;
    Ok(())
}

/// A number with a comma after each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    rest.as_bytes()
        .chunks(3)
        .fold(first.to_owned(), |all, next| format!("{all},{}", String::from_utf8_lossy(next)))
}

/// Makes two images by the example key with different lengths, and one by each larger key.
fn images(root: &Path, work: &Path) -> Result<Vec<PathBuf>> {
    let key = Key::open(root.join("keys.example/private.pem"))?;
    let mut paths = Vec::new();
    for len in [1, 1 + MORE] {
        let payload = vec![0; len];
        let signature = key.sign("-sha256", &payload)?;
        let field = (signature.len() as u32).to_le_bytes();
        let path = work.join(format!("payload-{len}.bin"));
        fs::write(&path, [&payload[..], &signature, &field].concat())?;
        paths.push(path);
    }
    paths.extend(["rsa3072", "rsa4096"].map(|key| root.join(format!("fixtures/accept/plain.{key}.bin"))));
    Ok(paths)
}

fn ours(root: &Path, board: &Board, images: &[PathBuf], report: &mut String) -> Result<Cost> {
    let tools = Toolchain::with_source()?;
    let size = |entry: &str, bits: &str| -> Result<u64> {
        let variables = [("OTASEAL_ENTRY", entry), ("OTASEAL_BITS", bits)];
        let elf = tools.build_reproducibly(root, board.target, "verdict", &variables)?;
        no_panic(&elf)?;
        text_size(&elf)
    };
    let elf = tools.build_reproducibly(root, board.target, "measure", &[])?;
    let run = |image: &Path| -> Result<(u64, u64)> {
        let semihosting = format!("enable=on,target=native,arg=measure,arg={}", image.display());
        numbers(&board.run_with(root, &elf, &semihosting, &["-icount", "shift=0"])?.output)
    };
    let [short, long, rsa3072, rsa4096] = images else { return Err("four images are measured".into()) };
    let (instructions, stack) = run(short)?;
    let (longer, _) = run(long)?;
    let per_byte = (longer - instructions) as f64 / MORE as f64;
    let cost = Cost { text: size("verdict", "2048")?, instructions, per_byte, stack };
    row(report, board, "RSA-2048", &cost)?;
    for (bits, image) in [("3072", rsa3072), ("4096", rsa4096)] {
        let (instructions, stack) = run(image)?;
        let larger = Cost { text: size("verdict", bits)?, instructions, per_byte, stack };
        row(report, board, &format!("RSA-{bits}"), &larger)?;
    }
    let streaming = grouped(size("verdict_stream", "2048")?);
    writeln!(report, "| {} | RSA-2048, streaming | {streaming} | | | |", board.core)?;
    Ok(cost)
}

/// Checks that the program cannot panic: it must not contain the code for a panic.
fn no_panic(elf: &Path) -> Result<()> {
    let symbols = output(Command::new("arm-none-eabi-nm").arg(elf))?;
    match symbols.lines().find(|line| line.contains("panicking") || line.contains("rust_begin_unwind")) {
        None => Ok(()),
        Some(line) => Err(format!("{} can panic: {line}", elf.display()).into()),
    }
}

fn text_size(elf: &Path) -> Result<u64> {
    let table = output(Command::new("arm-none-eabi-size").arg(elf))?;
    let sizes: Vec<u64> =
        table.lines().nth(1).unwrap_or_default().split_whitespace().map_while(|n| n.parse().ok()).collect();
    match sizes.as_slice() {
        [text, 0, 0, ..] => Ok(*text),
        [_, data, bss, ..] => Err(format!("{}: {data} + {bss} bytes of statics", elf.display()).into()),
        _ => Err("arm-none-eabi-size printed no sizes".into()),
    }
}

fn theirs(root: &Path, work: &Path, board: &Board, images: &[PathBuf], assembly: bool) -> Result<Cost> {
    let sources = root.join("tests/peers/bearssl");
    let build = |name: &str, link: &[String], files: &[&str]| -> Result<PathBuf> {
        let elf = work.join(name);
        let mut gcc = Command::new("arm-none-eabi-gcc");
        gcc.args(["-Os", "-mthumb", "-std=gnu99", "-ffreestanding", "-nostdlib", "-ffunction-sections"])
            .args(["-fdata-sections", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments"])
            .arg(format!("-mcpu={}", board.core))
            .args(link)
            .args(if assembly { &["-DBR_ARMEL_CORTEXM_GCC=1", "-DBR_LOMUL=1"][..] } else { &[] })
            .arg("-o")
            .arg(&elf)
            .args(files.iter().map(|file| sources.join(file)))
            .args(freestanding(root)?)
            .arg("-lgcc");
        compile(&mut gcc, "gcc-arm-none-eabi")?;
        Ok(elf)
    };
    let weighed = build("size.elf", &["-Wl,--entry=updater_accepts".to_owned()], &["verdict.c"])?;
    let script = format!("-T{}", sources.join("cortexm.ld").display());
    let elf = build("measure.elf", &[script], &["cortexm.c", "verdict.c"])?;
    let modulus = Key::open(root.join("keys.example/private.pem"))?.modulus.to_bytes_be();
    let run = |image: &Path| -> Result<(u64, u64)> {
        let image = fs::read(image)?;
        let mut batch = vec![0];
        batch.extend((modulus.len() as u16).to_le_bytes());
        batch.extend(&modulus);
        batch.extend(1_u32.to_le_bytes());
        batch.extend((image.len() as u32).to_le_bytes());
        batch.extend(&image);
        fs::write(work.join("batch.bin"), batch)?;
        numbers(&board.run_with(work, &elf, "enable=on,target=native", &["-icount", "shift=0"])?.output)
    };
    let [short, long, ..] = images else { return Err("two images are measured".into()) };
    let (instructions, stack) = run(short)?;
    let (longer, _) = run(long)?;
    let per_byte = (longer - instructions) as f64 / MORE as f64;
    Ok(Cost { text: text_size(&weighed)?, instructions, per_byte, stack })
}

/// Reads instructions and stack from a line such as `accepted true instructions 100 stack 10`.
fn numbers(output: &str) -> Result<(u64, u64)> {
    let words: Vec<&str> = output.split_whitespace().collect();
    match words.as_slice() {
        ["accepted", "true" | "1", "instructions", instructions, "stack", stack] => {
            Ok((instructions.parse()?, stack.parse()?))
        }
        _ => Err(format!("not a measurement: {output}").into()),
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output =
        command.output().map_err(|error| format!("{command:?}: {error}\nneeded: gcc-arm-none-eabi"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", output.status).into())
    }
}
