//! Pushes to simulated devices over the loop-back network.

use std::time::Instant;

use super::*;
use crate::evidence::{By, End, Event, Evidence};
use crate::sim::board::Board;
use crate::sim::espota::{Core, Fault, Flags, Kept, Report, Settings, start};
use crate::sim::image::Sample;
use crate::sim::running::Running;
use otaseal::profile::fit::FileSystemArea;

mod hostile;
mod many;
mod speed;

const HERE: &str = "127.0.0.1:0";

fn sample(version: &str, bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes, seed: 5 }.esp8266()
}

fn image() -> Image {
    Image::new(sample("2.0.0", 100_000).into())
}

fn settings() -> Settings {
    let mut settings =
        Settings::new(Board::new("esp8266@3.1.2/unsigned".parse().unwrap(), &sample("1.0.0", 50_000)));
    settings.flags.ok_after = Duration::from_millis(30);
    settings
}

fn fast() -> Times {
    Times {
        first_silence: Duration::from_millis(100),
        longest_silence: Duration::from_millis(300),
        invitations: 4,
        connect: Duration::from_millis(500),
        stall: Duration::from_millis(700),
        result: Duration::from_millis(2000),
        slowest: SLOWEST,
    }
}

fn request(device: &Running<Report>, image: Image) -> Request {
    Request { times: fast(), ..Request::new(device.address(), image) }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("it hangs") })
}

/// Pushes to one device. Returns the end, the events, and what the device did.
fn push_to(settings: Settings, change: impl FnOnce(&mut Request)) -> (End, Vec<Event>, Report) {
    run(async {
        let device = start(settings, HERE.parse().unwrap()).await.unwrap();
        let mut request = request(&device, image());
        change(&mut request);
        let mut events = Vec::new();
        let end = push(request, &mut |event| events.push(event)).await;
        // The device says OK, and then restarts.
        tokio::time::sleep(Duration::from_millis(50)).await;
        (end, events, device.stop().await)
    })
}

fn assert_taken(end: &End) {
    assert!(matches!(end, End::Reached { evidence: Evidence::Taken, more } if !more.is_empty()), "{end:?}");
}

fn refusal(end: &End) -> (By, &str, &str) {
    match end {
        End::Refused { by, code, says, why } => {
            assert!(!why.is_empty());
            (*by, code, says)
        }
        other => panic!("no refusal: {other:?}"),
    }
}

#[test]
fn the_invitation_is_that_of_the_tools() {
    let mut request = Request::new("192.168.1.50:8266".parse().unwrap(), Image::new(vec![1; 100].into()));
    let md5 = Md5Digest::of(&[1; 100]);
    assert_eq!(request.invitation(40123), format!("0 40123 100 {md5}\n"));
    request.content = Content::Filesystem;
    assert_eq!(request.invitation(1), format!("100 1 100 {md5}\n"));
}

#[test]
fn a_device_takes_an_image_and_runs_it() {
    let (end, events, report) = push_to(settings(), |_| {});
    assert_taken(&end);
    assert!(report.board.running() == sample("2.0.0", 100_000), "it runs something else");
    assert_eq!(report.board.starts(), 1);
    let of = image().bytes().len() as u64;
    assert!(events.contains(&Event::Progress { sent: of, of }));
    let reached: Vec<Evidence> = events
        .iter()
        .filter_map(|event| if let Event::Reached { evidence } = event { Some(*evidence) } else { None })
        .collect();
    assert_eq!(reached, [Evidence::Contact, Evidence::HandedOver, Evidence::Sent, Evidence::Taken]);
    assert!(events.iter().filter(|event| matches!(event, Event::Progress { .. })).count() <= 102);
}

