//! Compares `otaseal-fleet serve` with nginx: polls, images, and slow readers. Needs `wrk` and `nginx`, and Linux.

use super::{Promise, image};
use crate::Result;
use crate::tools::{cargo, run as run_command};
use otaseal::format::digest::Md5Digest;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Releases in the folder, and lines in the list of devices.
const RELEASES: usize = 10_000;
/// Devices that ask in turn.
const DEVICES: usize = 1_000;
/// Bytes of the image.
const IMAGE: usize = 400_000;
/// Each round measures both servers once.
const ROUNDS: usize = 5;
/// Seconds of one measurement.
const SECONDS: u32 = 3;
/// Slow readers, and their bytes a second.
const READERS: usize = 2_000;
const READER: usize = 40_000;

/// Limits, as shares of nginx and in KiB.
const POLLS: f64 = 0.6;
const CPU: f64 = 1.5;
const IMAGES: f64 = 0.6;
const MEMORY: u64 = 80 * 1024;
const SLOWEST: f64 = 0.8;

/// Runs the three comparisons.
pub(super) fn run(root: &Path) -> Result<(String, Promise)> {
    let program = build(root)?;
    let folder = tempfile::tempdir()?;
    let served = folder.path().join("served");
    files(&served)?;
    scripts(folder.path(), &served)?;
    let nginx = Nginx::start(folder.path())?;
    let ours = Ours::start(&program, &served)?;
    // Once, to fill the caches.
    for (server, script) in
        [(nginx.address, "poll.lua"), (ours.address, "poll.lua"), (ours.address, "image.lua")]
    {
        wrk(server, folder.path(), script, 64, 1)?;
    }
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let one = |server: SocketAddr, process: u32| -> Result<Measured> {
            let before = cpu_seconds(process)?;
            let (polls, asked) = wrk(server, folder.path(), "poll.lua", 64, SECONDS)?;
            let cpu = (cpu_seconds(process)? - before) / asked * 1e6;
            let (images, _) = wrk(server, folder.path(), "image.lua", 16, SECONDS)?;
            Ok(Measured { polls, cpu, images })
        };
        // Each round begins with the other one.
        let (of_ours, of_nginx) = if round % 2 == 0 {
            let of_nginx = one(nginx.address, nginx.worker)?;
            (one(ours.address, ours.child.id())?, of_nginx)
        } else {
            (one(ours.address, ours.child.id())?, one(nginx.address, nginx.worker)?)
        };
        rounds.push((of_ours, of_nginx));
    }
    drop(ours);
    // A new one: its peak is that of the slow readers.
    let ours = Ours::start(&program, &served)?;
    let slowest = slow_readers(ours.address)?;
    let peak = peak_kib(ours.child.id())?;
    let (table, promise) = report(&rounds, slowest, peak);
    Ok((table, promise))
}

struct Measured {
    polls: f64,
    /// Microseconds of CPU time for each poll.
    cpu: f64,
    images: f64,
}

fn report(rounds: &[(Measured, Measured)], slowest: f64, peak: u64) -> (String, Promise) {
    let of = |field: fn(&Measured) -> f64| {
        let ours = median(rounds.iter().map(|(ours, _)| field(ours)));
        let nginx = median(rounds.iter().map(|(_, nginx)| field(nginx)));
        let ratio = median(rounds.iter().map(|(ours, nginx)| field(ours) / field(nginx)));
        (ours, nginx, ratio)
    };
    let (polls, cpu, images) = (of(|it| it.polls), of(|it| it.cpu), of(|it| it.images));
    let mut table =
        String::from("| what | otaseal-fleet | nginx | ratio | promised |\n|---|--:|--:|--:|--:|\n");
    let mut missed = Vec::new();
    let mut row =
        |what: &str, (ours, nginx, ratio): (f64, f64, f64), digits: usize, limit: f64, least: bool| {
            let promised = format!("{} {limit}", if least { "at least" } else { "at most" });
            let _ =
                writeln!(table, "| {what} | {ours:.digits$} | {nginx:.digits$} | {ratio:.2} | {promised} |");
            if (ratio < limit) == least {
                missed.push(format!("{what}: {ratio:.2}, promised {promised}"));
            }
        };
    row("polls a second, answered 304", polls, 0, POLLS, true);
    row("CPU time of a poll in µs", cpu, 1, CPU, false);
    row("images of 400 kB a second", images, 0, IMAGES, true);
    let _ = writeln!(
        table,
        "\n{READERS} readers at {READER} bytes a second: the slowest got {slowest:.2} of its rate (promised at least \
         {SLOWEST}), peak memory {} MiB (promised less than {} MiB).",
        peak / 1024,
        MEMORY / 1024,
    );
    if slowest < SLOWEST {
        missed.push(format!("the slowest reader: {slowest:.2}, promised at least {SLOWEST}"));
    }
    if peak >= MEMORY {
        missed.push(format!("peak memory: {peak} KiB, promised less than {MEMORY}"));
    }
    (table, if missed.is_empty() { Ok(()) } else { Err(format!("serve: {}", missed.join(", "))) })
}

