//! Configuration, reset, forgetting, discovery, and the trigger of Homie 1.

use std::time::Duration;

use otaseal::format::digest::Md5Digest;
use otaseal_delivery::evidence::{By, End, Evidence};
use otaseal_delivery::homie::config::Patch;
use otaseal_delivery::homie::configure::{self, CommandError, Place};
use otaseal_delivery::homie::discover::{self, Kind};
use otaseal_delivery::homie::v1::{Form, Trigger, trigger};
use otaseal_delivery::sim::homie::{Gone, Release};

use crate::broker::Broker;
use crate::connection::{keep, session};
use crate::rig::{LIMIT, device, image, plain, pushed, request, run, waits};

const UNSIGNED: &str = "homie-mqtt@3.1.2/unsigned";

fn place(broker: &Broker, id: &str) -> Place {
    Place {
        broker: broker.options(),
        base: "homie/".parse().unwrap(),
        device: id.parse().unwrap(),
        waits: waits(),
    }
}

async fn set(place: Place, patch: &str) -> Result<configure::Changed, CommandError> {
    let patch = Patch::read(patch.as_bytes()).unwrap();
    tokio::time::timeout(LIMIT, configure::set(place, &patch, &mut |_| {})).await.unwrap()
}

/// Gives a device time to connect and to advertise itself.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(800)).await;
}

#[tokio::test]
async fn a_configuration_is_read_changed_and_confirmed() {
    let Some(broker) = Broker::start() else { return };
    let task = run(device("kitchen", UNSIGNED), &broker);
    settled().await;
    let before = configure::get(place(&broker, "kitchen")).await.unwrap();
    assert!(before.shown().contains("\"ssid\": \"home\""));
    let patch = r#"{"ota":{"enabled":false},"settings":{"unit":"C"},"wifi":{"password":"geheim"}}"#;
    let changed = set(place(&broker, "kitchen"), patch).await.unwrap();
    let paths: Vec<&str> = changed.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["ota.enabled", "settings.unit"]);
    assert_eq!(changed.unseen, ["wifi.password"]);
    assert!(changed.missing.is_empty() && !format!("{changed:?}").contains("geheim"));
    // The same again changes nothing and sends nothing.
    let again = set(place(&broker, "kitchen"), r#"{"settings":{"unit":"C"}}"#).await.unwrap();
    assert!(again.changes.is_empty() && again.missing.is_empty());
    // Updates are off now, and on again by a change.
    let (end, _) = pushed(request(&broker, "kitchen", image(30_000))).await;
    assert!(matches!(end, End::Refused { by: By::Us, .. }), "{end:?}");
    set(place(&broker, "kitchen"), r#"{"ota":{"enabled":true}}"#).await.unwrap();
    let (end, _) = pushed(request(&broker, "kitchen", image(30_000))).await;
    assert_eq!(end.evidence(), Evidence::Running);
    task.abort();
}

#[tokio::test]
async fn a_change_that_the_device_refuses_silently_is_not_confirmed() {
    let Some(broker) = Broker::start() else { return };
    let task = run(device("kitchen", UNSIGNED), &broker);
    settled().await;
    let public = configure::get(place(&broker, "kitchen")).await.unwrap();
    // With its passwords, which we cannot see, it is too long.
    let mut filler = 900;
    let patch = loop {
        let patch = format!(r#"{{"settings":{{"x":"{}"}}}}"#, "y".repeat(filler));
        if public.with(&Patch::read(patch.as_bytes()).unwrap()).is_ok() {
            break patch;
        }
        filler -= 1;
    };
    let mut place = place(&broker, "kitchen");
    place.waits.restart = Duration::from_secs(2);
    let error = set(place, &patch).await.unwrap_err();
    assert!(matches!(&error, CommandError::NotConfirmed(why) if why.contains("serial port")), "{error}");
    task.abort();
}

#[tokio::test]
async fn commands_to_nobody_say_so() {
    let Some(broker) = Broker::start() else { return };
    let error = configure::get(place(&broker, "nobody")).await.unwrap_err();
    assert!(matches!(&error, CommandError::NotThere(why) if why.contains("no such device")), "{error}");
    let mut nobody = place(&broker, "nobody");
    nobody.waits.ready = Duration::from_secs(2);
    let error = configure::reset(nobody, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, CommandError::NotThere(_)), "{error}");
}

#[tokio::test]
async fn a_reset_device_is_gone_and_can_be_forgotten() {
    let Some(broker) = Broker::start() else { return };
    let task = run(device("kitchen", UNSIGNED), &broker);
    settled().await;
    configure::reset(place(&broker, "kitchen"), &mut |_| {}).await.unwrap();
    assert_eq!(tokio::time::timeout(LIMIT, task).await.unwrap().unwrap(), Gone::Reset);
    let other = run(device("hall", UNSIGNED), &broker);
    settled().await;
    let forgotten = configure::forget(place(&broker, "kitchen")).await.unwrap();
    assert!(forgotten.topics > 10 && !forgotten.was_there, "{forgotten:?}");
    let base = "homie/".parse().unwrap();
    let found = discover::discover(broker.options(), &base, Duration::from_secs(1)).await.unwrap();
    let ids: Vec<String> = found.devices.keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["hall"]);
    other.abort();
}

