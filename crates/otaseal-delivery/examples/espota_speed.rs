//! Measures pushes by espota to a simulated device that takes its bytes without a pause.
//!
//! `cargo run --release -p otaseal-delivery --example espota_speed -- [ROUNDS] [BYTES]` starts a process with devices. Each
//! round sends the image three times: as the cores' tools do, as a plain copy of the same 1460-byte blocks, and as a push.
//! It prints the medians, and the time and memory of 200 pushes at once.

#![allow(clippy::print_stdout, reason = "it reports numbers")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use otaseal_delivery::espota::{Image, Job, Pace, Request, push, push_all};
use otaseal_delivery::evidence::{End, Event, Evidence};
use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::espota::{Settings, start};
use otaseal_delivery::sim::image::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Devices that are updated at once.
const MANY: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if words.first().is_some_and(|word| word == "devices") {
        return runtime.block_on(devices());
    }
    let number = |index: usize, usual: u32| words.get(index).map_or(Ok(usual), |word| word.parse());
    runtime.block_on(all(number(0, 21)?, number(1, 400_000)?))
}

/// Ends a process when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn sample(version: &str, bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes, seed: 1 }.esp8266()
}

/// Runs devices, and prints their addresses.
async fn devices() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::new(Board::new("esp8266@3.1.2/unsigned".parse()?, &sample("1.0.0", 2000)));
    settings.flags.ok_after = Duration::ZERO;
    let mut running = Vec::new();
    for _ in 0..MANY {
        let device = start(settings.clone(), "127.0.0.1:0".parse()?).await?;
        println!("{}", device.address());
        running.push(device);
    }
    std::future::pending().await
}

async fn all(rounds: u32, bytes: u32) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?).arg("devices").stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let _running = Running(child);
    let lines = BufReader::new(output).lines().take(MANY);
    let devices: Vec<SocketAddr> =
        lines.map(|line| Ok(line?.parse()?)).collect::<Result<_, Box<dyn Error>>>()?;
    let image = Image::new(sample("2.0.0", bytes).into());
    let (mut tools, mut copies, mut pushes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds as usize {
        let device = devices[round % MANY];
        tools.push(tool(device, &image).await?);
        copies.push(copy(device, &image).await?);
        pushes.push(ours(device, &image).await?);
    }
    let least = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
    let best = [least(&tools), least(&copies), least(&pushes)];
    let medians = [median(tools), median(copies), median(pushes)];
    println!("{} bytes to one device, {rounds} times", image.bytes().len());
    for (what, times) in [("medians", medians), ("best", best)] {
        let [tool, copy, push] = times;
        let ratio = push.as_secs_f64() / copy.as_secs_f64();
        println!(
            "{what}: as the tools do {tool:?}, plain copy {copy:?}, push {push:?}: {ratio:.2} of a plain copy"
        );
    }
    let many = NonZeroUsize::MIN.saturating_add(MANY - 1);
    let jobs = devices
        .iter()
        .map(|device| Job { request: Request::new(*device, image.clone()), site: String::new() });
    let began = Instant::now();
    let ends = push_all(jobs.collect(), Pace { at_once: many, per_site: many }, &mut |_, _| {}).await;
    let taken = ends.iter().filter(|end| end.evidence() == Evidence::Taken).count();
    println!("{taken} of {MANY} devices at once in {:?}, {}", began.elapsed(), peak()?);
    if taken == MANY { Ok(()) } else { Err("some did not take it".into()) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The peak of this process's memory (Linux).
fn peak() -> std::io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    Ok(line.unwrap_or("VmHWM unknown").split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Invites the device and lets it in.
async fn connect(device: SocketAddr, image: &Image) -> std::io::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let udp = UdpSocket::bind("127.0.0.1:0").await?;
    let line = Request::new(device, image.clone()).invitation(listener.local_addr()?.port());
    udp.send_to(line.as_bytes(), device).await?;
    Ok(listener.accept().await?.0)
}

async fn wait_for_ok(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut answer = [0; 4096];
    loop {
        let length = stream.read(&mut answer).await?;
        if answer[..length].ends_with(b"OK") || length == 0 {
            return Ok(());
        }
    }
}

/// A block, then a wait for the number that answers it.
async fn tool(device: SocketAddr, image: &Image) -> std::io::Result<Duration> {
    let mut stream = connect(device, image).await?;
    let began = Instant::now();
    for block in image.bytes().chunks(1460) {
        stream.write_all(block).await?;
        _ = stream.read(&mut [0; 32]).await?;
    }
    wait_for_ok(&mut stream).await?;
    Ok(began.elapsed())
}

/// The blocks alone, whatever the device says.
async fn copy(device: SocketAddr, image: &Image) -> std::io::Result<Duration> {
    let mut stream = connect(device, image).await?;
    let began = Instant::now();
    let (mut from, mut to) = stream.split();
    let send = async {
        for block in image.bytes().chunks(1460) {
            to.write_all(block).await?;
        }
        Ok(())
    };
    tokio::try_join!(send, wait_for_ok(&mut from))?;
    Ok(began.elapsed())
}

async fn ours(device: SocketAddr, image: &Image) -> Result<Duration, Box<dyn Error>> {
    let mut began = None;
    let end = push(Request::new(device, image.clone()), &mut |event| {
        if let Event::Progress { sent: 0, .. } = event {
            began = Some(Instant::now());
        }
    })
    .await;
    match (end, began) {
        (End::Reached { .. }, Some(began)) => Ok(began.elapsed()),
        (end, _) => Err(format!("{end:?}").into()),
    }
}
