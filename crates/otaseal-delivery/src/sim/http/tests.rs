//! Requests as the specification recorded them from real devices, and their client's reading of answers.

use super::*;
use crate::sim::image::Sample;
use otaseal::profile::fit::FileSystemArea;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod status;

fn sample(version: &str, bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes, seed: 5 }.esp8266()
}

fn device(profile: &str) -> Device {
    Device::new(
        Board::new(profile.parse().unwrap(), &sample("1.0.0", 50_000)),
        "192.168.1.2:8080",
        "/ota/lamp",
    )
}

/// With the facts of the running image left out.
fn shown(device: &Device, mode: Mode) -> String {
    device.request(mode).replace(&device.board.sketch_md5().to_string(), "MD5").replace("\r\n", "\n")
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(30), test).await.expect("it hangs") })
}

/// A server that gives one answer for each connection, and keeps what was asked.
async fn server(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            asked.push(String::from_utf8(request).unwrap());
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 16]).await;
        }
        asked
    });
    (host, task)
}

#[test]
fn an_esp8266_asks_as_core_2_6_and_later_do() {
    let mut device = device("esp8266@3.1.2/unsigned");
    device.mac = [0x5C, 0xCF, 0x7F, 0x16, 0x40, 0xEF];
    assert_eq!(
        shown(&device, Mode::Sketch),
        "GET /ota/lamp HTTP/1.0\nHost: 192.168.1.2:8080\nUser-Agent: ESP8266-http-Update\nConnection: close\n\
         x-ESP8266-Chip-ID: 1458415\nx-ESP8266-STA-MAC: 5C:CF:7F:16:40:EF\nx-ESP8266-AP-MAC: 5E:CF:7F:16:40:EF\n\
         x-ESP8266-free-space: 991232\nx-ESP8266-sketch-size: 54160\nx-ESP8266-sketch-md5: MD5\n\
         x-ESP8266-chip-size: 4194304\nx-ESP8266-sdk-version: 2.2.2-dev(38a443e)\nx-ESP8266-mode: sketch\n\
         x-ESP8266-version: 1.0.0\nContent-Length: 0\n\n"
    );
    device.login = Some("dXNlcjpwYXNz".into());
    device.host = "192.168.1.2:80".into();
    device.says = Says::Nothing;
    let request = shown(&device, Mode::Spiffs);
    assert!(request.contains(
        "Host: 192.168.1.2\nUser-Agent: ESP8266-http-Update\nAuthorization: Basic dXNlcjpwYXNz\nConnection: close\n"
    ));
    assert!(request.contains("x-ESP8266-mode: spiffs\nContent-Length: 0\n"));
}

#[test]
fn older_cores_say_less() {
    let request = shown(&device("esp8266@2.5.2/unsigned"), Mode::Sketch);
    assert!(!request.contains("Chip-ID") && !request.contains("Content-Length"), "{request}");
    assert!(request.contains("x-ESP8266-sketch-md5: MD5\n"));
}

#[test]
fn a_pico_and_an_esp32_ask_as_they_do() {
    let mut pico = device("arduino-pico/unsigned");
    pico.mac = [0x28, 0xCD, 0xC1, 0, 0, 1];
    assert_eq!(
        shown(&pico, Mode::Sketch),
        "GET /ota/lamp HTTP/1.0\nHost: 192.168.1.2:8080\nUser-Agent: Pico-HTTP-Update\nConnection: close\n\
         x-Pico-Chip-ID: E66128CDC1000001\nx-Pico-STA-MAC: 28:CD:C1:00:00:01\nx-Pico-AP-MAC: 28:CD:C1:00:00:01\n\
         x-Pico-Mode: sketch\nx-Pico-Version: 1.0.0\nContent-Length: 0\n\n"
    );
    let esp32 = shown(&device("esp32@3.x/unsigned"), Mode::Sketch);
    let start = "GET /ota/lamp HTTP/1.0\nHost: 192.168.1.2:8080\nUser-Agent: ESP32-http-Update\nConnection: close\n\
                 Cache-Control: no-cache\nx-ESP32-STA-MAC: ";
    assert!(esp32.starts_with(start), "{esp32}");
    assert!(!esp32.contains("Content-Length"));
}