#[test]
fn the_ok_of_a_real_esp8266_comes_a_second_after_the_last_number() {
    let mut settings = settings();
    settings.flags = Flags::of(Core::Esp8266);
    let began = Instant::now();
    let (end, ..) = push_to(settings, |_| {});
    assert_taken(&end);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_password_is_proven_by_md5_and_by_sha256() {
    for (sha256, schemes) in [
        (None, vec!["MD5"]),
        (Some(Kept::Sha256), vec!["SHA-256"]),
        // The first try is wrong, so the whole invitation comes again.
        (Some(Kept::Md5), vec!["SHA-256", "SHA-256"]),
    ] {
        let mut settings = settings();
        settings.password = Some("geheim".into());
        settings.flags.sha256 = sha256;
        let (end, events, report) = push_to(settings, |request| {
            request.password = Some(Password::new("geheim".into()));
        });
        assert_taken(&end);
        let asked: Vec<&str> = events
            .iter()
            .filter_map(
                |event| if let Event::Authenticates { scheme } = event { Some(*scheme) } else { None },
            )
            .collect();
        assert_eq!(asked, schemes);
        assert_eq!(report.wrong_passwords as usize, schemes.len() - 1);
        assert!(!format!("{events:?}").contains("geheim"));
    }
}

#[test]
fn a_wrong_password_is_refused() {
    for sha256 in [None, Some(Kept::Sha256)] {
        let mut settings = settings();
        settings.password = Some("right".into());
        settings.flags.sha256 = sha256;
        let (end, _, report) = push_to(settings, |request| {
            request.password = Some(Password::new("wrong".into()));
        });
        assert_eq!(refusal(&end), (By::Device, "authentication-failed", "Authentication Failed"));
        assert_eq!(report.received, 0);
    }
}

#[test]
fn a_missing_password_is_refused_and_the_next_push_is_not_swallowed() {
    let mut settings = settings();
    settings.password = Some("right".into());
    run(async {
        let device = start(settings, HERE.parse().unwrap()).await.unwrap();
        let end = push(request(&device, image()), &mut |_| {}).await;
        assert_eq!(refusal(&end).1, "needs-password");
        let mut again = request(&device, image());
        again.password = Some(Password::new("right".into()));
        again.times.invitations = 1;
        assert_taken(&push(again, &mut |_| {}).await);
    });
}

/// A host that went away left the device in WAITAUTH, where it swallows the first invitation.
#[test]
fn a_device_in_waitauth_is_invited_again() {
    let mut settings = settings();
    settings.password = Some("right".into());
    run(async {
        let device = start(settings, HERE.parse().unwrap()).await.unwrap();
        let gone = tokio::net::UdpSocket::bind(HERE).await.unwrap();
        gone.send_to(format!("0 9 9 {}\n", "0".repeat(32)).as_bytes(), device.address()).await.unwrap();
        gone.recv(&mut [0; 100]).await.unwrap();
        let mut request = request(&device, image());
        request.password = Some(Password::new("right".into()));
        let mut events = Vec::new();
        assert_taken(&push(request, &mut |event| events.push(event)).await);
        assert!(events.iter().any(|event| matches!(event, Event::Retries { .. })));
    });
}

#[test]
fn lost_datagrams_are_sent_again() {
    let mut settings = settings();
    settings.flags.fault = Some(Fault::LosesDatagrams(2));
    let (end, events, _) = push_to(settings, |_| {});
    assert_taken(&end);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Retries { .. })).count(), 2);
}

#[test]
fn a_device_whose_ok_was_lost_may_connect() {
    let mut settings = settings();
    settings.flags.fault = Some(Fault::OkIsLost);
    assert_taken(&push_to(settings, |_| {}).0);
}

#[test]
fn too_little_space_is_refused_before_a_byte_is_sent() {
    let (end, _, report) = push_to(settings(), |request| {
        request.image = Image::new(sample("2.0.0", 1_000_000).into());
    });
    assert_eq!(refusal(&end), (By::Device, "4", "ERR: ERROR[4]: Not Enough Space"));
    assert_eq!(report.received, 0);
}

