//! The table of statuses and errors, each line by its name.

use super::*;

/// An answer with this image, and more lines in its header.
pub(super) fn ok(image: &[u8], more: &[&str]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", image.len());
    for line in more {
        answer += line;
        answer += "\r\n";
    }
    let mut answer = (answer + "\r\n").into_bytes();
    answer.extend_from_slice(image);
    answer
}

fn image() -> Vec<u8> {
    sample("2.0.0", 60_000)
}

/// What a device makes of some answers, one after the other.
fn outcomes(mut device: Device, mode: Mode, answers: &[&[u8]]) -> Vec<Outcome> {
    run(async {
        let (host, _asked) = server(answers.iter().map(|answer| answer.to_vec()).collect()).await;
        device.host = host;
        device.flags.patience = Duration::from_millis(500);
        device.flags.stall = Duration::from_millis(100);
        let mut all = Vec::new();
        for _ in answers {
            all.push(device.poll(mode).await);
        }
        all
    })
}

fn outcome(profile: &str, mode: Mode, answer: &[u8]) -> Outcome {
    outcomes(device(profile), mode, &[answer]).remove(0)
}

fn failed(profile: &str, answer: impl AsRef<[u8]>) -> i32 {
    match outcome(profile, Mode::Sketch, answer.as_ref()) {
        Outcome::Failed(code) => code,
        other => panic!("{other:?}"),
    }
}

const NEW: &str = "esp8266@3.1.2/unsigned";

