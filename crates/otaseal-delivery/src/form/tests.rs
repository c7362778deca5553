//! Pushes to simulated devices over the loop-back network.

use super::*;
use crate::evidence::{By, End, Event, Evidence};
use crate::sim::board::Board;
use crate::sim::form::{Fault, Report, Settings, start};
use crate::sim::image::Sample;

fn sample(version: &str, bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes, seed: 5 }.esp8266()
}

fn settings_of(profile: &str) -> Settings {
    Settings::new(Board::new(profile.parse().unwrap(), &sample("1.0.0", 50_000)))
}

fn settings() -> Settings {
    settings_of("esp8266@3.1.2/unsigned")
}

/// Pushes to one device. `place` is what stands before the host in the address, and what stands after it.
fn push_to(
    settings: Settings,
    place: (&str, &str),
    change: impl FnOnce(&mut Request),
) -> (End, Vec<Event>, Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        let device = start(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = device.address();
        let url = Url::parse(&format!("http://{}{address}{}", place.0, place.1)).unwrap();
        let mut request = Request::new(url, address, sample("2.0.0", 100_000).into());
        request.times = Times {
            connect: Duration::from_millis(500),
            stall: Duration::from_millis(700),
            answer: Duration::from_millis(1500),
            slowest: SLOWEST,
        };
        change(&mut request);
        let mut events = Vec::new();
        let end = push(request, &mut |event| events.push(event)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        (end, events, device.stop().await)
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("it hangs") })
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

fn failure(fault: Fault) -> (Evidence, String, Report) {
    let mut settings = settings();
    settings.fault = Some(fault);
    let (end, _, report) = push_to(settings, ("", ""), |request| {
        request.image = sample("2.0.0", 900_000).into();
    });
    match end {
        End::Failed { evidence, why, .. } => (evidence, why, report),
        other => panic!("{fault:?}: {other:?}"),
    }
}

#[test]
fn a_device_takes_an_image_and_runs_it() {
    let (end, events, report) = push_to(settings(), ("", ""), |_| {});
    assert_taken(&end);
    assert!(report.board.running() == sample("2.0.0", 100_000), "it runs something else");
    let of = sample("2.0.0", 100_000).len() as u64;
    assert!(events.contains(&Event::Progress { sent: of, of }));
    let reached: Vec<Evidence> = events
        .iter()
        .filter_map(|event| if let Event::Reached { evidence } = event { Some(*evidence) } else { None })
        .collect();
    assert_eq!(reached, [Evidence::Contact, Evidence::HandedOver, Evidence::Sent, Evidence::Taken]);
}

#[test]
fn the_password_goes_with_the_request() {
    let mut settings = settings();
    settings.login = Some(("admin".into(), "se:cret".into()));
    let (end, events, _) = push_to(settings, ("admin:se%3Acret@", "/update"), |_| {});
    assert_taken(&end);
    assert!(!format!("{events:?}").contains("se:cret"));
}

#[test]
fn a_wrong_or_missing_password_is_401() {
    for login in ["", "admin:wrong@"] {
        let mut settings = settings();
        settings.login = Some(("admin".into(), "secret".into()));
        let (end, _, report) = push_to(settings, (login, ""), |_| {});
        assert_eq!(refusal(&end), (By::Device, "401", "Unauthorized"));
        assert_eq!(report.board.starts(), 0);
    }
}

#[test]
fn another_path_is_404() {
    let (end, _, report) = push_to(settings(), ("", "/firmware"), |_| {});
    assert_eq!(refusal(&end).1, "404");
    assert_eq!(report.board.starts(), 0);
}

#[test]
fn an_image_that_is_none_is_an_update_error() {
    let (end, ..) = push_to(settings(), ("", ""), |request| request.image = vec![1; 20_000].into());
    let expected = (By::Device, "10", "Update error: ERROR[10]: Magic byte is not 0xE9");
    assert_eq!(refusal(&end), expected);
}

#[test]
fn a_short_image_is_error_13() {
    let (end, ..) = push_to(settings(), ("", ""), |request| request.image = vec![0xE9; 1000].into());
    assert_eq!(refusal(&end).1, "13");
}

#[test]
fn an_unsigned_image_on_a_device_that_verifies_is_error_12() {
    let (end, ..) = push_to(settings_of("esp8266@3.1.2"), ("", ""), |_| {});
    assert_eq!(refusal(&end).1, "12");
}

#[test]
fn an_image_without_room_is_error_4() {
    let (end, ..) =
        push_to(settings(), ("", ""), |request| request.image = sample("2.0.0", 1_000_000).into());
    assert_eq!(refusal(&end).1, "4");
}

/// As firmware, these bytes would be error 10.
#[test]
fn a_filesystem_goes_to_its_own_field() {
    let mut settings = settings();
    settings.board.filesystem = Some(otaseal::profile::fit::FileSystemArea::new(0x10_0000));
    let (end, _, report) = push_to(settings, ("", ""), |request| {
        request.image = vec![0xA5; 0x10000].into();
        request.content = Content::Filesystem;
    });
    assert_taken(&end);
    assert!(report.board.running() == sample("1.0.0", 50_000), "it runs something else");
}

#[test]
fn tasmota_takes_an_image() {
    let mut settings = settings_of("tasmota-esp8266");
    settings.login = Some(("admin".into(), "secret".into()));
    let (end, ..) = push_to(settings, ("admin:secret@", "/u2"), |_| {});
    assert_taken(&end);
}

/// Somebody left its page for settings open.
#[test]
fn tasmota_is_told_that_firmware_comes() {
    let mut settings = settings_of("tasmota-esp8266");
    settings.waits_for_settings = true;
    let (end, _, report) = push_to(settings, ("", "/u2"), |_| {});
    assert_taken(&end);
    assert_eq!(report.requests, 2);
}

#[test]
fn tasmota_refuses_in_its_own_words() {
    let (end, ..) = push_to(settings_of("tasmota-esp8266"), ("", "/u2"), |request| {
        request.image = vec![1; 20_000].into();
    });
    assert_eq!(refusal(&end), (By::Device, "3", "Magic byte is not 0xE9"));
    let (end, ..) = push_to(settings_of("tasmota-esp8266"), ("", "/u2"), |request| {
        request.image = sample("2.0.0", 1_000_000).into();
    });
    assert_eq!(refusal(&end).1, "2");
}

#[test]
fn tasmota_with_a_wrong_password_is_401_before_a_byte_is_sent() {
    let mut settings = settings_of("tasmota-esp8266");
    settings.login = Some(("admin".into(), "secret".into()));
    let (end, _, report) = push_to(settings, ("admin:wrong@", "/u2"), |_| {});
    assert_eq!(refusal(&end).1, "401");
    assert_eq!(report.received, 0);
}

#[test]
fn tasmota_takes_no_filesystem() {
    let (end, _, report) = push_to(settings_of("tasmota-esp8266"), ("", "/u2"), |request| {
        request.content = Content::Filesystem;
    });
    assert_eq!(refusal(&end), (By::Us, "no-form", ""));
    assert_eq!(report.requests, 0);
}

#[test]
fn every_error_of_tasmota_is_explained() {
    for (text, code) in [
        ("No file selected", "1"),
        ("Not enough space", "2"),
        ("Magic byte is not 0xE9", "3"),
        ("Invalid file signature", "3"),
        ("Program flash size is larger than real flash size", "4"),
        ("Upload buffer miscompare", "5"),
        ("Upload failed. Enable logging 3", "6"),
        ("Upload aborted", "7"),
        ("File invalid", "8"),
        ("File too large", "9"),
        ("Zu wenig Platz", "upload-failed"),
    ] {
        assert_eq!(refusal(&ends::refused(Form::Tasmota, text.as_bytes())), (By::Device, code, text));
    }
}

#[test]
fn empty_and_odd_images_are_refused_by_us() {
    let (end, ..) = push_to(settings(), ("", ""), |request| request.image = Bytes::new());
    assert_eq!(refusal(&end), (By::Us, "empty", ""));
    let (end, ..) =
        push_to(settings(), ("", ""), |request| request.image = Bytes::from_static(b"\xE9xx\r\n--x"));
    assert_eq!(refusal(&end), (By::Us, "ends-like-a-form", ""));
}

#[test]
fn a_reset_in_the_middle_is_a_failure() {
    let (evidence, why, _) = failure(Fault::ResetsAfter(20_000));
    assert_eq!(evidence, Evidence::Contact);
    assert!(why.contains("before the device had the whole image"), "{why}");
}

/// A push whose bytes all arrived, and nobody says what became of them.
fn unknown(fault: Fault) -> (Evidence, String) {
    let mut settings = settings();
    settings.fault = Some(fault);
    match push_to(settings, ("", ""), |_| {}).0 {
        End::Reached { evidence, more } => (evidence, more),
        End::Failed { evidence, why, .. } => (evidence, why),
        other @ (End::AlreadyRunning | End::Refused { .. }) => panic!("{fault:?}: {other:?}"),
    }
}

/// The device may have taken it: nobody can know. Not even what arrived is known, if the reset comes at once.
#[test]
fn a_reset_after_the_last_byte_is_unknown() {
    let (evidence, why) = unknown(Fault::ResetsAtTheEnd);
    assert!([Evidence::HandedOver, Evidence::Sent].contains(&evidence), "{evidence:?}");
    assert!(why.contains("without an answer"), "{why}");
}

/// Linux tells that every byte arrived.
#[test]
fn a_device_that_never_answers() {
    let (evidence, why) = unknown(Fault::NeverAnswers);
    let arrived = if cfg!(target_os = "linux") { Evidence::Sent } else { Evidence::HandedOver };
    assert_eq!(evidence, arrived);
    assert!(why.contains("did not answer"), "{why}");
}

#[test]
fn a_device_that_stops_to_take_bytes() {
    let (evidence, why, _) = failure(Fault::StopsAfter(20_000));
    assert!(evidence < Evidence::Sent);
    assert!(why.contains("stopped") || why.contains("did not answer"), "{why}");
}

#[test]
fn an_answer_without_end() {
    let (evidence, why, _) = failure(Fault::FloodsAnswer);
    assert_eq!(evidence, Evidence::HandedOver);
    assert!(why.contains("neither success nor failure"), "{why}");
}

#[test]
fn an_answer_that_is_no_http_is_not_shown() {
    let (_, why, _) = failure(Fault::Babbles);
    assert!(!why.contains('\x1b'), "{why}");
}

#[test]
fn success_before_the_end_is_not_believed() {
    let (evidence, why, report) = failure(Fault::EarlySuccess);
    assert_eq!(evidence, Evidence::Contact);
    assert!(why.contains("before it had the whole image") && report.board.starts() == 0, "{why}");
}

#[test]
fn nobody_at_the_port() {
    let (end, ..) = push_to(settings(), ("", ""), |request| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        request.address = free.local_addr().unwrap();
    });
    assert!(matches!(end, End::Failed { evidence: Evidence::Nothing, .. }), "{end:?}");
}
