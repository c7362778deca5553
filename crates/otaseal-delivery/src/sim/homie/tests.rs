//! Every text and every byte here is quoted from the specification, or computed by hand: not taken from the host's code.

use otaseal::profile::Profile;

use super::brain::{Brain, Next, Said};
use super::wire::{self, Broken, Parser};
use super::*;
use crate::sim::image::Sample;

const MD5: &str = "0123456789abcdef0123456789abcdef";

fn device(profile: &str) -> Device {
    let profile: Profile = profile.parse().unwrap();
    let image = Sample { name: "lamp", version: "1.0.0", bytes: 3000, seed: 1 }.esp8266();
    Device::new("kitchen", Board::new(profile, &image))
}

fn update() -> Vec<u8> {
    Sample { name: "lamp", version: "2.0.0", bytes: 3000, seed: 2 }.esp8266()
}

/// Pushes in chunks of this size, and returns the statuses and what follows.
fn push(device: &mut Device, md5: &str, payload: &[u8], chunk: usize) -> (Vec<String>, Next) {
    let mut brain = Brain::default();
    push_to(&mut brain, device, md5, payload, chunk)
}

fn push_to(
    brain: &mut Brain,
    device: &mut Device,
    md5: &str,
    payload: &[u8],
    chunk: usize,
) -> (Vec<String>, Next) {
    let topic = format!("homie/kitchen/$implementation/ota/firmware/{md5}");
    let mut next = Next::Stays;
    for (index, part) in payload.chunks(chunk).enumerate() {
        next = brain.chunk(device, &topic, part, index * chunk, payload.len());
        if next != Next::Stays {
            break;
        }
    }
    let statuses = brain.said.drain(..).map(|said| {
        assert_eq!(said.topic, "homie/kitchen/$implementation/ota/status");
        assert_eq!((said.qos, said.retained), (0, true));
        String::from_utf8(said.payload).unwrap()
    });
    (statuses.collect(), next)
}

fn without_progress(statuses: Vec<String>) -> Vec<String> {
    statuses.into_iter().filter(|status| !status.starts_with("206 ")).collect()
}

#[test]
fn a_release_reports_every_chunk_and_develop_the_101st() {
    let image = update();
    assert!(image.len() > 301 * 20);
    let mut v3 = device("homie-mqtt@3.1.2/unsigned");
    let (statuses, next) = push(&mut v3, MD5, &image, 20);
    assert_eq!(statuses.len(), image.len().div_ceil(20) + 2);
    assert_eq!(statuses[..2], ["202".to_owned(), format!("206 20/{}", image.len())]);
    assert_eq!((statuses.last().map(String::as_str), next), (Some("200"), Next::Restarts));

    let mut develop = Device { release: Release::Develop, ..device("homie-mqtt@3.1.2/unsigned") };
    let mut brain = Brain::default();
    let (statuses, _) = push_to(&mut brain, &mut develop, MD5, &image, 20);
    assert_eq!(statuses[1], format!("206 {}/{}", 101 * 20, image.len()));
    assert_eq!(statuses[2], format!("206 {}/{}", 201 * 20, image.len()));
    // Large chunks: no 206 at all.
    let (statuses, _) = push(&mut develop, MD5, &image, 1460);
    assert_eq!(statuses, ["202", "200"]);
}

#[test]
fn the_decisions_before_the_first_byte() {
    let image = update();
    let mut off = device("homie-mqtt@3.1.2/unsigned");
    off.config.insert("ota".into(), serde_json::json!({"enabled": false}));
    assert_eq!(push(&mut off, MD5, &image, 1460).0, ["403"]);

    let mut on = device("homie-mqtt@3.1.2/unsigned");
    for wrong in ["", "0123", "0123456789abcdef0123456789abcdeg", "0123456789abcdef0123456789abcdef0"] {
        assert_eq!(push(&mut on, wrong, &image, 1460).0, ["400 BAD_CHECKSUM"], "{wrong}");
    }
    let running = on.board.sketch_md5().to_string();
    assert_eq!(push(&mut on, &running, &image, 1460).0, ["304"]);
    // In upper case it is another MD5.
    assert_eq!(without_progress(push(&mut on, &running.to_uppercase(), &image, 1460).0), ["202", "200"]);
}

