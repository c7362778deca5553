//! Pushes to simulated devices.

use std::time::Duration;

use otaseal::format::digest::Md5Digest;
use otaseal::format::image::esp8266::FlashMode;
use otaseal::key::PrivateKey;
use otaseal::package::firmware::Firmware;
use otaseal::package::{ArtefactKind, Options, make};
use otaseal_delivery::evidence::{By, End, Event, Evidence};
use otaseal_delivery::homie::checksum::{Core, Verifies};
use otaseal_delivery::homie::{Job, Pushes, push_many, topic_md5};
use otaseal_delivery::release::{Release, Trust};
use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::homie::{self as sim, Device, Gone};
use otaseal_delivery::sim::image::Sample;

use crate::broker::Broker;
use crate::rig::{LIMIT, device, image, image_of, plain, pushed, request, run, running, says, waits};

const UNSIGNED: &str = "homie-mqtt@3.1.2/unsigned";

#[tokio::test]
async fn a_plain_image_runs_on_every_release() {
    let Some(broker) = Broker::start() else { return };
    for (id, release) in
        [("two", sim::Release::V2), ("three", sim::Release::V3), ("develop", sim::Release::Develop)]
    {
        let mut device = device(id, UNSIGNED);
        device.release = release;
        let task = run(device, &broker);
        let (end, events) = pushed(request(&broker, id, image(300_000))).await;
        assert_eq!(end, running(), "{id}: {events:?}");
        assert_eq!(says(&events), ["202", "200"], "{id}");
        let progress = events.iter().filter(|event| matches!(event, Event::Progress { .. })).count();
        assert!(progress > 0, "{id}");
        // The second time nothing is sent.
        let (end, events) = pushed(request(&broker, id, image(300_000))).await;
        assert_eq!((end, says(&events).len()), (End::AlreadyRunning, 0), "{id}");
        task.abort();
    }
}

#[tokio::test]
async fn a_push_waits_for_a_device_that_connects_later() {
    let Some(broker) = Broker::start() else { return };
    let mut tasks = Vec::new();
    let device = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        tasks.push(run(device("late", UNSIGNED), &broker));
    };
    let ((end, _), ()) = tokio::join!(pushed(request(&broker, "late", image(50_000))), device);
    assert_eq!(end, running());
    tasks.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn a_device_that_is_lost_in_mid_push_gets_the_image_again() {
    let Some(broker) = Broker::start() else { return };
    let mut flapping = device("flapping", UNSIGNED);
    flapping.quirks.cuts = 2;
    let task = run(flapping, &broker);
    let (end, events) = pushed(request(&broker, "flapping", image(100_000))).await;
    assert_eq!(end, running(), "{events:?}");
    let retries = events.iter().filter(|event| matches!(event, Event::Retries { .. })).count();
    assert_eq!(retries, 2, "{events:?}");
    task.abort();
}

#[tokio::test]
async fn a_device_that_flaps_for_ever_is_given_up() {
    let Some(broker) = Broker::start() else { return };
    let mut flapping = device("flapping", UNSIGNED);
    flapping.quirks.cuts = 1000;
    let task = run(flapping, &broker);
    let (end, _) = pushed(request(&broker, "flapping", image(30_000))).await;
    assert!(matches!(&end, End::Failed { why, .. } if why.contains("each of 5 attempts")), "{end:?}");
    task.abort();
}

/// Pushes while the broker restarts after so long.
async fn through_a_restart(device: Device, after: Duration) -> Vec<Event> {
    let Some(mut broker) = Broker::start() else { return Vec::new() };
    let id = device.id.clone();
    let task = run(device, &broker);
    let mut request = request(&broker, &id, image(400_000));
    request.waits.ready = Duration::from_secs(20);
    let restart = async {
        tokio::time::sleep(after).await;
        broker.restart();
    };
    let ((end, events), ()) = tokio::join!(pushed(request), restart);
    assert_eq!(end, running(), "{events:?}");
    task.abort();
    events
}

#[tokio::test]
async fn a_broker_restart_in_mid_push_sends_the_image_again() {
    let mut slow = device("slow", UNSIGNED);
    // 277 segments: more than four seconds.
    slow.quirks.segment_pause = Duration::from_millis(15);
    let events = through_a_restart(slow, Duration::from_millis(2500)).await;
    if !events.is_empty() {
        let again = says(&events).iter().filter(|text| **text == "202").count();
        assert_eq!(again, 2, "{events:?}");
    }
}

#[tokio::test]
async fn a_broker_restart_before_the_devices_restart_sends_nothing_again() {
    let mut busy = device("busy", UNSIGNED);
    busy.quirks.busy = Duration::from_secs(2);
    let events = through_a_restart(busy, Duration::from_millis(2300)).await;
    if !events.is_empty() {
        assert_eq!(says(&events), ["202", "200"]);
    }
}

