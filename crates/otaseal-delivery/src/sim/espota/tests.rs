//! What the real devices do during a transfer.

use std::time::Instant;

use super::*;
use crate::sim::image::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn settings(core: Core) -> Settings {
    let running = Sample { name: "lamp", version: "1.0.0", bytes: 5000, seed: 1 }.esp8266();
    let mut settings = Settings::new(Board::new("esp8266@3.1.2/unsigned".parse().unwrap(), &running));
    settings.core = core;
    settings.flags = Flags::of(core);
    settings
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("it hangs") });
}

/// Invites a device with this image, and lets it in.
async fn invited(device: &Running<Report>, image: &[u8]) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let md5 = otaseal::format::digest::Md5Digest::of(image);
    let line = format!("0 {} {} {md5}\n", listener.local_addr().unwrap().port(), image.len());
    socket.send_to(line.as_bytes(), device.address()).await.unwrap();
    let mut answer = [0; 10];
    assert_eq!(socket.recv(&mut answer).await.unwrap(), 2);
    assert_eq!(&answer[..2], b"OK");
    listener.accept().await.unwrap().0
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 100];
    let length = stream.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// It says its last number again after each second of silence, three times, and then closes without a word.
#[test]
fn an_esp32_repeats_its_last_number_and_gives_up() {
    run(async {
        let device = start(settings(Core::Esp32), "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut stream = invited(&device, &[0xE9; 5000]).await;
        stream.write_all(&[0xE9; 700]).await.unwrap();
        let begun = Instant::now();
        let mut heard = Vec::new();
        loop {
            match hear(&mut stream).await {
                text if text.is_empty() => break,
                text => heard.push(text),
            }
        }
        assert_eq!(heard, ["700"; 4]);
        assert!(begun.elapsed() >= Duration::from_secs(4));
    });
}

/// The number, then a second, then `OK` for itself.
#[test]
fn an_esp8266_says_ok_a_second_after_the_last_number() {
    run(async {
        let device = start(settings(Core::Esp8266), "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let image = Sample { name: "lamp", version: "2.0.0", bytes: 900, seed: 2 }.esp8266();
        let mut stream = invited(&device, &image).await;
        let mut numbers = String::new();
        for block in image.chunks(1000) {
            stream.write_all(block).await.unwrap();
            numbers = hear(&mut stream).await;
        }
        let begun = Instant::now();
        assert!(numbers.bytes().all(|byte| byte.is_ascii_digit()), "{numbers}");
        assert_eq!(hear(&mut stream).await, "OK");
        assert!(begun.elapsed() >= Duration::from_millis(990));
        assert_eq!(hear(&mut stream).await, "");
        assert_eq!(device.stop().await.board.starts(), 1);
    });
}

/// The size alone is known, and too large.
#[test]
fn begin_is_asked_before_ok() {
    run(async {
        for (bytes, expected) in [
            (2_000_000u64, "ERR: ERROR[4]: Not Enough Space\n"),
            (999_999_999_999_999, "ERR: ERROR[4]: Not Enough Space\n"),
            (0, "ERR: ERROR[5]: Bad Size Given\n"),
        ] {
            let device = start(settings(Core::Esp8266), "127.0.0.1:0".parse().unwrap()).await.unwrap();
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let line = format!("0 1 {bytes} {}\n", "0".repeat(32));
            socket.send_to(line.as_bytes(), device.address()).await.unwrap();
            let mut answer = [0; 100];
            let length = socket.recv(&mut answer).await.unwrap();
            assert_eq!(std::str::from_utf8(&answer[..length]), Ok(expected));
        }
    });
}