/// The examples of `support_tasmota.ino`.
#[test]
fn tasmota_asks_for_its_minimal_firmware_by_name() {
    for (path, wanted) in [
        ("/tasmota", "/tasmota-minimal"),
        ("/tasmota.ino.bin.gz", "/tasmota-minimal.ino.bin.gz"),
        ("/api/arduino/tasmota.bin", "/api/arduino/tasmota-minimal.bin"),
        ("/api/arduino/tasmota-DE.bin.gz", "/api/arduino/tasmota-minimal.bin.gz"),
        ("/api/ard-uino/tasmota-DE.bin.gz", "/api/ard-uino/tasmota-minimal.bin.gz"),
    ] {
        assert_eq!(ask::minimal(path), wanted);
    }
}

#[test]
fn homie_1_and_tasmota_have_their_versions() {
    let mut device = device("esp8266@2.7.4/unsigned");
    let mut version = |says: Says| {
        device.says = says;
        let request = device.request(Mode::Sketch);
        let line = request.lines().find(|line| line.starts_with("x-ESP8266-version")).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let homie = |form, target: Option<&str>| Says::Homie {
        form,
        id: "kitchen".into(),
        target: target.map(Into::into),
    };
    assert_eq!(version(homie(HomieForm::V1_0, None)), "kitchen=lamp@1.0.0");
    assert_eq!(version(homie(HomieForm::March2016, Some("1.1.0"))), "kitchen=lamp@1.0.0->1.1.0");
    assert_eq!(
        version(homie(HomieForm::V1_3, Some("a75ebc7c7f@1.0.1"))),
        "kitchen=lamp=1.0.0=a75ebc7c7f@1.0.1"
    );
    assert_eq!(version(Says::Tasmota("tasmota".into())), "1.0.0(tasmota)");
}

#[test]
fn a_redirect_is_followed_without_the_fields() {
    let image = sample("2.0.0", 60_000);
    let file = status::ok(&image, &[]);
    for (profile, keeps) in [("esp8266@3.1.2/unsigned", false), ("arduino-pico/unsigned", true)] {
        run(async {
            let moved =
                b"HTTP/1.1 302 Found\r\nLocation: /file/x?token=1\r\nContent-Length: 0\r\n\r\n".to_vec();
            let (host, asked) = server(vec![moved, file.clone()]).await;
            let mut device = device(profile);
            (device.host, device.follows) = (host, true);
            device.login = Some("dXNlcjpwYXNz".into());
            assert_eq!(device.poll(Mode::Sketch).await, Outcome::Updated, "{profile}");
            let second = &asked.await.unwrap()[1];
            assert!(second.starts_with("GET /file/x?token=1 HTTP/1.0\r\n"));
            assert!(second.contains("Authorization: Basic dXNlcjpwYXNz\r\n"));
            assert_eq!(second.to_lowercase().contains("-mode: "), keeps, "{profile}: {second}");
        });
    }
}

#[test]
fn a_device_runs_the_image_that_it_pulled() {
    let image = sample("2.0.0", 60_000);
    let outcome = |mut device: Device| {
        run(async {
            let (host, _asked) = server(vec![status::ok(&image, &[])]).await;
            device.host = host;
            (device.poll(Mode::Sketch).await, device)
        })
    };
    let (updated, after) = outcome(device("esp8266@3.1.2/unsigned"));
    assert_eq!((updated, after.board.starts()), (Outcome::Updated, 1));
    assert!(after.board.running() == image, "it runs something else");
    let mut weak = device("esp8266@3.1.2/unsigned");
    weak.flags.fault = Some(Fault::LosesPowerAfter(20_000));
    let (dead, after) = outcome(weak);
    assert_eq!(dead, Outcome::Dead);
    assert!(after.board.running() == sample("1.0.0", 50_000), "it runs something else");
}

#[test]
fn a_filesystem_image_needs_no_start() {
    run(async {
        // An erased one: the updater does not look into it, and the firmware cannot mount it.
        let image = vec![0xFF; 8 * 4096];
        let (host, _asked) = server(vec![status::ok(&image, &[]), status::ok(&image, &[])]).await;
        let mut device = device("esp8266@3.1.2/unsigned");
        device.host = host;
        device.board.filesystem = Some(FileSystemArea::new(4 * 4096));
        assert_eq!(device.poll(Mode::Spiffs).await, Outcome::Failed(-100));
        device.board.filesystem = Some(FileSystemArea::new(64 * 4096));
        assert_eq!(device.poll(Mode::Spiffs).await, Outcome::Updated);
        assert_eq!(device.board.starts(), 0);
        assert!(device.board.written_filesystem() == Some(&image[..]), "another filesystem");
        assert!(device.board.restart(), "the firmware is whole");
    });
}
