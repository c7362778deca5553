//! The connection to the broker.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use otaseal_delivery::evidence::{By, End};
use otaseal_delivery::mqtt::{
    CannotConnect, Happening, Keep, Letter, NotSent, Options, Quality, Session, Trust, Version, Whose,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::broker::Broker;
use crate::rig::{LIMIT, device, image, pushed, request, run, running};

pub(crate) async fn session(options: Options) -> (Session, Happening) {
    let mut session = Session::open(options).await.unwrap();
    let first = session.next().await.unwrap();
    (session, first)
}

pub(crate) fn letter(topic: &str, payload: &[u8], quality: Quality, keep: Keep) -> Letter {
    Letter { topic: topic.into(), payload: Bytes::copy_from_slice(payload), quality, keep }
}

/// Publishes a retained message.
pub(crate) fn keep(session: &Session, topic: &str, payload: &str) {
    session.publish(letter(topic, payload.as_bytes(), Quality::Acknowledged, Keep::Retained)).unwrap();
}

/// Waits for an event that fits.
pub(crate) async fn until(session: &mut Session, fits: impl Fn(&Happening) -> bool) -> Happening {
    tokio::time::timeout(LIMIT, async {
        loop {
            let happening = session.next().await.expect("the session is over");
            if fits(&happening) {
                return happening;
            }
        }
    })
    .await
    .unwrap()
}

fn is_message(happening: &Happening) -> bool {
    matches!(happening, Happening::Message { .. })
}

#[tokio::test]
async fn messages_go_and_come_in_both_versions() {
    let Some(broker) = Broker::start() else { return };
    for only in [None, Some(Version::V3), Some(Version::V5)] {
        let (mut session, up) = session(Options { only, ..broker.options() }).await;
        assert_eq!(up, Happening::Up);
        assert_eq!(session.version(), only.unwrap_or(Version::V5));
        session.subscribe(&["t/+".to_owned()]).unwrap();
        until(&mut session, |happening| *happening == Happening::Subscribed { refused: 0 }).await;
        for quality in [Quality::Once, Quality::Acknowledged] {
            let ticket = session.publish(letter("t/x", b"hello", quality, Keep::No)).unwrap();
            let mut sent = false;
            let mut came = false;
            while !(sent && came) {
                match until(&mut session, |_| true).await {
                    Happening::Sent { ticket: found } => sent = found == ticket,
                    Happening::Message { topic, payload, retained, .. } => {
                        came = topic == "t/x" && payload == "hello" && !retained;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        session.close().await;
    }
}

#[tokio::test]
async fn wrong_topics_are_refused() {
    let Some(broker) = Broker::start() else { return };
    let (session, _) = session(broker.options()).await;
    for topic in ["", "a/+", "a/#", "a\0b"] {
        assert_eq!(
            session.publish(letter(topic, b"", Quality::Once, Keep::No)),
            Err(NotSent::Topic),
            "{topic:?}"
        );
    }
    let huge = Letter {
        topic: "t".into(),
        payload: Bytes::from(vec![0; 16 << 20]),
        quality: Quality::Once,
        keep: Keep::No,
    };
    assert!(matches!(session.publish(huge), Err(NotSent::TooLarge { whose: Whose::Ours, .. })));
}

#[tokio::test]
async fn the_maximum_packet_size_of_mqtt_5_is_honoured() {
    let Some(broker) = Broker::with("allow_anonymous true\nmax_packet_size 20000", |_| {}) else { return };
    let (session, _) = session(broker.options()).await;
    assert_eq!(session.max_packet(), Some(20_000));
    let task = run(device("kitchen", "homie-mqtt@3.1.2/unsigned"), &broker);
    let (end, _) = pushed(request(&broker, "kitchen", image(100_000))).await;
    assert!(
        matches!(&end, End::Refused { by: By::Us, code, why, .. }
            if code == "too-large-for-broker" && why.contains("at most 20000")),
        "{end:?}"
    );
    task.abort();
}

#[tokio::test]
async fn max_packet_size_under_mqtt_3_1_1_ends_in_plain_words() {
    let Some(broker) = Broker::with("allow_anonymous true\nmax_packet_size 20000", |_| {}) else { return };
    let task = run(device("kitchen", "homie-mqtt@3.1.2/unsigned"), &broker);
    let mut request = request(&broker, "kitchen", image(100_000));
    request.broker.only = Some(Version::V3);
    // The broker throws us out each time.
    let (end, _) = pushed(request).await;
    assert!(matches!(&end, End::Failed { .. }), "{end:?}");
    task.abort();
}

#[tokio::test]
async fn message_size_limit_drops_silently_and_is_named() {
    let Some(broker) = Broker::with("allow_anonymous true\nmessage_size_limit 20000", |_| {}) else { return };
    let task = run(device("kitchen", "homie-mqtt@3.1.2/unsigned"), &broker);
    let (end, _) = pushed(request(&broker, "kitchen", image(100_000))).await;
    assert!(
        matches!(&end, End::Failed { why, advice, .. }
            if why.contains("did not answer") && advice.contains("message_size_limit")),
        "{end:?}"
    );
    task.abort();
}

#[tokio::test]
async fn a_password_is_asked_for_and_taken() {
    let lines = "allow_anonymous false\npassword_file DIR/passwords";
    let broker = Broker::with(lines, |dir| {
        let file = dir.join("passwords");
        let made =
            Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&file).args(["me", "right"]).status();
        assert!(made.is_ok_and(|status| status.success()));
    });
    let Some(broker) = broker else { return };
    let with = |login: &str| {
        let address = format!("mqtt://{login}127.0.0.1:{}", broker.port);
        Options::new(address.parse().unwrap())
    };
    for login in ["", "me:wrong@", "me@"] {
        for only in [None, Some(Version::V3)] {
            let error = Session::open(Options { only, ..with(login) }).await.err().unwrap();
            assert!(matches!(error, CannotConnect::Login { .. }), "{login}: {error}");
            assert!(!format!("{error:?}").contains("wrong"));
        }
    }
    assert!(Session::open(with("me:right@")).await.is_ok());
}

#[tokio::test]
async fn tls_wants_a_trusted_certificate_for_the_host() {
    let lines = "allow_anonymous true\ncafile DIR/ca.pem\ncertfile DIR/server.pem\nkeyfile DIR/server.key";
    let broker = Broker::with(lines, |dir| {
        for words in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server",
        ] {
            openssl(dir, words);
        }
        std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        openssl(
            dir,
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
    });
    let Some(broker) = broker else { return };
    let authority = std::fs::read(broker.dir.path().join("ca.pem")).unwrap();
    let options = |trust| Options {
        trust,
        ..Options::new(format!("mqtts://127.0.0.1:{}", broker.port).parse().unwrap())
    };
    let (session, _) = session(options(Trust::Authorities(authority.clone()))).await;
    assert_eq!(session.version(), Version::V5);
    let error = Session::open(options(Trust::System)).await.err().unwrap();
    assert!(matches!(error, CannotConnect::Tls { .. } | CannotConnect::Trust(_)), "{error}");
    for pem in [b"".as_slice(), b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let error = Session::open(options(Trust::Authorities(pem.to_vec()))).await.err().unwrap();
        assert!(matches!(error, CannotConnect::Trust(_)), "{error}");
    }
    // A whole push over TLS, from the device's side too.
    let trust = Trust::Authorities(authority);
    let mut secure = device("secure", "homie-mqtt@3.1.2/unsigned");
    let (address, device_trust) = (options(Trust::System).address, trust.clone());
    let task = tokio::spawn(async move {
        otaseal_delivery::sim::homie::live(&mut secure, &address, &device_trust).await
    });
    let mut request = request(&broker, "secure", image(100_000));
    request.broker = options(trust);
    assert_eq!(pushed(request).await.0, running());
    task.abort();
}

fn openssl(dir: &std::path::Path, words: &str) {
    let made = Command::new("openssl").args(words.split(' ')).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A broker of MQTT 3.1.1 alone: it answers MQTT 5 as asked, and then speaks 3.1.1.
async fn old_broker(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut connect = [0; 256];
            let read = stream.read(&mut connect).await.unwrap();
            assert!(read > 9);
            // The protocol level stands behind the name `MQTT`.
            match connect[8] {
                4 => {
                    stream.write_all(b"\x20\x02\x00\x00").await.unwrap();
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(20)).await;
                        drop(stream);
                    });
                }
                _ => stream.write_all(answer).await.unwrap(),
            }
        }
    });
    port
}