#[test]
fn other_first_bytes_are_bad_firmware() {
    let mut device = device("homie-mqtt@3.1.2/unsigned");
    for first in [b"\x1f\x8b\x08".as_slice(), b"UF2\n", b"H4sI", b"6Px=", b"\0"] {
        let mut payload = first.to_vec();
        payload.resize(5000, 0);
        assert_eq!(push(&mut device, MD5, &payload, 1460).0, ["202", "400 BAD_FIRMWARE"], "{first:?}");
    }
}

#[test]
fn too_large_is_not_enough_space() {
    let mut device = device("homie-mqtt@3.1.2/unsigned");
    let large = Sample { name: "lamp", version: "2.0.0", bytes: 1_100_000, seed: 2 }.esp8266();
    assert_eq!(without_progress(push(&mut device, MD5, &large, 1460).0), ["202", "400 NOT_ENOUGH_SPACE"]);
    let huge = vec![0xE9; (4 << 20) + 1];
    assert_eq!(without_progress(push(&mut device, MD5, &huge, 1 << 16).0), ["202", "400 NOT_ENOUGH_SPACE"]);
}

#[test]
fn the_md5_is_void_from_core_3_on() {
    let image = update();
    assert_eq!(
        without_progress(push(&mut device("homie-mqtt@2.7.4/unsigned"), MD5, &image, 1460).0),
        ["202", "400 BAD_CHECKSUM"]
    );
    assert_eq!(
        without_progress(push(&mut device("homie-mqtt@3.0.2/unsigned"), MD5, &image, 1460).0),
        ["202", "200"]
    );
}

#[test]
fn an_unsigned_image_on_a_device_with_a_key_is_internal_error_12() {
    let mut device = device("homie-mqtt@3.1.2");
    assert_eq!(without_progress(push(&mut device, MD5, &update(), 1460).0), ["202", "500 INTERNAL_ERROR 12"]);
}

#[test]
fn base64_breaks_at_chunk_borders_unless_the_bug_is_off() {
    use base64ct::{Base64, Encoding};
    let text = Base64::encode_string(&update());
    let mut device = device("homie-mqtt@3.1.2/unsigned");
    assert_eq!(without_progress(push(&mut device, MD5, text.as_bytes(), 1460).0), ["202", "200"]);
    assert_eq!(
        without_progress(push(&mut device, MD5, text.as_bytes(), 1001).0),
        ["202", "400 BAD_FIRMWARE"]
    );
    device.quirks.base64_phase = false;
    assert_eq!(without_progress(push(&mut device, MD5, text.as_bytes(), 1001).0), ["202", "200"]);
}