/// Without link-time optimisation over all crates, which takes minutes, in a folder of its own.
fn build(root: &Path) -> Result<PathBuf> {
    let target = root.join("target/bench");
    let mut command = cargo(root);
    command
        .args(["build", "--release", "--locked", "--package", "otaseal-fleet", "--target-dir"])
        .arg(&target);
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    run_command(command.env("CARGO_INCREMENTAL", "0"))?;
    Ok(target.join("release/otaseal-fleet"))
}

/// Writes the releases: bare files, so that nothing has to be signed, and a list that names as many devices.
fn files(served: &Path) -> Result<()> {
    fs::create_dir_all(served)?;
    let mut bytes = image(4_096);
    let mut list = String::new();
    for number in 0..RELEASES {
        bytes[..4].copy_from_slice(&(number as u32).to_be_bytes());
        fs::write(served.join(format!("fw{number:05}.bin")), &bytes)?;
        let _ =
            writeln!(list, "\"24:0A:C4:00:{:02X}:{:02X}\" = \"fw{number:05}\"", number >> 8, number & 255);
    }
    fs::write(served.join("devices.toml"), list)?;
    fs::write(served.join("large.bin"), arduino(IMAGE))?;
    Ok(())
}

/// An intact ESP8266 image of about this length, as an Arduino build makes it: the server would refuse any other.
fn arduino(len: usize) -> Vec<u8> {
    let part = |segment: &[u8]| {
        let mut image = vec![0xE9, 1, 2, 0x40];
        for word in [0x4010_0000, 0x4010_0000, segment.len() as u32] {
            image.extend(u32::to_le_bytes(word));
        }
        image.extend_from_slice(segment);
        image.resize((image.len() + 16) / 16 * 16, 0);
        let sum = segment.iter().fold(0xEF, |sum, byte| sum ^ byte);
        *image.last_mut().unwrap_or_else(|| unreachable!("it has a header")) = sum;
        image
    };
    let mut file = part(b"the boot loader.");
    file.resize(0x1000, 0xAA);
    let mut program = image(len - 0x1000);
    program[..8].fill(0);
    file.extend(part(&program));
    // CRC-32, not reflected, not inverted at the end (esp8266/Arduino `tools/elf2bin.py`).
    let crc = file.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| (crc << 1) ^ (0x04C1_1DB7 * (crc >> 31)))
    });
    let length = (file.len() as u32).to_le_bytes();
    file[0x1010..0x1014].copy_from_slice(&length);
    file[0x1014..0x1018].copy_from_slice(&crc.to_le_bytes());
    file
}

/// Writes what wrk sends: the bytes of core 3.1.2, of a thousand devices that run one of the releases.
fn scripts(folder: &Path, served: &Path) -> Result<()> {
    let mut polls = String::from("local all = {\n");
    for number in 0..DEVICES {
        let file = served.join(format!("fw{:05}.bin", number * (RELEASES / DEVICES)));
        let md5 = Md5Digest::of(&fs::read(file)?).to_string();
        let _ = writeln!(polls, "{:?},", request("/", &md5, number));
    }
    polls += "}\nlocal at = 0\nrequest = function() at = at % #all + 1; return all[at] end\n";
    fs::write(folder.join("poll.lua"), polls)?;
    let other = request("/large.bin", &"0".repeat(32), 0);
    fs::write(
        folder.join("image.lua"),
        format!("local one = {other:?}\nrequest = function() return one end\n"),
    )?;
    Ok(())
}

fn request(path: &str, md5: &str, number: usize) -> String {
    format!(
        "GET {path} HTTP/1.0\r\nHost: 192.168.1.2:8080\r\nUser-Agent: ESP8266-http-Update\r\nConnection: close\r\n\
         x-ESP8266-Chip-ID: {number}\r\nx-ESP8266-STA-MAC: 5C:CF:7F:00:{:02X}:{:02X}\r\n\
         x-ESP8266-AP-MAC: 5E:CF:7F:00:{:02X}:{:02X}\r\nx-ESP8266-free-space: 671744\r\n\
         x-ESP8266-sketch-size: 373952\r\nx-ESP8266-sketch-md5: {md5}\r\nx-ESP8266-chip-size: 4194304\r\n\
         x-ESP8266-sdk-version: 2.2.2-dev(38a443e)\r\nx-ESP8266-mode: sketch\r\nx-ESP8266-version: 1.2.3\r\n\
         Content-Length: 0\r\n\r\n",
        number >> 8,
        number & 255,
        number >> 8,
        number & 255,
    )
}

