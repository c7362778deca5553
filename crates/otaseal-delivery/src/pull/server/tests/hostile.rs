//! Clients that mean no good, while a device is served.

use super::*;

fn short() -> Limits {
    Limits { request: Duration::from_millis(400), ..Limits::default() }
}

/// Asserts that a device is answered within a second.
fn a_device_is_served(port: &Port) {
    let began = Instant::now();
    assert_eq!(port.say(running(Md5Digest::of(&image(50_000)))).status(), 304);
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
}

/// Writes as much as the port takes, and reads what it says.
fn pour(port: &Port, bytes: &[u8]) -> Vec<u8> {
    let mut stream = port.connect();
    let _ = stream.write_all(bytes);
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw);
    raw
}

#[test]
fn a_header_of_200_kb_is_refused() {
    let port = port();
    let long = format!("Connection: close\r\nx-long: {}", "a".repeat(200_000));
    let reply = Reply::parse(&pour(&port, asking("Connection: close", &long).as_bytes()));
    assert_eq!(reply.status(), 431);
    assert_eq!(port.record().why, Err("its request is too large".into()));
    a_device_is_served(&port);
}

#[test]
fn an_address_of_100_kb_is_refused() {
    let port = port();
    let reply =
        Reply::parse(&pour(&port, asking("GET /ota", &format!("GET /{}", "a".repeat(100_000))).as_bytes()));
    assert!([414, 431].contains(&reply.status()), "{}", reply.line);
    a_device_is_served(&port);
}

#[test]
fn a_thousand_fields_are_refused() {
    let port = port();
    let many: String = (0..1_000).map(|number| format!("x-{number}: a\r\n")).collect();
    let reply = port.say(asking("Connection: close\r\n", &many));
    assert_eq!(reply.status(), 431);
    assert_eq!(port.record().why, Err("its request is too large".into()));
    // A sketch may add some of its own.
    let some: String = (0..30).map(|number| format!("x-{number}: a\r\n")).collect();
    assert_eq!(port.say(asking("Connection: close\r\n", &some)).status(), 200);
}

#[test]
fn repeated_and_absurd_fields_harm_nobody() {
    let port = port();
    for (from, to) in [
        ("x-ESP8266-free-space: 987136", "x-ESP8266-free-space: 4294860800"),
        ("x-ESP8266-free-space: 987136", "x-ESP8266-free-space: -1"),
        ("x-ESP8266-free-space: 987136", "x-ESP8266-free-space: 1111111111222222222233333333334444444444"),
        ("x-ESP8266-mode: sketch", "x-ESP8266-mode: sketch\r\nx-ESP8266-mode: spiffs"),
        ("x-ESP8266-mode: sketch", "x-ESP8266-mode: sketch\r\nx-ESP32-mode: sketch"),
        ("5C:CF:7F:AA:BB:CC", "\x1b]0;owned\x07"),
        ("5C:CF:7F:AA:BB:CC", "' OR 1=1 --"),
    ] {
        let reply = port.say(asking(from, to));
        assert!([200, 304, 400, 404].contains(&reply.status()), "{to}: {}", reply.line);
    }
    let mut raw = ESP8266.as_bytes().to_vec();
    let at = raw.windows(3).position(|three| three == b"5C:").unwrap();
    raw[at] = 0xFF;
    assert_eq!(port.say(raw).status(), 200);
}

