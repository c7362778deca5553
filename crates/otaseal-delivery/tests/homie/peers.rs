//! Other people's MQTT programs on the other side: mosquitto's clients, and paho-mqtt of Python.

use std::process::{Command, Stdio};
use std::time::Duration;

use otaseal_delivery::evidence::{By, End};

use crate::broker::{Broker, skipped};
use crate::rig::{device, image, plain, pushed, request, run, running};

fn has(program: &str, word: &str) -> bool {
    let found = Command::new(program).arg(word).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skipped(&format!("{program} is not installed"));
    }
    found
}

fn mosquitto_pub(broker: &Broker, words: &[&str]) {
    let port = broker.port.to_string();
    let status =
        Command::new("mosquitto_pub").args(["-h", "127.0.0.1", "-p", &port]).args(words).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn the_image_arrives_byte_for_byte_not_retained_and_with_qos_0() {
    let Some(broker) = Broker::start() else { return };
    if !has("mosquitto_sub", "--help") {
        return;
    }
    let file = broker.dir.path().join("got");
    let listener = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-C", "1", "-W", "20", "-N"])
        .args(["-F", "%t %q %r %p", "-t", "homie/kitchen/$implementation/ota/firmware/+"])
        .stdout(std::fs::File::create(&file).unwrap())
        .spawn();
    let mut listener = listener.unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let task = run(device("kitchen", "homie-mqtt@3.1.2/unsigned"), &broker);
    let image = image(100_000);
    assert_eq!(pushed(request(&broker, "kitchen", image.clone())).await.0, running());
    assert!(listener.wait().unwrap().success());
    let head = format!("homie/kitchen/$implementation/ota/firmware/{} 0 0 ", image.topic_md5);
    let got = std::fs::read(file).unwrap();
    assert!(got.starts_with(head.as_bytes()));
    assert!(
        got[head.len()..] == image.bytes[..],
        "{} of {} bytes",
        got.len() - head.len(),
        image.bytes.len()
    );
    task.abort();
}

#[tokio::test]
async fn mosquitto_pub_updates_the_simulated_device() {
    let Some(broker) = Broker::start() else { return };
    if !has("mosquitto_pub", "--help") {
        return;
    }
    let task = run(device("kitchen", "homie-mqtt@3.1.2/unsigned"), &broker);
    tokio::time::sleep(Duration::from_millis(800)).await;
    let file = broker.dir.path().join("image.bin");
    std::fs::write(&file, plain("2.0.0", 100_000)).unwrap();
    let topic = format!("homie/kitchen/$implementation/ota/firmware/{}", image(100_000).topic_md5);
    mosquitto_pub(&broker, &["-q", "1", "-t", &topic, "-f", file.to_str().unwrap()]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pushed(request(&broker, "kitchen", image(100_000))).await.0, End::AlreadyRunning);
    task.abort();
}

/// A device of its own, in Python: it takes an image as Homie 3.0.1 does, and comes back with what it got.
const PAHO_DEVICE: &str = r#"
import sys, hashlib, time
import paho.mqtt.client as mqtt
port, first = int(sys.argv[1]), sys.argv[2]
root = "homie/paho/"
checksum = "0" * 32
taken = None
def connect():
    client = mqtt.Client("Homie-paho")
    client.will_set(root + "$state", "lost", 1, True)
    client.on_message = message
    client.connect("127.0.0.1", port, 15)
    client.loop_start()
    for topic, value in [("$state", "init"), ("$homie", "3.0.1"), ("$fw/name", "lamp"), ("$fw/version", "1.0.0"),
                         ("$fw/checksum", checksum), ("$implementation", "esp8266"),
                         ("$implementation/ota/enabled", "true")]:
        client.publish(root + topic, value, 1, True).wait_for_publish()
    client.subscribe(root + "$implementation/ota/firmware/+", 1)
    time.sleep(0.2)
    client.publish(root + "$state", "ready", 1, True).wait_for_publish()
    return client
def message(client, data, incoming):
    global taken
    assert not incoming.retain and incoming.qos == 0
    status = root + "$implementation/ota/status"
    client.publish(status, "202", 0, True)
    client.publish(status, first, 0, True)
    if first == "299 \x1b[31mred":
        client.publish(status, "200", 0, True)
        taken = hashlib.md5(incoming.payload).hexdigest()
client = connect()
end = time.time() + 20
while time.time() < end:
    time.sleep(0.05)
    if taken:
        time.sleep(0.2)
        client._sock_close()
        client.loop_stop()
        checksum, taken = taken, None
        time.sleep(0.3)
        client = connect()
"#;

#[tokio::test]
async fn a_device_in_python_is_updated_and_its_words_are_escaped() {
    let Some(broker) = Broker::start() else { return };
    let python =
        if std::path::Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let has_paho =
        Command::new(python).args(["-c", "import paho.mqtt.client"]).stderr(Stdio::null()).status();
    if !has_paho.is_ok_and(|status| status.success()) {
        return skipped("python3 has no paho-mqtt");
    }
    for (status, ends_well) in [("299 \x1b[31mred", true), ("500 FLASH_ERROR", false)] {
        let mut device = Command::new(python)
            .args(["-c", PAHO_DEVICE, &broker.port.to_string(), status])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (end, events) = pushed(request(&broker, "paho", image(200_000))).await;
        if ends_well {
            assert_eq!(end, running(), "{events:?}");
            assert_eq!(crate::rig::says(&events), ["202", "299 \\u{1b}[31mred", "200"]);
        } else {
            assert!(
                matches!(&end, End::Refused { by: By::Device, code, .. } if code == "500-flash-error"),
                "{end:?}"
            );
        }
        _ = device.kill();
        _ = device.wait();
        mosquitto_pub(&broker, &["-r", "-n", "-t", "homie/paho/$fw/checksum"]);
    }
}