#[tokio::test]
async fn a_power_cut_after_the_200_is_no_success() {
    let Some(broker) = Broker::start() else { return };
    let mut cut = device("cut", UNSIGNED);
    cut.quirks.power_cuts = 1;
    let task = run(cut, &broker);
    let mut request = request(&broker, "cut", image(30_000));
    request.waits.restart = Duration::from_secs(4);
    let (end, _) = pushed(request).await;
    assert!(
        matches!(&end, End::Failed { evidence: Evidence::Taken, why, .. } if why.contains("version 1.0.0")),
        "{end:?}"
    );
    task.abort();
}

#[tokio::test]
async fn a_busy_sketch_restarts_later() {
    let Some(broker) = Broker::start() else { return };
    let mut busy = device("busy", UNSIGNED);
    busy.quirks.busy = Duration::from_secs(60);
    let task = run(busy, &broker);
    let mut request = request(&broker, "busy", image(30_000));
    request.waits.restart = Duration::from_secs(2);
    let (end, _) = pushed(request).await;
    assert!(
        matches!(&end, End::Reached { evidence: Evidence::Taken, more } if more.contains("idle")),
        "{end:?}"
    );
    task.abort();
}

#[tokio::test]
async fn switched_off_updates_are_refused_before_a_byte_is_sent() {
    let Some(broker) = Broker::start() else { return };
    let mut off = device("off", UNSIGNED);
    off.config.insert("ota".into(), serde_json::json!({"enabled": false}));
    let task = run(off, &broker);
    let (end, events) = pushed(request(&broker, "off", image(30_000))).await;
    assert!(matches!(&end, End::Refused { by: By::Us, code, .. } if code == "ota-disabled"), "{end:?}");
    assert!(says(&events).is_empty());
    task.abort();
}

#[tokio::test]
async fn what_the_device_refuses_is_said_in_its_words() {
    let Some(broker) = Broker::start() else { return };
    for (id, profile, file, md5, expected) in [
        ("verifies", "homie-mqtt@3.1.2", plain("2.0.0", 30_000), None, "500 INTERNAL_ERROR 12"),
        ("large", UNSIGNED, plain("2.0.0", 1_100_000), None, "400 NOT_ENOUGH_SPACE"),
        (
            "old",
            "homie-mqtt@2.7.4/unsigned",
            plain("2.0.0", 30_000),
            Some(Md5Digest([7; 16])),
            "400 BAD_CHECKSUM",
        ),
        ("other", UNSIGNED, [&[0xE9, 1, 2, 0x90][..], &vec![0; 30_000]].concat(), None, "400 BAD_FIRMWARE"),
    ] {
        let task = run(device(id, profile), &broker);
        let image = image_of(file.clone(), &file, md5);
        let (end, _) = pushed(request(&broker, id, image)).await;
        match end {
            End::Refused { by: By::Device, says, why, .. } => {
                assert!(says == expected && !why.is_empty(), "{id}: {says}")
            }
            other => panic!("{id}: {other:?}"),
        }
        task.abort();
    }
}