#[tokio::test]
async fn a_broker_without_mqtt_5_is_spoken_to_in_3_1_1() {
    // The answer of a 3.1.1 broker; the answer of MQTT 5 for it; nothing but the end.
    for answer in [b"\x20\x02\x00\x01".as_slice(), b"\x20\x03\x00\x84\x00", b""] {
        let port = old_broker(answer).await;
        let options = Options::new(format!("mqtt://127.0.0.1:{port}").parse().unwrap());
        let session = tokio::time::timeout(LIMIT, Session::open(options)).await.unwrap();
        assert_eq!(session.map_err(|error| error.to_string()).unwrap().version(), Version::V3, "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_there_and_a_silent_server_are_errors_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut options = Options::new(format!("mqtt://127.0.0.1:{port}").parse().unwrap());
    options.connect_timeout = Duration::from_secs(1);
    let error = tokio::time::timeout(LIMIT, Session::open(options.clone())).await.unwrap().err().unwrap();
    assert!(matches!(error, CannotConnect::Unreachable { .. }), "{error}");
    drop(listener);
    let error = tokio::time::timeout(LIMIT, Session::open(options)).await.unwrap().err().unwrap();
    assert!(matches!(error, CannotConnect::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_connection_comes_back_and_queued_messages_do_not() {
    let Some(mut broker) = Broker::start() else { return };
    for only in [Version::V3, Version::V5] {
        let (mut session, _) = session(Options { only: Some(only), ..broker.options() }).await;
        broker.restart();
        until(&mut session, |happening| matches!(happening, Happening::Down { .. })).await;
        assert_eq!(session.publish(letter("t", b"x", Quality::Once, Keep::No)), Err(NotSent::Down));
        assert_eq!(session.subscribe(&["t".to_owned()]), Err(NotSent::Down));
        until(&mut session, |happening| *happening == Happening::Up).await;
        session.subscribe(&["t".to_owned()]).unwrap();
        until(&mut session, |happening| *happening == Happening::Subscribed { refused: 0 }).await;
        session.publish(letter("t", b"y", Quality::Acknowledged, Keep::No)).unwrap();
        let came = until(&mut session, is_message).await;
        assert!(matches!(came, Happening::Message { payload, .. } if payload == "y"));
    }
}

#[tokio::test]
async fn an_oversized_retained_message_ends_the_session_and_does_not_loop() {
    let Some(broker) = Broker::start() else { return };
    let (keeper, _) = session(Options { max_incoming: 1 << 20, ..broker.options() }).await;
    keep(&keeper, "big", &"x".repeat(100_000));
    tokio::time::sleep(Duration::from_millis(300)).await;
    // MQTT 3.1.1 has no way to tell the broker.
    let (mut session, _) = session(Options { only: Some(Version::V3), ..broker.options() }).await;
    session.subscribe(&["#".to_owned()]).unwrap();
    let over = until(&mut session, |happening| matches!(happening, Happening::Over { .. })).await;
    assert!(matches!(over, Happening::Over { why } if why.contains("more than 65536 bytes")));
    assert_eq!(session.next().await, None);
}
