//! Devices that misbehave, and strangers.

use super::*;

fn failed(fault: Fault) -> (Evidence, String, Report) {
    let mut settings = settings();
    settings.flags.fault = Some(fault);
    let (end, _, report) = push_to(settings, |request| {
        request.image = Image::new(sample("2.0.0", 900_000).into());
    });
    match end {
        End::Failed { evidence, why, .. } => (evidence, why, report),
        other => panic!("{fault:?}: {other:?}"),
    }
}

/// A push whose bytes all arrived, and nobody says what became of them.
fn unknown(fault: Fault) -> (Evidence, String) {
    let mut settings = settings();
    settings.flags.fault = Some(fault);
    let (end, events, _) = push_to(settings, |_| {});
    let reached =
        |wanted| events.iter().filter(|event| **event == Event::Reached { evidence: wanted }).count();
    assert_eq!(reached(Evidence::Taken), 0);
    match end {
        End::Reached { evidence, more } => {
            assert_eq!(reached(Evidence::Sent), 1);
            (evidence, more)
        }
        End::Failed { evidence, why, .. } => {
            assert_eq!(reached(Evidence::Sent), 0);
            (evidence, why)
        }
        other @ (End::AlreadyRunning | End::Refused { .. }) => panic!("{fault:?}: {other:?}"),
    }
}

/// Linux alone tells that they arrived.
const ARRIVED: Evidence = if cfg!(target_os = "linux") { Evidence::Sent } else { Evidence::HandedOver };

#[test]
fn a_device_that_never_answers() {
    let (evidence, why, _) = failed(Fault::Deaf);
    assert_eq!(
        (evidence, why.as_str()),
        (Evidence::Nothing, "The device did not answer. It was invited 4 times.")
    );
}

#[test]
fn a_device_that_never_connects() {
    let (evidence, why, _) = failed(Fault::NeverConnects);
    assert_eq!(evidence, Evidence::Contact);
    assert!(why.contains("did not connect"), "{why}");
}

#[test]
fn something_else_at_the_port() {
    let (evidence, why, _) = failed(Fault::Babbles);
    assert_eq!(evidence, Evidence::Nothing);
    assert!(why.contains("\\u{1b}[31mBad Request") && !why.contains('\x1b'), "{why}");
}

#[test]
fn a_flood_of_datagrams() {
    let (_, why, _) = failed(Fault::FloodsDatagrams);
    assert!(why.contains("more datagrams"), "{why}");
}

#[test]
fn a_device_that_closes_in_the_middle() {
    let (evidence, why, _) = failed(Fault::ClosesAfter(20_000));
    assert_eq!(evidence, Evidence::Contact);
    assert!(why.contains("before it had the whole image"), "{why}");
}

#[test]
fn a_device_that_stops_in_the_middle() {
    let (evidence, why, report) = failed(Fault::StopsAfter(20_000));
    assert!(evidence < Evidence::Sent && report.received < 900_000);
    assert!(why.contains("stopped") || why.contains("said nothing"), "{why}");
}

#[test]
fn ok_before_the_end() {
    let (evidence, why, report) = failed(Fault::OkAfter(20_000));
    assert_eq!(evidence, Evidence::Contact);
    assert!(why.contains("before it had the whole image") && report.board.starts() == 0, "{why}");
}

#[test]
fn a_device_that_acknowledges_more_than_it_was_sent() {
    let (_, why, _) = failed(Fault::FloodsNumbers);
    assert!(why.contains("acknowledges more bytes"), "{why}");
}

#[test]
fn words_without_an_end() {
    let mut settings = settings();
    settings.flags.fault = Some(Fault::FloodsWords);
    let (end, ..) = push_to(settings, |_| {});
    let (by, code, says) = refusal(&end);
    assert_eq!((by, code), (By::Device, "update-error"));
    assert!(says.chars().count() <= crate::text::MAX_SAID + 1);
}

#[test]
fn a_device_that_never_ends_has_every_byte_and_that_is_all_that_is_known() {
    let (evidence, why) = unknown(Fault::NeverEnds);
    assert_eq!(evidence, ARRIVED);
    assert!(why.contains("then said nothing"), "{why}");
}

#[test]
fn a_connection_that_ends_without_ok_does_not_prove_that_it_was_taken() {
    let (evidence, why) = unknown(Fault::ClosesAtTheEnd);
    assert_eq!(evidence, ARRIVED);
    assert!(why.contains("without saying whether"), "{why}");
}

/// The image is so small that the system takes it all at once. The device reads nothing, and its window closes.
#[test]
fn bytes_that_wait_in_this_computer_are_not_sent() {
    run(async {
        let device = tokio::net::UdpSocket::bind(HERE).await.unwrap();
        let small = Image::new(sample("2.0.0", 40_000).into());
        let mut request = Request { times: fast(), ..Request::new(device.local_addr().unwrap(), small) };
        request.times.result = Duration::from_millis(400);
        let connects = async {
            let mut line = [0; 100];
            let (length, host) = device.recv_from(&mut line).await.unwrap();
            let port =
                std::str::from_utf8(&line[..length]).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(2048).unwrap();
            socket.connect(SocketAddr::new(host.ip(), port)).await.unwrap()
        };
        let mut events = Vec::new();
        let mut tell = |event| events.push(event);
        let (end, _stream) = tokio::join!(push(request, &mut tell), connects);
        assert_eq!(end.evidence(), Evidence::HandedOver, "{end:?}");
        assert!(!events.contains(&Event::Reached { evidence: Evidence::Sent }), "{events:?}");
    });
}

/// A stranger answers the invitation and connects, faster than the device. macOS has no second loop-back address.
#[cfg(not(target_os = "macos"))]
#[test]
fn a_third_address_gets_nothing_and_says_nothing() {
    run(async {
        let device = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let request = Request { times: fast(), ..Request::new(device.local_addr().unwrap(), image()) };
        let stranger = async {
            let mut line = [0; 100];
            let (length, host) = device.recv_from(&mut line).await.unwrap();
            let other = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
            other.send_to(b"ERR: ERROR[4]: Not Enough Space\n", host).await.unwrap();
            let port =
                std::str::from_utf8(&line[..length]).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            let mut stream = socket.connect(SocketAddr::new(host.ip(), port)).await.unwrap();
            let mut got = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut got).await;
            got.len()
        };
        let mut deaf = |_| {};
        let (end, got) = tokio::join!(push(request, &mut deaf), stranger);
        assert_eq!(got, 0);
        assert!(matches!(end, End::Failed { evidence: Evidence::Nothing, .. }), "{end:?}");
    });
}

/// Dropping a push closes its sockets, and the device keeps its firmware.
#[test]
fn a_dropped_push_leaves_the_old_firmware() {
    let mut settings = settings();
    settings.flags.block_takes = Duration::from_millis(20);
    run(async {
        let device = start(settings, HERE.parse().unwrap()).await.unwrap();
        let mut events = Vec::new();
        let mut tell = |event| events.push(event);
        let pushed = push(request(&device, image()), &mut tell);
        assert!(tokio::time::timeout(Duration::from_millis(300), pushed).await.is_err());
        assert!(events.contains(&Event::Reached { evidence: Evidence::Contact }));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let report = device.stop().await;
        assert!(report.board.running() == sample("1.0.0", 50_000), "it runs something else");
    });
}
