//! Readers of every speed.

use super::*;

const LARGE: u32 = 400_000;

/// A device that has asked and has a small window, as devices have.
fn reader(port: &Port) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Linux doubles it.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&port.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(ESP8266.as_bytes()).unwrap();
    stream
}

fn read_slowly(mut stream: TcpStream, pause: Duration) -> Reply {
    let (mut raw, mut part) = (Vec::new(), [0; 8 * 1024]);
    loop {
        std::thread::sleep(pause);
        match stream.read(&mut part).unwrap() {
            0 => return Reply::parse(&raw),
            bytes => raw.extend_from_slice(&part[..bytes]),
        }
    }
}

fn large(limits: Limits) -> Port {
    start(catalogue(LARGE), Settings::default(), limits)
}

#[test]
fn slow_readers_are_not_starved_by_fast_ones() {
    let port = large(Limits::default());
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let stream = reader(&port);
            std::thread::spawn(move || read_slowly(stream, Duration::from_millis(10)))
        })
        .collect();
    let began = Instant::now();
    let mut fast = 0;
    while !slow.iter().all(|thread| thread.is_finished()) {
        assert!(port.say(ESP8266).body == image(LARGE), "a fast reader got another image");
        fast += 1;
        assert!(began.elapsed() < PATIENCE);
    }
    assert!(fast > 3, "the fast ones had to wait for the slow ones: {fast}");
    for thread in slow {
        assert!(thread.join().unwrap().body == image(LARGE), "a slow reader got another image");
    }
    for _ in 0..20 + fast {
        assert_eq!(port.record().evidence, Some(Evidence::Sent));
    }
}

#[test]
fn a_reader_that_takes_nothing_is_cut_off() {
    let port = large(Limits { stall: Duration::from_millis(300), ..Limits::default() });
    let stream = reader(&port);
    let record = port.record();
    assert_eq!((record.status, record.evidence), (Some(200), Some(Evidence::Contact)));
    assert_eq!(record.odd, ["it reads too slowly"]);
    assert!(record.sent < u64::from(LARGE), "{}", record.sent);
    drop(stream);
}

#[test]
fn a_reader_that_pauses_is_not_cut_off() {
    let port = large(Limits { stall: Duration::from_millis(900), ..Limits::default() });
    let mut stream = reader(&port);
    let mut first = vec![0; 20_000];
    stream.read_exact(&mut first).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    stream.read_exact(&mut first).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() + 40_000 > LARGE as usize);
    drop(stream);
    assert_eq!(port.record().evidence, Some(Evidence::Sent));
}

#[test]
fn a_reader_that_takes_a_byte_now_and_then_is_cut_off() {
    let limits = Limits { slowest: 1_000_000, grace: Duration::from_millis(900), ..Limits::default() };
    let port = large(limits);
    let mut stream = reader(&port);
    let began = Instant::now();
    let mut part = [0; 4_096];
    while stream.read(&mut part).is_ok_and(|bytes| bytes > 0) {
        std::thread::sleep(Duration::from_millis(100));
        assert!(began.elapsed() < PATIENCE, "nobody cuts it off");
    }
    let record = port.record();
    assert_eq!(record.evidence, Some(Evidence::Contact));
    assert_eq!(record.odd, ["it reads too slowly"]);
}

#[test]
fn downloads_beyond_the_limit_come_back_later() {
    let port = large(Limits { downloads: 2, ..Limits::default() });
    let (first, second) = (reader(&port), reader(&port));
    // Both have their answers.
    for stream in [&first, &second] {
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    }
    assert_eq!(port.say(ESP8266).status(), 304);
    assert_eq!(port.record().why, Err("there are as many downloads as allowed".into()));
    let tasmota = asking("Content-Length: 0", "x-ESP8266-version: 9.1.0(tasmota)\r\nContent-Length: 0");
    assert_eq!(port.say(tasmota).status(), 404);
    drop(first);
    // Its end has to be seen first.
    let began = Instant::now();
    while port.say(ESP8266).status() != 200 {
        assert!(began.elapsed() < PATIENCE, "its place is never free");
    }
    assert!(read_slowly(second, Duration::ZERO).body == image(LARGE), "another image");
}

#[test]
fn a_catalogue_that_is_replaced_ends_no_download() {
    let port = large(Limits::default());
    let mut stream = reader(&port);
    let mut first = vec![0; 10_000];
    stream.read_exact(&mut first).unwrap();
    port.shared.replace(Catalogue::default());
    assert_eq!(port.say(ESP8266).status(), 404);
    let mut rest = first;
    stream.read_to_end(&mut rest).unwrap();
    assert!(Reply::parse(&rest).body == image(LARGE), "another image");
}

#[test]
fn evidence_is_sent_only_after_a_clean_close() {
    let limits = Limits { close: Duration::from_millis(300), ..Limits::default() };
    let port = large(limits);
    let read_all = |stream: &mut TcpStream| {
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        assert!(Reply::parse(&raw).body.len() > LARGE as usize);
    };
    // It reads all, and closes.
    let mut stream = reader(&port);
    read_all(&mut stream);
    drop(stream);
    assert_eq!(port.record().evidence, Some(Evidence::Sent));
    // It reads all, and does not close: it may hang in its updater.
    let mut stream = reader(&port);
    read_all(&mut stream);
    assert_eq!(port.record().evidence, Some(Evidence::HandedOver));
    drop(stream);
    // It reads all, and resets the connection.
    let mut stream = reader(&port);
    read_all(&mut stream);
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(port.record().evidence, Some(Evidence::HandedOver));
    // It goes away in the middle, as one does whose -100 comes first.
    let mut stream = reader(&port);
    stream.read_exact(&mut [0; 1_000]).unwrap();
    drop(stream);
    let record = port.record();
    assert_eq!(record.evidence, Some(Evidence::Contact));
    assert!(record.sent < u64::from(LARGE));
}
