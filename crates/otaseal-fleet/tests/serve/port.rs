//! Credentials, redirects, TLS, and the port itself.

use crate::server::{Server, lamp, public};
use crate::setup::{exits, is_missing};
use std::fs;
use std::process::Command;
use tempfile::tempdir;

#[test]
fn devices_must_show_their_password() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let secret = folder.path().join(".password");
    fs::write(&secret, "p4ssw0rd\n").unwrap();
    let file = secret.to_str().unwrap();
    let arguments = ["--key", &public(), "--user", "device", "--password-file", file, "--verbose"];
    let mut server = Server::start(folder.path(), &arguments);
    let reply = server.ask("/ota/lamp", &[]);
    assert_eq!(reply.status, 401);
    assert!(reply.head.contains("www-authenticate: basic"), "{}", reply.head);
    assert_eq!(server.ask("/ota/lamp", &[("Authorization", "Basic ZGV2aWNlOndyb25n")]).status, 401);
    let right = "Basic ZGV2aWNlOnA0c3N3MHJk";
    assert_eq!(server.ask("/ota/lamp", &[("Authorization", right)]).status, 200);
    server.line("200 GET /ota/lamp");
    let shows = |line: &String| line.contains("p4ssw0rd") || line.contains("ZGV2aWNl");
    assert!(!server.seen.iter().any(shows), "{:#?}", server.seen);
}

#[test]
fn devices_are_sent_to_a_cdn() {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let secret = folder.path().join(".secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    let redirect = [
        "--key",
        &public(),
        "--redirect",
        "http://cdn.example/ota",
        "--redirect-secret",
        secret.to_str().unwrap(),
    ];
    let server = Server::start(folder.path(), &redirect);
    let reply = server.ask("/ota/lamp", &[]);
    assert_eq!(reply.status, 302);
    let location = reply.location.unwrap();
    assert!(location.starts_with("http://cdn.example/ota/file/"), "{location}");
    assert!(!reply.head.contains("x-md5"), "{}", reply.head);
    // This server has the same secret, and a guess is no token.
    let path = location.strip_prefix("http://cdn.example/ota").unwrap();
    assert_eq!(server.ask(path, &[]).status, 200);
    assert_eq!(server.ask(&path.to_lowercase(), &[]).status, 403);
}

#[test]
fn tls_shows_its_fingerprint_and_serves() {
    if is_missing("openssl") || is_missing("curl") {
        return;
    }
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("lamp"), "1.0.0");
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=localhost \
                 -keyout .server.key -out .server.pem";
    let made =
        Command::new("openssl").args(words.split_whitespace()).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success());
    let (cert, key) = (folder.path().join(".server.pem"), folder.path().join(".server.key"));
    let tls = ["--key", &public(), "--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut server = Server::start(folder.path(), &tls);
    let words = "x509 -noout -fingerprint -sha1 -in .server.pem";
    let shown =
        Command::new("openssl").args(words.split_whitespace()).current_dir(folder.path()).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let fingerprint = shown.trim().split_once('=').unwrap().1;
    server.said(fingerprint);
    let url = format!("https://{}/ota/lamp", server.address);
    let curl = Command::new("curl").args(["-sSfk", "-A", "ESP8266-http-Update", &url]).output().unwrap();
    assert!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));
    assert_eq!(curl.stdout.first(), Some(&0xE9));
    // Without TLS, there is no answer.
    let plain = format!("http://{}/ota/lamp", server.address);
    assert!(!Command::new("curl").args(["-sSf", &plain]).output().unwrap().status.success());
}

#[test]
fn wrong_options_are_refused_before_anything_is_served() {
    let folder = tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let key = public();
    let file = folder.path().join(".file");
    fs::write(&file, "short\n").unwrap();
    let file = file.to_str().unwrap();
    let text = |code, more: &[&str]| {
        exits(code, &[&["serve", dir, "--key", &key, "--listen", "127.0.0.1:0"], more].concat())
    };
    assert!(text(2, &["--user", "device"]).contains("password"));
    assert!(text(2, &["--password-file", file]).contains("--user"));
    assert!(text(2, &["--user", "a:b", "--password-file", file]).contains("colon"));
    assert!(text(2, &["--redirect", "http://cdn.example"]).contains("--redirect-secret"));
    assert!(
        text(2, &["--redirect", "http://cdn.example", "--redirect-secret", file]).contains("at least 32")
    );
    assert!(text(2, &["--tls-cert", file]).contains("--tls-key"));
    let error = text(3, &["--tls-cert", file, "--tls-key", file]);
    assert!(error.contains("no certificate") && error.contains("openssl req -x509"), "{error}");
    fs::write(file, "0123456789abcdef0123456789abcdef\n").unwrap();
    assert!(text(2, &["--redirect", "https://cdn.example", "--redirect-secret", file]).contains("http://"));
    assert!(exits(2, &["serve", "/nonexistent", "--key", &key]).contains("is no directory"));
    assert!(exits(3, &["serve", dir, "--key", "/nonexistent.pem"]).contains("/nonexistent.pem"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(exits(3, &["serve", dir, "--key", &key, "--listen", &address]).contains("--listen"));
}
