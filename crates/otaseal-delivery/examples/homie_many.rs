//! Measures pushes to many simulated Homie devices through a real mosquitto.
//!
//! `cargo run --release -p otaseal-delivery --example homie_many -- [COUNT] [AT_ONCE] [BYTES]` starts mosquitto, a process with
//! the devices, and a process that pushes. It prints the time, and the peak memory of each.

#![allow(clippy::print_stdout, reason = "it reports numbers")]

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use otaseal::format::digest::Md5Digest;
use otaseal::package::manifest::Installed;
use otaseal_delivery::evidence::{End, Event, Evidence};
use otaseal_delivery::homie::{Image, Job, Pushes, Waits, push_many};
use otaseal_delivery::mqtt::{Options, Trust};
use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::homie::{Device, Release, crowd};
use otaseal_delivery::sim::image::Sample;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, usual: u64| words.get(index).map_or(Ok(usual), |word| word.parse::<u64>());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match words.first().map(String::as_str) {
        Some("devices") => runtime()?.block_on(devices(number(1, 0)? as u16, number(2, 0)?)),
        Some("push") => runtime()?.block_on(push(
            number(1, 0)? as u16,
            number(2, 0)?,
            number(3, 0)? as usize,
            number(4, 0)? as u32,
        )),
        _ => all(number(0, 1000)?, number(1, 64)?, number(2, 400_000)?),
    }
}

/// Ends a process when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn all(count: u64, at_once: u64, bytes: u64) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let config = dir.path().join("mosquitto.conf");
    std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"))?;
    let program = if std::path::Path::new("/usr/sbin/mosquitto").exists() {
        "/usr/sbin/mosquitto"
    } else {
        "mosquitto"
    };
    let broker =
        Running(Command::new(program).arg("-c").arg(&config).stderr(std::process::Stdio::null()).spawn()?);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let own = std::env::current_exe()?;
    let devices =
        Running(Command::new(&own).args(["devices", &port.to_string(), &count.to_string()]).spawn()?);
    std::thread::sleep(Duration::from_secs(2) + Duration::from_millis(5 * count));
    println!("broker before: {}", peak(&broker.0.id().to_string())?);
    let words = [port.to_string(), count.to_string(), at_once.to_string(), bytes.to_string()];
    let status = Command::new(&own).arg("push").args(words).status()?;
    println!("devices: {}", peak(&devices.0.id().to_string())?);
    println!("broker:  {}", peak(&broker.0.id().to_string())?);
    if status.success() { Ok(()) } else { Err("not every push was proven".into()) }
}

/// The peak of a process's memory (Linux).
fn peak(process: &str) -> std::io::Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("unknown")
        .replace(char::is_whitespace, ""))
}

fn sample(version: &str, bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes, seed: 1 }.esp8266()
}

async fn devices(port: u16, count: u64) -> Result<(), Box<dyn Error>> {
    let profile = "homie-mqtt@3.1.2/unsigned".parse()?;
    let board = Board::new(profile, &sample("1.0.0", 2000));
    let device = |number| {
        let mut device = Device::new(&format!("lamp-{number}"), board.clone());
        device.release = Release::Develop;
        device
    };
    crowd((0..count).map(device).collect(), format!("mqtt://127.0.0.1:{port}").parse()?, Trust::System).await;
    Ok(())
}

async fn push(port: u16, count: u64, at_once: usize, bytes: u32) -> Result<(), Box<dyn Error>> {
    let file = sample("2.0.0", bytes);
    let installed = Installed::of(&file);
    let image = Image {
        topic_md5: Md5Digest::of(&file),
        running: installed.md5_by_flash_mode.values().copied().chain(installed.md5).collect(),
        version: Some("2.0.0".into()),
        bytes: file.into(),
    };
    let jobs = (0..count)
        .map(|number| Ok(Job { device: format!("lamp-{number}").parse()?, image: image.clone() }))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let pushes = Pushes {
        broker: Options::new(format!("mqtt://127.0.0.1:{port}").parse()?),
        base: "homie/".parse()?,
        jobs,
        waits: Waits::default(),
        until: Evidence::Running,
        at_once,
    };
    let begun = Instant::now();
    let (mut under_way, mut most, mut retries) = (0usize, 0usize, 0usize);
    let ends = push_many(pushes, &mut |_, event| match event {
        Event::Says { text } if text == "202" => {
            under_way += 1;
            most = most.max(under_way);
        }
        Event::Says { text } if text == "200" => under_way = under_way.saturating_sub(1),
        Event::Retries { .. } => retries += 1,
        _ => {}
    })
    .await;
    let proven =
        ends.iter().filter(|(_, end)| end.evidence() == Evidence::Running && *end != End::AlreadyRunning);
    let proven = proven.count();
    println!(
        "{proven} of {count} proven in {:.1} s, at most {most} receive at once, {retries} retries, ours {}",
        begun.elapsed().as_secs_f64(),
        peak("self")?
    );
    for (id, end) in ends.iter().filter(|(_, end)| end.evidence() != Evidence::Running).take(5) {
        println!("{id}: {end:?}");
    }
    if proven == count as usize { Ok(()) } else { Err("some were not proven".into()) }
}