#[test]
fn a_slow_request_ends_and_holds_nobody_up() {
    let port = start(catalogue(50_000), Settings::default(), short());
    let mut slow = port.connect();
    let began = Instant::now();
    let mut closed = false;
    for byte in ESP8266.bytes().cycle() {
        closed = slow.write_all(&[byte]).is_err();
        if closed || began.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(closed && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(port.record().why, Err("its request did not come in time".into()));
    a_device_is_served(&port);
}

#[test]
fn half_a_request_is_recorded_as_such() {
    let port = start(catalogue(50_000), Settings::default(), short());
    let half = &ESP8266.as_bytes()[..ESP8266.len() / 2];
    let stream = port.connect();
    (&stream).write_all(half).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = (&stream).read_to_end(&mut rest);
    let record = port.record();
    assert_eq!((record.status, record.why), (None, Err("its request ends in the middle".into())));
    // One that stays open ends after its time.
    let mut open = port.connect();
    open.write_all(half).unwrap();
    let _ = open.read_to_end(&mut rest);
    assert_eq!(port.record().why, Err("its request did not come in time".into()));
    // Nobody who only looks whether the port is open is a client.
    drop(port.connect());
    a_device_is_served(&port);
    assert_eq!(port.record().status, Some(304));
}

#[test]
fn what_is_no_http_1_is_refused() {
    let port = start(catalogue(50_000), Settings::default(), short());
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage garbage\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.0\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let raw = pour(&port, bytes);
        let shown = String::from_utf8_lossy(&raw[..raw.len().min(40)]).into_owned();
        assert!(
            raw.is_empty() || raw.starts_with(b"HTTP/1.1 4"),
            "{:?}: {shown}",
            String::from_utf8_lossy(bytes)
        );
        assert!(matches!(port.record().status, None | Some(403)));
    }
    a_device_is_served(&port);
}

#[test]
fn what_follows_a_request_is_not_answered() {
    let port = port();
    let quiet = running(Md5Digest::of(&image(50_000)));
    for more in [quiet.clone(), "\0garbage".repeat(100), "x".repeat(60_000)] {
        let reply = port.say(format!("{quiet}{more}"));
        assert_eq!((reply.status(), reply.body.len()), (304, 0));
        let http = quiet.replace("HTTP/1.0", "HTTP/1.1").replace("Connection: close\r\n", "");
        let reply = port.say(format!("{http}{more}"));
        assert_eq!((reply.status(), reply.body.len()), (304, 0));
    }
    let records: Vec<Record> =
        std::iter::from_fn(|| port.records.recv_timeout(Duration::from_millis(200)).ok()).collect();
    assert_eq!(records.len(), 6);
}

#[test]
fn two_thousand_idle_connections_hold_nobody_up() {
    more_descriptors();
    let limits = Limits { waiting: 500, ..Limits::default() };
    let port = start(catalogue(50_000), Settings::default(), limits);
    let mut idle = Vec::new();
    for number in 0..2_000 {
        idle.push(port.connect());
        if number % 500 == 499 {
            a_device_is_served(&port);
        }
    }
    // The oldest had to go, and the newest stays.
    let closed = |stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        !matches!((&*stream).read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    };
    assert!(idle[..1_400].iter().all(closed));
    assert!(!closed(idle.last().unwrap()));
}

#[test]
fn new_kinds_of_devices_are_not_looked_at_without_bound() {
    let limits = Limits { judging: 0, ..Limits::default() };
    let port = start(catalogue(50_000), Settings::default(), limits);
    // This one would have to be judged. It comes back.
    assert_eq!(port.say(ESP8266).status(), 304);
    assert!(port.record().why.unwrap_err().contains("new kinds of devices"));
    assert_eq!(
        port.say(asking("Content-Length: 0", "x-ESP8266-version: 9.1.0(tasmota)\r\nContent-Length: 0"))
            .status(),
        404
    );
    a_device_is_served(&port);
}

#[test]
fn many_devices_of_a_new_kind_are_all_served() {
    // More than may wait: those that have asked do not.
    let port = start(catalogue(50_000), Settings::default(), Limits { waiting: 20, ..Limits::default() });
    let began = Instant::now();
    let all: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = port.connect();
            stream.write_all(ESP8266.as_bytes()).unwrap();
            stream
        })
        .collect();
    for mut stream in all {
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        assert_eq!(Reply::parse(&raw).status(), 200);
    }
    assert!(began.elapsed() < PATIENCE);
}
