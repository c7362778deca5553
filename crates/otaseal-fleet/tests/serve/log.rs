//! What it prints.

use crate::server::{Server, lamp, public, runs};
use serde_json::Value;
use tempfile::tempdir;

#[test]
fn the_first_device_that_no_rule_fits_brings_advice() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    assert_eq!(server.ask("/", &[]).status, 404);
    server.line("help: no rule says which firmware this device gets");
    let address = server.address.clone();
    server.line(&format!("ESPhttpUpdate.update(client, \"http://{address}/ota/NAME\");"));
    server.line("\"5C:CF:7F:AA:BB:CC\" = \"NAME\"");
    // Once.
    assert_eq!(server.ask("/", &[]).status, 404);
    server.line("404 GET /");
    assert_eq!(server.ask("/ota/lamp", &[]).status, 200);
    server.line("200 GET /ota/lamp");
    assert!(!server.seen.iter().any(|line| line.contains("help:")), "{:#?}", server.seen);
}

#[test]
#[cfg(unix)]
fn after_ctrl_c_it_counts_and_ends_well() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let server = Server::start(folder.path(), &["--key", &public()]);
    let (name, md5) = runs("1.0.0");
    for _ in 0..3 {
        assert_eq!(server.ask("/ota/lamp", &[(name, &md5)]).status, 304);
    }
    assert_eq!(server.ask("/other.bin", &[]).status, 404);
    let lines = server.interrupt();
    // Polls of devices that are up to date are counted, and not printed.
    assert_eq!(lines.last().unwrap(), "answered: 3 already-running, 1 no-such-file");
    assert!(!lines.iter().any(|line| line.contains("304")), "{lines:#?}");
    let server = Server::start(folder.path(), &["--key", &public()]);
    assert_eq!(server.interrupt().last().unwrap(), "nobody asked");
}

#[test]
#[cfg(unix)]
fn json_is_one_object_a_line() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let mut server = Server::start(folder.path(), &["--key", &public(), "--json"]);
    assert_eq!(server.ask("/ota/lamp", &[("x-ESP8266-sketch-size", "-5")]).status, 200);
    let line: Value = serde_json::from_str(&server.line("/ota/lamp")).unwrap();
    for (name, value) in [
        ("asked", "GET /ota/lamp"),
        ("device", "ESP8266 5C:CF:7F:AA:BB:CC"),
        ("code", "offered"),
        ("release", "lamp 1.0.0"),
        ("evidence", "sent"),
    ] {
        assert_eq!(line[name], value, "{line}");
    }
    assert_eq!(
        (&line["status"], line["odd"][0].as_str().unwrap()),
        (&200.into(), "x-esp8266-sketch-size: -5")
    );
    assert!(line["sent_bytes"].as_u64().unwrap() > 100_000 && line["facts"].as_array().unwrap().len() > 3);
    let lines = server.interrupt();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(last["answered"]["offered"], 1);
    for line in lines {
        assert!(serde_json::from_str::<Value>(&line).unwrap().is_object(), "{line}");
    }
}

#[test]
fn what_a_device_says_cannot_move_the_cursor() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    // A control character is no HTTP.
    assert_eq!(server.ask("/ota/lamp", &[("x-ESP8266-version", "\u{1b}]0;owned\u{7}")]).status, 400);
    assert!(!server.line("127.0.0.1").contains('\u{1b}'));
    // One that turns the text around is.
    let odd = "1.0\u{202e}";
    assert_eq!(server.ask("/ota/none", &[("x-ESP8266-sketch-md5", odd)]).status, 404);
    let line = server.line("404 GET /ota/none");
    assert!(line.contains("odd: x-esp8266-sketch-md5: 1.0\\u{202e}"), "{line}");
    assert!(!line.contains('\u{202e}'), "{line:?}");
    let reply = server.ask("/ota/lamp", &[("User-Agent", "curl/8.0")]);
    assert_eq!(reply.status, 200);
}