#[tokio::test]
async fn a_retained_image_is_found_and_cleared() {
    let Some(broker) = Broker::start() else { return };
    let (keeper, _) = session(broker.options()).await;
    // Two images under two topics: the device would flash itself for ever.
    for version in ["3.0.0", "4.0.0"] {
        let file = plain(version, 200_000);
        let topic = format!("homie/kitchen/$implementation/ota/firmware/{}", Md5Digest::of(&file));
        let letter = otaseal_delivery::mqtt::Letter {
            topic,
            payload: file.into(),
            quality: otaseal_delivery::mqtt::Quality::Acknowledged,
            keep: otaseal_delivery::mqtt::Keep::Retained,
        };
        keeper.publish(letter).unwrap();
    }
    keep(&keeper, "homie/kitchen/$ota", "9.9.9");
    keep(&keeper, "homie/kitchen/$implementation/reset", "false");
    settled().await;
    let task = run(device("kitchen", UNSIGNED), &broker);
    let base = "homie/".parse().unwrap();
    let found = discover::discover(broker.options(), &base, Duration::from_secs(3)).await.unwrap();
    assert!(found.devices[&"kitchen".parse().unwrap()].alive);
    let kinds: Vec<Kind> = found.traps.iter().map(|trap| trap.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Firmware).count(), 2, "{:?}", found.traps);
    assert!(kinds.contains(&Kind::Trigger) && kinds.len() == 3);
    let topics: Vec<String> = found.traps.into_iter().map(|trap| trap.topic).collect();
    assert_eq!(discover::clear(broker.options(), &topics).await.unwrap(), 3);
    let found = discover::discover(broker.options(), &base, Duration::from_secs(1)).await.unwrap();
    assert!(found.traps.is_empty(), "{:?}", found.traps);
    // Now a push ends where it should.
    let (end, _) = pushed(request(&broker, "kitchen", image(30_000))).await;
    assert_eq!(end.evidence(), Evidence::Running, "{end:?}");
    task.abort();
}

#[tokio::test]
async fn a_device_of_homie_1_is_triggered_and_proven_by_its_version() {
    let Some(broker) = Broker::start() else { return };
    let order = |version: &str, form| Trigger {
        place: Place { base: "devices/".parse().unwrap(), ..place(&broker, "relay") },
        version: version.into(),
        form,
    };
    let mut relay = device("relay", "esp8266@2.7.4/unsigned");
    relay.release = Release::V1;
    relay.base = "devices/".into();
    relay.pulls = Some(plain("2.0.0", 30_000).into());
    let task = run(relay, &broker);
    let hash = Form::Hash { name: "lamp".into() };
    let end = trigger(order("2.0.0", hash), &mut |_| {}).await;
    assert_eq!(end.evidence(), Evidence::Running, "{end:?}");
    assert_eq!(trigger(order("2.0.0", Form::Version), &mut |_| {}).await, End::AlreadyRunning);
    // Its server has only 2.0.0.
    let end = trigger(order("3.0.0", Form::Version), &mut |_| {}).await;
    assert!(matches!(&end, End::Failed { why, .. } if why.contains("version 2.0.0")), "{end:?}");
    let end = trigger(order("12345678901234567", Form::Version), &mut |_| {}).await;
    assert!(matches!(&end, End::Refused { by: By::Us, code, .. } if code == "homie-1-payload"), "{end:?}");
    // A trigger that the broker keeps is a loop.
    let (keeper, _) = session(broker.options()).await;
    keep(&keeper, "devices/relay/$ota", "9.9.9");
    settled().await;
    let end = trigger(order("3.0.0", Form::Version), &mut |_| {}).await;
    assert!(matches!(&end, End::Refused { by: By::Us, code, .. } if code == "retained-trigger"), "{end:?}");
    let (end, _) = pushed(request(&broker, "relay", image(1000))).await;
    assert!(matches!(&end, End::Failed { .. }), "{end:?}");
    task.abort();
}
