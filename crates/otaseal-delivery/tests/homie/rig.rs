//! Images, devices and pushes for the tests.

use std::time::Duration;

use bytes::Bytes;
use otaseal::format::digest::Md5Digest;
use otaseal::package::manifest::Installed;
use otaseal_delivery::evidence::{End, Event, Evidence};
use otaseal_delivery::homie::{Image, Request, Waits, push};
use otaseal_delivery::mqtt::{Address, Trust};
use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::homie::{Device, Gone, live};
use otaseal_delivery::sim::image::Sample;
use tokio::task::JoinHandle;

use crate::broker::Broker;

/// A limit for every wait of a test.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn plain(version: &str, bytes: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes, seed: 3 }.esp8266()
}

/// A device that runs version 1.0.0.
pub(crate) fn device(id: &str, profile: &str) -> Device {
    let mut device = Device::new(id, Board::new(profile.parse().unwrap(), &plain("1.0.0", 20_000)));
    device.quirks.stats_secs = 1;
    device
}

pub(crate) fn image_of(file: Vec<u8>, plain: &[u8], topic_md5: Option<Md5Digest>) -> Image {
    let installed = Installed::of(plain);
    Image {
        topic_md5: topic_md5.unwrap_or_else(|| Md5Digest::of(&file)),
        bytes: Bytes::from(file),
        running: installed.md5_by_flash_mode.values().copied().chain(installed.md5).collect(),
        version: Some("2.0.0".into()),
    }
}

pub(crate) fn image(bytes: u32) -> Image {
    let file = plain("2.0.0", bytes);
    image_of(file.clone(), &file, None)
}

pub(crate) fn waits() -> Waits {
    Waits {
        ready: Duration::from_secs(8),
        life: Duration::from_secs(2),
        stall: Duration::from_secs(4),
        transfer: Duration::from_secs(25),
        restart: Duration::from_secs(10),
    }
}

pub(crate) fn request(broker: &Broker, id: &str, image: Image) -> Request {
    Request {
        broker: broker.options(),
        base: "homie/".parse().unwrap(),
        device: id.parse().unwrap(),
        image,
        waits: waits(),
        until: Evidence::Running,
    }
}

/// Runs a device beside the test.
pub(crate) fn run(mut device: Device, broker: &Broker) -> JoinHandle<Gone> {
    let address: Address = broker.address();
    tokio::spawn(async move { live(&mut device, &address, &Trust::System).await })
}

pub(crate) async fn pushed(request: Request) -> (End, Vec<Event>) {
    let mut events = Vec::new();
    let end = tokio::time::timeout(LIMIT, push(request, &mut |event| events.push(event))).await.unwrap();
    (end, events)
}

pub(crate) fn says(events: &[Event]) -> Vec<&str> {
    let mut texts = Vec::new();
    for event in events {
        if let Event::Says { text } = event {
            texts.push(text.as_str());
        }
    }
    texts
}

pub(crate) fn running() -> End {
    End::Reached { evidence: Evidence::Running, more: String::new() }
}