fn line(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn error_100_too_little_space() {
    // The device asks for the length before it reads a byte.
    let announced = b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    assert_eq!(failed(NEW, announced), -100);
    assert_eq!(failed(NEW, b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"), -100);
}

#[test]
fn error_101_no_size() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
    ] {
        assert_eq!(failed(NEW, answer), -101, "{answer}");
    }
}

#[test]
fn error_102_403_and_104() {
    for (status, code) in [
        ("404 Not Found", -102),
        ("403 Forbidden", -103),
        ("201 Created", -104),
        ("204 No Content", -104),
        ("206 Partial Content", -104),
        ("302 Found", -104),
        ("429 Too Many Requests", -104),
        ("500 Internal Server Error", -104),
        ("503 Service Unavailable", -104),
    ] {
        assert_eq!(failed(NEW, line(status)), code, "{status}");
    }
    // No 1xx ever.
    for status in ["100 Continue", "103 Early Hints"] {
        let answer = format!("HTTP/1.1 {status}\r\n\r\n{}", line("304 Not Modified"));
        assert_eq!(failed(NEW, answer), -104, "{status}");
    }
}

#[test]
fn error_105_wedges_the_updater() {
    for md5 in ["x-MD5: 00", "x-MD5: \"d41d8cd98f00b204e9800998ecf8427e\""] {
        assert_eq!(failed(NEW, ok(&image(), &[md5])), -105);
    }
    let once = format!("x-MD5: {}", Md5Digest::of(&image()));
    let (bad, good) = (ok(&image(), &[&once, &once]), ok(&image(), &[&once]));
    let all = |device: Device| outcomes(device, Mode::Sketch, &[&bad, &good, &good]);
    // Stuck, until it starts again.
    assert_eq!(all(device(NEW)), [-105, 0, 0].map(Outcome::Failed));
    let mut newest = device(NEW);
    newest.flags.says_15 = true;
    assert_eq!(all(newest), [Outcome::Failed(-105), Outcome::Failed(15), Outcome::Updated]);
    // On a Pico the last one counts.
    assert_eq!(all(device("arduino-pico/unsigned"))[0], Outcome::Updated);
}

#[test]
fn error_106_first_byte() {
    let mut other = image();
    other[0] = 0x1E;
    assert_eq!(failed(NEW, ok(&other, &[])), -106);
    let chunked = ok(&[b"1000\r\n", &image()[..]].concat(), &["Transfer-Encoding: chunked"]);
    assert_eq!(failed(NEW, chunked), -106);
    // A gzip, for a core that knows none.
    assert_eq!(failed("esp8266@2.6.3/unsigned", ok(&[0x1F, 0x8B, 8, 0, 0], &[])), -106);
}

#[test]
fn error_107_flash_size() {
    let mut large = image();
    large[3] = 0x90;
    assert_eq!(failed(NEW, ok(&large, &[])), -107);
}

#[test]
fn error_108_unauthorized_since_core_3() {
    assert_eq!(failed(NEW, line("401 Unauthorized")), -108);
    assert_eq!(failed("esp8266@2.7.4/unsigned", line("401 Unauthorized")), -104);
    assert_eq!(failed("esp32@3.x/unsigned", line("401 Unauthorized")), -104);
}

#[test]
fn error_109_no_version() {
    let ask = |answer: &[u8]| outcome(NEW, Mode::Version, answer);
    assert_eq!(ask(b"HTTP/1.0 200 OK\r\n\r\n"), Outcome::Failed(-109));
    assert_eq!(ask(b"HTTP/1.0 200 OK\r\nX-VERSION:1.2.3\r\n\r\n"), Outcome::Version("1.2.3".into()));
    assert_eq!(ask(line("304 Not Modified").as_bytes()), Outcome::Failed(-104));
    assert_eq!(ask(line("404 Not Found").as_bytes()), Outcome::Failed(-102));
}

#[test]
fn status_304_is_no_update_with_or_without_a_body() {
    for answer in ["HTTP/1.0 304 Not Modified\r\n\r\n", "HTTP/1.0 304 \r\nContent-Length: 5\r\n\r\nhello"] {
        assert_eq!(outcome(NEW, Mode::Sketch, answer.as_bytes()), Outcome::NoUpdates);
    }
    // Tasmota starts again.
    run(async {
        let (host, _asked) = server(vec![b"HTTP/1.0 304 Not Modified\r\n\r\n".to_vec()]).await;
        let mut device = device(NEW);
        (device.host, device.says) = (host, Says::Tasmota("tasmota".into()));
        assert_eq!(device.poll(Mode::Sketch).await, Outcome::NoUpdates);
        assert_eq!(device.board.starts(), 1);
    });
}

#[test]
fn errors_of_the_http_client() {
    assert_eq!(failed(NEW, "HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nhello"), -7);
    assert_eq!(failed(NEW, "SSH-2.0\r\n\r\n"), -7);
    for coding in ["gzip", "identity"] {
        assert_eq!(failed(NEW, ok(&image(), &[&format!("Transfer-Encoding: {coding}")])), -9);
    }
    assert_eq!(
        outcome("arduino-pico/unsigned", Mode::Sketch, &ok(&image(), &["Transfer-Encoding: identity"])),
        Outcome::Updated
    );
    assert_eq!(failed(NEW, "HTTP/1.0 200 OK\r\nContent-"), -5);
    assert_eq!(failed(NEW, "HTTP/1.0 200 OK\r\nContent-Length: 60000\r\n\r\n"), -5);
    run(async {
        let mut device = device(NEW);
        device.host = "127.0.0.1:1".into();
        assert_eq!(device.poll(Mode::Sketch).await, Outcome::Failed(-1));
    });
}

#[test]
fn odd_answers_that_devices_take() {
    let image = image();
    let md5 = Md5Digest::of(&image).to_string().to_uppercase();
    for more in [
        format!("X-md5:{md5}"),
        format!("x-MD5: {md5}\r\nSet-Cookie: a=b"),
        format!("x-long: {}", "a".repeat(100_000)),
        // A folded value is empty, and an empty one is not compared.
        "x-MD5:\r\n 00".to_owned(),
    ] {
        assert_eq!(outcome(NEW, Mode::Sketch, &ok(&image, &[&more])), Outcome::Updated, "{:.40}", more);
    }
    let bare =
        [format!("HTTP/1.0 200 OK\ncontent-length:{}\n\n", image.len()).as_bytes(), &image, b"more"].concat();
    assert_eq!(outcome(NEW, Mode::Sketch, &bare), Outcome::Updated);
}

#[test]
fn errors_of_the_updater() {
    let image = image();
    // 6: the server is gone in the middle.
    assert_eq!(failed(NEW, &ok(&image, &[])[..30_000]), 6);
    // 7: another digest.
    let other = format!("x-MD5: {}", Md5Digest::of(b"other"));
    assert_eq!(failed(NEW, ok(&image, &[&other])), 7);
    // A device that checks signatures does not compare it, and 12 is what it says to an unsigned image.
    let key = crate::testing::public();
    let mut verifying = device("esp8266@3.1.2");
    verifying.board.key = Some(key);
    assert_eq!(outcomes(verifying, Mode::Sketch, &[&ok(&image, &[&other])]), [Outcome::Failed(12)]);
}