/// As firmware, these bytes would be error 10.
#[test]
fn a_filesystem_goes_to_the_filesystem() {
    let mut settings = settings();
    settings.board.filesystem = Some(FileSystemArea::new(0x10_0000));
    let (end, _, report) = push_to(settings, |request| {
        request.image = Image::new(vec![0xA5; 0x10000].into());
        request.content = Content::Filesystem;
    });
    assert_taken(&end);
    assert!(report.board.running() == sample("1.0.0", 50_000), "it runs something else");
}

#[test]
fn the_error_at_the_end_is_a_refusal_with_our_explanation() {
    let (end, _, report) = push_to(settings(), |request| {
        request.image = Image::new(vec![1; 20_000].into());
    });
    assert_eq!(refusal(&end), (By::Device, "10", "ERROR[10]: Magic byte is not 0xE9"));
    assert_eq!(report.received, 20_000);
    assert_eq!(report.board.starts(), 0);
}

#[test]
fn an_unsigned_image_on_a_device_that_verifies_is_error_12() {
    let mut settings = settings();
    settings.board.profile = "esp8266@3.1.2".parse().unwrap();
    let (end, ..) = push_to(settings, |_| {});
    assert_eq!(refusal(&end), (By::Device, "12", "ERROR[12]: Signature verification failed"));
}

/// The size is announced, so only a changed byte on the way makes another MD5. Here the announced one is wrong.
#[test]
fn a_wrong_md5_is_error_7() {
    let (end, ..) = push_to(settings(), |request| {
        request.image.md5 = Md5Digest::of(b"something else");
    });
    let (by, code, says) = refusal(&end);
    assert_eq!((by, code), (By::Device, "7"));
    assert!(says.starts_with("ERROR[7]: MD5 verification failed: expected: "));
}

/// An ESP32: OK at once and before its updater begins, joined to the last number.
#[test]
fn an_esp32_takes_an_image() {
    let mut settings = settings();
    settings.core = Core::Esp32;
    settings.flags = Flags::of(Core::Esp32);
    assert_taken(&push_to(settings, |_| {}).0);
}

#[test]
fn an_esp32_without_room_says_ok_and_never_connects() {
    let mut settings = settings();
    settings.flags = Flags::of(Core::Esp32);
    let (end, ..) = push_to(settings, |request| {
        request.image = Image::new(sample("2.0.0", 1_000_000).into());
    });
    let End::Failed { evidence: Evidence::Contact, advice, .. } = &end else { panic!("{end:?}") };
    assert!(advice.contains("ESP32"), "{advice}");
}

#[test]
fn an_empty_image_is_refused_by_us() {
    let (end, ..) = push_to(settings(), |request| request.image = Image::new(Bytes::new()));
    assert_eq!(refusal(&end), (By::Us, "empty", ""));
}

#[test]
fn nobody_at_the_port_is_said_so() {
    let (end, ..) = push_to(settings(), |request| {
        // The port was free a moment ago.
        let free = std::net::UdpSocket::bind(HERE).unwrap();
        request.device = free.local_addr().unwrap();
    });
    let End::Failed { evidence: Evidence::Nothing, why, advice } = &end else { panic!("{end:?}") };
    assert!(why.contains("Nobody listens") && advice.contains("3232"), "{why} {advice}");
}

#[test]
fn the_device_comes_to_the_first_free_port_of_the_range() {
    run(async {
        let taken = std::net::TcpListener::bind(HERE).unwrap();
        let port = taken.local_addr().unwrap().port();
        let device = start(settings(), HERE.parse().unwrap()).await.unwrap();
        let mut wanted = request(&device, image());
        wanted.local.ports = Some(port..=port);
        let end = push(wanted.clone(), &mut |_| {}).await;
        assert!(matches!(&end, End::Failed { why, .. } if why.contains(&port.to_string())), "{end:?}");
        wanted.local.ports = Some(port..=port.saturating_add(50));
        wanted.local.address = Some("127.0.0.1".parse().unwrap());
        assert_taken(&push(wanted, &mut |_| {}).await);
    });
}