/// Ends its process when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn id(&self) -> u32 {
        self.0.id()
    }
}

struct Ours {
    child: Process,
    address: SocketAddr,
}

impl Ours {
    fn start(program: &Path, served: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("serve").arg(served).args(["--allow-unsigned", "--quiet", "--listen", "127.0.0.1:0"]);
        let mut child = Process(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit("//").next().ok_or("no address")?.parse()?;
        Ok(Self { child, address })
    }
}

/// nginx with one worker, as a child that ends with us.
struct Nginx {
    _master: Process,
    worker: u32,
    address: SocketAddr,
}

impl Nginx {
    fn start(folder: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let shown = folder.display();
        let config = format!(
            "worker_processes 1; daemon off; master_process off; pid {shown}/nginx.pid; error_log {shown}/nginx.log;\n\
             events {{ worker_connections 10000; }}\n\
             http {{ access_log off; sendfile on; keepalive_timeout 0;\n\
             server {{ listen {address} backlog=4096; location = / {{ return 304; }} location / {{ root \
             {shown}/served; }} }} }}\n"
        );
        fs::write(folder.join("nginx.conf"), config)?;
        // It may be where no user's path leads.
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(folder).stderr(Stdio::null());
        let master = Process(command.spawn().map_err(|error| format!("nginx: {error}"))?);
        let end = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err("nginx does not listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { worker: master.id(), _master: master, address })
    }
}

/// Returns the requests a second, and how many there were.
fn wrk(
    server: SocketAddr,
    folder: &Path,
    script: &str,
    connections: u32,
    seconds: u32,
) -> Result<(f64, f64)> {
    let mut command = Command::new("wrk");
    command
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}"), "-s"])
        .arg(folder.join(script));
    let output =
        command.arg(format!("http://{server}/")).output().map_err(|error| format!("wrk: {error}"))?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Socket errors") || text.contains("Non-2xx") && script != "poll.lua" {
        return Err(format!("wrk with {script}: {text}").into());
    }
    let number = |line: Option<&str>, at: usize| -> Result<f64> {
        Ok(line.and_then(|line| line.split_whitespace().nth(at)).ok_or("wrk said too little")?.parse()?)
    };
    let rate = number(text.lines().find(|line| line.starts_with("Requests/sec")), 1)?;
    let all = number(text.lines().find(|line| line.contains(" requests in ")), 0)?;
    // A poll is answered 304, and an image 200: it is large.
    let read = text.lines().find_map(|line| line.strip_suffix(" read")).ok_or("wrk said too little")?;
    let read = read.rsplit(' ').next().unwrap_or_default();
    let unit = [("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1.0)];
    let unit = unit.into_iter().find_map(|(name, bytes)| Some((read.strip_suffix(name)?, bytes)));
    let (number, bytes) = unit.ok_or("wrk said something else")?;
    let each = number.parse::<f64>()? * bytes / all;
    if (each > IMAGE as f64 * 0.8) != (script == "image.lua") {
        return Err(format!("wrk with {script} got {each:.0} bytes an answer: {text}").into());
    }
    Ok((rate, all))
}

/// Seconds of CPU time that a process has used.
fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime, in hundredths.
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

fn peak_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Downloads with many slow readers at once. Returns the rate of the slowest, as a share of what it wanted.
fn slow_readers(server: SocketAddr) -> Result<f64> {
    /// Each reader takes its part so often in a second.
    const TURNS: usize = 10;
    let request = request("/large.bin", &"0".repeat(32), 0);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(request.as_bytes())?;
        stream.set_nonblocking(true)?;
        readers.push(stream);
    }
    let began = Instant::now();
    let mut part = vec![0; READER / TURNS];
    let (mut slowest, mut all) = (Duration::ZERO, 0);
    for turn in 1.. {
        readers.retain_mut(|stream| match stream.read(&mut part) {
            Ok(0) => {
                slowest = began.elapsed();
                false
            }
            Ok(bytes) => {
                all += bytes;
                true
            }
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
        if readers.is_empty() {
            break;
        }
        let next = began + Duration::from_secs_f64(f64::from(turn) / TURNS as f64);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("{} readers wait still", readers.len()).into());
        }
    }
    if all < READERS * IMAGE {
        return Err(format!("the readers got {all} bytes of {}", READERS * IMAGE).into());
    }
    Ok(IMAGE as f64 / slowest.as_secs_f64() / READER as f64)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
