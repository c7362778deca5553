//! What is in the folder: verified, watched, listed.

use crate::server::{Server, lamp, public, runs};
use crate::setup::{example_key, exits, image, new_key, package};
use std::fs;
use tempfile::tempdir;

#[test]
fn without_a_key_nothing_is_served() {
    let folder = tempdir().unwrap();
    let text = exits(2, &["serve", folder.path().to_str().unwrap()]);
    assert!(text.contains("--key") && text.contains("--allow-unsigned"), "{text}");
    let json = exits(2, &["serve", folder.path().to_str().unwrap(), "--json"]);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["exit_code"], 2);
}

#[test]
fn a_package_is_served_and_its_device_proves_it() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let mut server = Server::start(folder.path(), &["--key", &public(), "--verbose"]);
    server.said("has lamp 1.0.0 (signed by ");
    let reply = server.ask("/ota/lamp", &[]);
    assert_eq!(reply.status, 200);
    assert!(reply.body.starts_with(&image("1.0.0", &example_key())[..1000]), "another image");
    let line = server.line("GET /ota/lamp");
    assert!(
        line.starts_with("ESP8266 5C:CF:7F:AA:BB:CC: 200 GET /ota/lamp lamp 1.0.0: is offered lamp.bin"),
        "{line}"
    );
    assert!(line.contains("; sent: every byte reached the device"), "{line}");
    let (name, md5) = runs("1.0.0");
    assert_eq!(server.ask("/ota/lamp", &[(name, &md5)]).status, 304);
    server.line("the device runs lamp 1.0.0 already");
}

#[test]
fn a_package_that_was_changed_is_not_served_and_said_so() {
    let folder = tempdir().unwrap();
    let path = lamp(&folder.path().join("lamp"), "1.0.0").join("lamp.bin.signed");
    let mut bytes = fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    package(&folder.path().join("other"), &image("2.0.0", &new_key_of(&folder)), &new_key_of(&folder));
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    for name in ["lamp", "other"] {
        let line = server.said(&format!("/{name} is not served: "));
        assert!(line.starts_with("warning: "), "{line}");
    }
    assert_eq!(server.ask("/ota/lamp", &[]).status, 404);
}

/// One key for each folder of a test.
fn new_key_of(folder: &tempfile::TempDir) -> otaseal::key::PrivateKey {
    let path = folder.path().join(".key.pem");
    if !path.exists() {
        fs::write(&path, &*new_key().to_pkcs8_pem().unwrap()).unwrap();
    }
    otaseal::key::PrivateKey::from_bytes(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn an_unsigned_file_is_served_only_if_that_is_allowed() {
    let folder = tempdir().unwrap();
    let sketch = image("1.0.0", &example_key());
    fs::write(folder.path().join("arduino.bin"), &sketch).unwrap();
    fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    fs::write(folder.path().join("page.bin"), "<html>404</html>").unwrap();
    fs::write(folder.path().join(".hidden.bin"), &sketch).unwrap();
    let server = Server::start(folder.path(), &["--key", &public()]);
    assert_eq!(server.ask("/arduino.bin", &[]).status, 404);
    drop(server);
    let server = Server::start(folder.path(), &["--allow-unsigned"]);
    let reply = server.ask("/arduino.bin", &[]);
    assert!(reply.status == 200 && reply.body == sketch, "{}", reply.head);
    assert!(reply.head.contains("\r\nx-version: 1.0.0"), "{}", reply.head);
    for path in
        ["/notes.txt", "/page.bin", "/.hidden.bin", "/../arduino.bin", "/%2e/arduino.bin", "/devices.toml"]
    {
        assert_eq!(server.ask(path, &[]).status, 404, "{path}");
    }
}

#[test]
fn the_folder_is_watched() {
    let folder = tempdir().unwrap();
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    server.said("there is nothing to serve yet");
    assert_eq!(server.ask("/ota/lamp", &[]).status, 404);
    let first = lamp(&folder.path().join("one"), "1.0.0");
    assert_eq!(server.ask_until(200, "/ota/lamp", &[]).status, 200);
    // A newer one.
    lamp(&folder.path().join("two"), "1.1.0");
    let (name, md5) = runs("1.0.0");
    assert_eq!(server.ask_until(200, "/", &[(name, &md5)]).status, 200);
    // A file that was overwritten is not what was verified.
    fs::write(folder.path().join("two/lamp.bin.signed"), image("6.6.6", &example_key())).unwrap();
    server.line("two is not served");
    assert_eq!(server.ask_until(304, "/", &[(name, &md5)]).status, 304);
    // A package that goes is gone.
    fs::remove_dir_all(first).unwrap();
    assert_eq!(server.ask_until(404, "/ota/lamp", &[]).status, 404);
}

#[test]
fn a_folder_that_is_still_is_not_read_again() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("one"), "1.0.0");
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    server.said("has lamp 1.0.0");
    // The server opens the files itself.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(server.ask("/ota/lamp", &[]).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(server.ask("/ota/none", &[]).status, 404);
    server.line("/ota/none");
    let lists = server.seen.iter().filter(|line| line.contains("has lamp")).count();
    assert!(lists <= 1, "{:#?}", server.seen);
}

#[test]
fn a_list_says_who_gets_what_and_a_fault_in_it_changes_nothing() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("one"), "1.0.0");
    lamp(&folder.path().join("two"), "1.1.0");
    let list = folder.path().join("devices.toml");
    fs::write(&list, "\"5C:CF:7F:AA:BB:CC\" = { firmware = \"lamp\", version = \"1.0.0\" }\n").unwrap();
    let mut server = Server::start(folder.path(), &["--key", &public()]);
    let (name, pinned) = runs("1.0.0");
    assert_eq!(server.ask("/", &[(name, &pinned)]).status, 304);
    for fault in
        ["\"5C:CF:7F:AA:BB:CC\" = 7\n", "not toml", "\"5C:CF:7F:AA:BB:CC\" = { firmwaer = \"lamp\" }\n"]
    {
        fs::write(&list, fault).unwrap();
        server.line("devices.toml: ");
        server.line("the server goes on with what it had");
        assert_eq!(server.ask("/", &[(name, &pinned)]).status, 304);
    }
    fs::write(&list, "\"1458415\" = \"lamp\"\n").unwrap();
    assert_eq!(server.ask_until(200, "/", &[(name, &pinned)]).status, 200);
    drop(server);
    // At the start, a fault is an error.
    fs::write(&list, "not toml").unwrap();
    let folder = folder.path().to_str().unwrap();
    let text = exits(3, &["serve", folder, "--key", &public(), "--listen", "127.0.0.1:0"]);
    assert!(text.contains("devices.toml"), "{text}");
}
