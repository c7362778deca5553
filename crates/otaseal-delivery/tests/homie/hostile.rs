//! Brokers and devices that mean harm: an end in plain words, in time, and in bounded memory.

use std::time::Duration;

use otaseal_delivery::evidence::End;
use otaseal_delivery::homie::discover::discover;
use otaseal_delivery::homie::{Request, Waits, push};
use otaseal_delivery::mqtt::{Options, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::broker::Broker;
use crate::connection::{keep, session};
use crate::rig::{LIMIT, image, waits};

/// A broker of MQTT 3.1.1 that accepts everything, then sends these bytes again and again, so many times.
async fn hostile(bytes: Vec<u8>, times: usize) -> Options {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move { serve(stream, &bytes, times).await });
        }
    });
    let mut options = Options::new(format!("mqtt://127.0.0.1:{port}").parse().unwrap());
    options.only = Some(Version::V3);
    options
}

async fn serve(mut stream: TcpStream, bytes: &[u8], times: usize) -> std::io::Result<()> {
    let mut taken = [0; 4096];
    let read = stream.read(&mut taken).await?;
    assert!(read > 0);
    stream.write_all(b"\x20\x02\x00\x00").await?;
    // The request to subscribe: its packet id stands behind type and length.
    let read = stream.read(&mut taken).await?;
    let id = taken[..read].iter().skip(1).skip_while(|byte| **byte & 0x80 != 0).skip(1).copied().take(2);
    let id: Vec<u8> = id.collect();
    stream.write_all(&[&[0x90, 7][..], &id, &[1; 5]].concat()).await?;
    for _ in 0..times {
        stream.write_all(bytes).await?;
    }
    loop {
        if stream.read(&mut taken).await? == 0 {
            return Ok(());
        }
    }
}

fn publish(topic: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = 2 + topic.len() + payload.len();
    let mut bytes = vec![0x30, (length % 128) as u8 | 0x80, (length / 128) as u8, 0, topic.len() as u8];
    bytes.extend(topic);
    bytes.extend(payload);
    bytes
}

async fn pushed(broker: Options) -> (End, usize) {
    let request = Request {
        broker,
        base: "homie/".parse().unwrap(),
        device: "kitchen".parse().unwrap(),
        image: image(30_000),
        waits: Waits { ready: Duration::from_secs(2), life: Duration::from_secs(1), ..waits() },
        until: otaseal_delivery::evidence::Evidence::Running,
    };
    let mut events = 0;
    let end = tokio::time::timeout(LIMIT, push(request, &mut |_| events += 1)).await.unwrap();
    (end, events)
}

#[tokio::test]
async fn a_message_of_256_mib_is_refused_by_its_announcement() {
    let broker = hostile(b"\x30\xff\xff\xff\x7f\x00\x10homie/kitchen/$x".to_vec(), 1).await;
    let (end, _) = pushed(broker).await;
    assert!(matches!(&end, End::Failed { why, .. } if why.contains("more than 65536 bytes")), "{end:?}");
}

/// Pushes over all these brokers at the same time. None may end as anything but a failure.
async fn all_fail(brokers: Vec<Options>) {
    let local = tokio::task::LocalSet::new();
    let pushes: Vec<_> = brokers.into_iter().map(|broker| local.spawn_local(pushed(broker))).collect();
    let ends = async {
        for (index, push) in pushes.into_iter().enumerate() {
            let (end, _) = push.await.unwrap();
            assert!(matches!(&end, End::Failed { .. }), "{index}: {end:?}");
        }
    };
    local.run_until(ends).await;
}

#[tokio::test]
async fn bytes_that_are_no_mqtt_end_in_time() {
    let mut brokers = Vec::new();
    for bytes in [
        b"\xff\xff\xff\xff\xff\xff".as_slice(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x02\xff\xff",
        b"\x40\x02\x00\x63",
    ] {
        brokers.push(hostile(bytes.to_vec(), 3).await);
    }
    all_fail(brokers).await;
}

#[tokio::test]
async fn topics_with_wildcards_or_without_utf_8_are_nobodys() {
    let mut brokers = Vec::new();
    for topic in
        [b"homie/+/$state".as_slice(), b"homie/#", b"homie/\xff\xfe/$state", b"homie/kit\x1b[2J/$state", b""]
    {
        brokers.push(hostile(publish(topic, b"ready"), 10).await);
    }
    all_fail(brokers).await;
}

#[tokio::test]
async fn a_flood_of_statuses_is_neither_shown_nor_kept_before_the_push() {
    let broker = hostile(publish(b"homie/kitchen/$implementation/ota/status", b"200"), 200_000).await;
    let (end, events) = pushed(broker).await;
    assert!(matches!(&end, End::Failed { .. }), "{end:?}");
    assert!(events < 20, "{events}");
}

#[tokio::test]
async fn a_silent_broker_ends_in_time() {
    let (end, _) = pushed(hostile(Vec::new(), 0).await).await;
    assert!(matches!(&end, End::Failed { why, .. } if why.contains("no such device")), "{end:?}");
}

#[tokio::test]
async fn discovery_survives_large_retained_messages() {
    let Some(broker) = Broker::start() else { return };
    let (keeper, _) = session(broker.options()).await;
    for number in 0..30 {
        keep(&keeper, &format!("homie/d{number}/$implementation/ota/firmware/x"), &"x".repeat(1_000_000));
        keep(&keeper, &format!("homie/d{number}/$name"), &"y".repeat(100_000));
    }
    keep(&keeper, "homie/d0/$state", "ready");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = discover(broker.options(), &"homie/".parse().unwrap(), Duration::from_secs(3)).await.unwrap();
    assert_eq!((found.devices.len(), found.traps.len()), (1, 30));
    assert!(found.traps.iter().all(|trap| trap.bytes == 1_000_000));
}