#[tokio::test]
async fn a_gzip_is_refused_before_a_byte_is_sent() {
    let Some(broker) = Broker::start() else { return };
    let image = image_of(b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), b"", None);
    let (end, _) = pushed(request(&broker, "kitchen", image)).await;
    assert!(
        matches!(&end, End::Refused { by: By::Us, code, .. } if code == "homie-takes-plain-images"),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_left_over_updater_is_tried_once_more() {
    let Some(broker) = Broker::start() else { return };
    let mut left = device("left", UNSIGNED);
    left.quirks.left_running = Some("500 INTERNAL_ERROR 15");
    let task = run(left, &broker);
    let (end, events) = pushed(request(&broker, "left", image(30_000))).await;
    assert_eq!(end, running(), "{events:?}");
    assert_eq!(says(&events), ["202", "500 INTERNAL_ERROR 15", "202", "200"]);
    task.abort();
}

#[tokio::test]
async fn a_device_that_only_the_broker_remembers_is_said_so() {
    let Some(broker) = Broker::start() else { return };
    let (session, _) = crate::connection::session(broker.options()).await;
    for (tail, payload) in
        [("$state", "ready"), ("$implementation/ota/enabled", "true"), ("$implementation/ota/status", "200")]
    {
        crate::connection::keep(&session, &format!("homie/ghost/{tail}"), payload);
    }
    let (end, events) = pushed(request(&broker, "ghost", image(30_000))).await;
    assert!(matches!(&end, End::Failed { why, .. } if why.contains("only the broker's memory")), "{end:?}");
    assert!(says(&events).is_empty(), "the retained 200 is an earlier one");
}

#[tokio::test]
async fn a_bricked_device_is_never_a_success() {
    let Some(broker) = Broker::start() else { return };
    // The updater looks at the header alone. The boot loader copies what does not start.
    let mut file = plain("2.0.0", 30_000);
    file.truncate(file.len() - 8000);
    let task = run(device("brick", UNSIGNED), &broker);
    let mut request = request(&broker, "brick", image_of(file, &plain("2.0.0", 30_000), None));
    request.waits.restart = Duration::from_secs(3);
    let (end, _) = pushed(request).await;
    assert!(
        matches!(&end, End::Reached { evidence: Evidence::Taken, more } if more.contains("not come back")),
        "{end:?}"
    );
    assert_eq!(tokio::time::timeout(LIMIT, task).await.unwrap().unwrap(), Gone::Bricked);
}

#[tokio::test]
async fn many_devices_are_updated_over_one_connection() {
    let Some(broker) = Broker::start() else { return };
    let ids: Vec<String> = (0..40).map(|number| format!("lamp-{number}")).collect();
    let tasks: Vec<_> = ids.iter().map(|id| run(device(id, UNSIGNED), &broker)).collect();
    let image = image(100_000);
    let mut jobs: Vec<Job> =
        ids.iter().map(|id| Job { device: id.parse().unwrap(), image: image.clone() }).collect();
    jobs.push(Job { device: "nobody".parse().unwrap(), image: image.clone() });
    jobs.push(jobs[0].clone());
    let pushes = Pushes {
        broker: broker.options(),
        base: "homie/".parse().unwrap(),
        jobs,
        waits: waits(),
        until: Evidence::Running,
        at_once: 4,
    };
    let mut most = 0;
    let mut under_way = std::collections::HashSet::new();
    let ends = push_many(pushes, &mut |id, event| {
        match event {
            Event::Says { text } if text == "202" => _ = under_way.insert(id.clone()),
            Event::Says { text } if text == "200" => _ = under_way.remove(id),
            _ => {}
        }
        most = most.max(under_way.len());
    })
    .await;
    for (id, end) in &ends[..40] {
        assert_eq!(end, &running(), "{id}");
    }
    assert!(
        matches!(&ends[40].1, End::Failed { why, .. } if why.contains("no such device")),
        "{:?}",
        ends[40]
    );
    assert!(matches!(&ends[41].1, End::Refused { code, .. } if code == "device-twice"));
    assert!((1..=4).contains(&most), "{most}");
    tasks.iter().for_each(|task| task.abort());
}

/// A package with this image signed, as the device's owner has it.
fn signed(image: &[u8], key: &PrivateKey) -> Vec<u8> {
    let firmware = Firmware::from_bytes("lamp.bin", image.to_vec(), 0).unwrap();
    let mut options = Options::new("lamp.bin", "unused");
    options.artefacts = vec![ArtefactKind::Signed];
    let release = Release::of_package(
        &make(firmware, &options, key).unwrap().package,
        &Trust::Keys(vec![key.public().clone()]),
    );
    release.unwrap().artefacts[0].contents.load().unwrap().to_vec()
}

#[tokio::test]
async fn a_signed_image_is_running_and_the_second_push_is_a_304() {
    let Some(broker) = Broker::start() else { return };
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../../keys.example/private.pem");
    let key = PrivateKey::from_bytes(&std::fs::read(key).unwrap()).unwrap();
    let sample =
        |version| Sample { name: "lamp", version, bytes: 50_000, seed: 5 }.esp8266_with_key(key.public());
    let mut board = Board::new("homie-mqtt@3.1.2".parse().unwrap(), &sample("1.0.0"));
    board.key = Some(key.public().clone());
    let mut verifies = Device::new("verifies", board);
    // So that only the device's 304 can tell the second time.
    verifies.quirks.no_checksum = true;
    verifies.quirks.stats_secs = 1;
    let task = run(verifies, &broker);
    let plain = sample("2.0.0");
    let file = signed(&plain, &key);
    let running_md5 = Md5Digest::of(&plain);
    let md5 = topic_md5(Md5Digest::of(&file), running_md5, Verifies::Yes, Core::Unknown);
    assert_eq!(md5, running_md5);
    let image = image_of(file, &plain, Some(md5));
    let (end, events) = pushed(request(&broker, "verifies", image.clone())).await;
    assert_eq!(end, running(), "{events:?}");
    let (end, events) = pushed(request(&broker, "verifies", image)).await;
    assert_eq!((end, says(&events)), (End::AlreadyRunning, vec!["304"]));
    task.abort();
}

#[tokio::test]
async fn a_device_in_another_flash_mode_is_proven_too() {
    let Some(broker) = Broker::start() else { return };
    let mut dout = device("dout", UNSIGNED);
    dout.board.flash_mode = FlashMode::Dout;
    let task = run(dout, &broker);
    let mut image = image(30_000);
    image.version = None;
    let (end, events) = pushed(request(&broker, "dout", image.clone())).await;
    assert_eq!(end, running(), "{events:?}");
    assert_eq!(pushed(request(&broker, "dout", image)).await.0, End::AlreadyRunning);
    task.abort();
}