#[test]
fn a_configuration_is_cleared_first_and_then_checked() {
    let mut device = device("homie-mqtt@3.1.2/unsigned");
    let topic = "homie/kitchen/$implementation/config/set";
    let mut send = |patch: &str| {
        let mut brain = Brain::default();
        let next = brain.chunk(&mut device, topic, patch.as_bytes(), 0, patch.len());
        let cleared = Said { topic: topic.into(), payload: vec![], qos: 1, retained: true };
        assert_eq!(brain.said, [cleared]);
        next
    };
    assert_eq!(send(r#"{"ota":{"enabled":false},"settings":{"interval":null,"unit":"C"}}"#), Next::Restarts);
    for bad in ["", "[]", "{", r#"{"wifi":null}"#, r#"{"ota":{"enabled":"yes"}}"#, r#"{"name":""}"#] {
        assert_eq!(send(bad), Next::Stays, "{bad}");
    }
    let long = format!(r#"{{"settings":{{"x":"{}"}}}}"#, "y".repeat(900));
    assert_eq!(send(&long), Next::Stays);
    assert!(!device.ota_enabled());
    assert_eq!(device.config["settings"], serde_json::json!({"unit": "C"}));
    let shown = configuration::published(&device.config);
    assert!(!shown.contains("secret") && !shown.contains("mqtt-user"), "{shown}");
}

#[test]
fn homie_1_acts_on_another_version_of_at_most_16_bytes() {
    let mut device =
        Device { release: Release::V1, pulls: Some(update().into()), ..device("esp8266@2.7.4/unsigned") };
    let mut send = |payload: &str| {
        Brain::default().chunk(&mut device, "homie/kitchen/$ota", payload.as_bytes(), 0, payload.len())
    };
    assert_eq!(send("1.0.0"), Next::Stays);
    assert_eq!(send("12345678901234567"), Next::Stays);
    assert_eq!(send("2.0.0"), Next::Restarts);
    assert!(device.board.restart());
    assert_eq!(device.board.tokens().version.unwrap().value.as_str(), "2.0.0");
}

#[test]
fn packets_are_those_of_the_standard() {
    let said = Said { topic: "a/b".into(), payload: b"hello".into(), qos: 0, retained: false };
    assert_eq!(wire::publish(&said, 1), b"\x30\x0a\x00\x03a/bhello");
    let said = Said { qos: 1, retained: true, ..said };
    assert_eq!(wire::publish(&said, 0x0102), b"\x33\x0c\x00\x03a/b\x01\x02hello");
    assert_eq!(wire::subscribe(10, &[("a/b".into(), 1)]), b"\x82\x08\x00\x0a\x00\x03a/b\x01");
    assert_eq!(wire::acknowledge(7), b"\x40\x02\x00\x07");
    let will = Said { topic: "w".into(), payload: b"lost".into(), qos: 1, retained: true };
    assert_eq!(
        wire::connect("id", None, &will),
        b"\x10\x17\x00\x04MQTT\x04\x2e\x00\x0f\x00\x02id\x00\x01w\x00\x04lost"
    );
}

fn parsed(bytes: &[u8], segment: usize) -> Result<Vec<String>, Broken> {
    let mut parser = Parser::default();
    let mut seen = Vec::new();
    for part in bytes.chunks(segment) {
        parser.take(part, &mut |came| seen.push(format!("{came:?}")))?;
    }
    Ok(seen)
}

#[test]
fn payloads_come_in_the_chunks_of_the_segments() {
    let bytes =
        b"\x20\x02\x00\x00\x90\x03\x00\x01\x01\x32\x0a\x00\x03a/b\x00\x07xyz\xd0\x00\x30\x05\x00\x03a/b";
    for segment in [1, 2, 3, 7, 1000] {
        let seen = parsed(bytes, segment).unwrap();
        assert_eq!(seen[0], "Connected { code: 0 }");
        assert_eq!(seen[1], "Subscribed");
        assert!(seen.contains(&"Whole { packet_id: Some(7) }".into()), "{segment}: {seen:?}");
        assert!(seen.contains(&"Pong".into()));
        let chunks = seen.iter().filter(|line| line.starts_with("Chunk")).count();
        assert_eq!(chunks, if segment == 1 { 3 } else { chunks }, "{segment}");
    }
}

#[test]
fn a_topic_of_130_bytes_is_dropped_without_an_acknowledgement() {
    for (length, kept) in [(129, true), (130, false)] {
        let mut bytes = vec![0x32, 0, 0, length as u8];
        bytes.extend(vec![b't'; length]);
        bytes.extend([0, 9, b'x']);
        let remaining = bytes.len() - 2;
        bytes.splice(1..2, [(remaining % 128) as u8 | 0x80, (remaining / 128) as u8]);
        let seen = parsed(&bytes, 50).unwrap();
        assert_eq!(seen.iter().any(|line| line.contains("Whole")), kept, "{length}");
    }
}

#[test]
fn absurd_packets_are_broken() {
    for bytes in [
        b"\x20\xff\xff\xff\xff\x01".as_slice(),
        b"\x20\x01\x00",
        b"\x30\x01\x00",
        b"\x30\x04\xff\xff\x00\x00",
        b"\x30\x05\x00\x03\xff\xff\xff",
        b"\xf0\x00",
        b"\x90\x80\x10",
    ] {
        assert!(parsed(bytes, 1).is_err(), "{bytes:?}");
    }
    // 256 MiB are announced: nothing is kept.
    assert!(parsed(b"\x30\xff\xff\xff\x7f\x00\x01a", 1).is_ok());
}
