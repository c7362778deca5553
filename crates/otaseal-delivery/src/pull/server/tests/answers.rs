//! Every status of ESP8266httpUpdate by its name.

use std::process::Command;

use super::*;
use crate::pull::answer::RedirectStatus;
use crate::pull::redirect::{Elsewhere, TokenKey};
use crate::pull::request::Secret;
use zeroize::Zeroizing;

/// A device's parser knows the length, the digest and nothing else.
fn is_a_file(reply: &Reply, image: &[u8]) {
    assert_eq!(reply.status(), 200, "{reply:?}");
    assert_eq!(reply.field("content-length"), Some(image.len().to_string().as_str()));
    assert_eq!(reply.field("x-md5"), Some(Md5Digest::of(image).to_string().as_str()));
    assert_eq!(reply.field("connection"), Some("close"));
    for absent in ["transfer-encoding", "content-encoding", "trailer", "set-cookie", "vary"] {
        assert_eq!(reply.field(absent), None);
    }
    assert!(reply.body == image, "{} bytes instead of the image", reply.body.len());
}

fn has_no_body(reply: &Reply, status: u16) {
    assert_eq!(reply.status(), status);
    assert_eq!(reply.field("connection"), Some("close"));
    assert_eq!(reply.field("transfer-encoding"), None);
    assert_eq!(reply.field("x-md5"), None);
    assert!(reply.body.is_empty(), "{:?}", String::from_utf8_lossy(&reply.body));
}

#[test]
fn status_200_has_the_length_and_the_digest_once() {
    let port = port();
    is_a_file(&port.say(ESP8266), &image(50_000));
    let record = port.record();
    assert_eq!((record.status, record.evidence), (Some(200), Some(Evidence::Sent)));
    assert_eq!(record.asked, "GET /ota/lamp");
    assert!(record.sent > 50_000);
}

#[test]
fn http_1_1_gets_the_same_answer() {
    let port = port();
    is_a_file(&port.say(asking("HTTP/1.0", "HTTP/1.1")), &image(50_000));
    is_a_file(
        &port.say(asking("HTTP/1.0", "HTTP/1.1").replace("Connection: close", "Connection: keep-alive")),
        &image(50_000),
    );
    is_a_file(&port.say(asking("Connection: close", "Connection: keep-alive")), &image(50_000));
}

#[test]
fn status_304_has_no_body() {
    let port = port();
    let reply = port.say(running(Md5Digest::of(&image(50_000))));
    has_no_body(&reply, 304);
    assert_eq!(port.record().evidence, None);
}

#[test]
fn status_401_asks_for_basic_credentials() {
    let settings = Settings { credentials: Some(Secret(b"user:pass".to_vec())), ..Settings::default() };
    let port = start(catalogue(1_000), settings, Limits::default());
    let reply = port.say(ESP8266);
    has_no_body(&reply, 401);
    assert_eq!(reply.field("www-authenticate"), Some("Basic realm=\"updates\""));
    let with =
        |value: &str| asking("Connection: close", &format!("Authorization: {value}\r\nConnection: close"));
    has_no_body(&port.say(with("Basic dXNlcjp3cm9uZw==")), 401);
    is_a_file(&port.say(with("Basic dXNlcjpwYXNz")), &image(1_000));
}

#[test]
fn status_403_is_for_what_is_no_updater() {
    let port = port();
    has_no_body(&port.say("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0\r\n\r\n"), 403);
    has_no_body(&port.say("GET /lamp.bin HTTP/1.0\r\n\r\n"), 403);
    let record = port.record();
    assert!(record.why.unwrap_err().contains("Mozilla/5.0"));
}

#[test]
fn status_404_is_for_unknown_firmware_files_and_modes() {
    let port = port();
    for path in ["/", "/ota/other", "/other.bin", "/../lamp.bin", "/ota/lamp/board/x"] {
        has_no_body(&port.say(asking("GET /ota/lamp ", &format!("GET {path} "))), 404);
    }
    has_no_body(&port.say(asking("mode: sketch", "mode: bootloader")), 404);
    has_no_body(&port.say(asking("mode: sketch", "mode: spiffs")), 404);
}

#[test]
fn status_405_is_for_other_methods() {
    let port = port();
    for method in ["POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let reply = port.say(asking("GET /ota", &format!("{method} /ota")));
        has_no_body(&reply, 405);
        assert_eq!(reply.field("allow"), Some("GET"));
    }
    has_no_body(&port.say("HEAD /lamp.bin HTTP/1.0\r\nUser-Agent: curl/8.0\r\n\r\n"), 403);
}

#[test]
fn a_body_that_nobody_reads_resets_no_connection() {
    let port = port();
    let body = "x".repeat(100_000);
    let post = asking("GET /ota", "POST /ota").replace("Content-Length: 0", "Content-Length: 100000");
    for _ in 0..5 {
        has_no_body(&port.say(format!("{post}{body}")), 405);
    }
    // It is announced, and never comes.
    has_no_body(&port.say(post), 405);
}

#[test]
fn redirects_have_the_statuses_that_devices_follow() {
    for (status, code) in [
        (RedirectStatus::MovedPermanently, 301),
        (RedirectStatus::Found, 302),
        (RedirectStatus::SeeOther, 303),
        (RedirectStatus::TemporaryRedirect, 307),
    ] {
        let key = TokenKey::new(Zeroizing::new(vec![7; 32])).unwrap();
        let elsewhere = Elsewhere::new("http://cdn.example", "http", status, key, 300).unwrap();
        let settings = Settings { elsewhere: Some(elsewhere), ..Settings::default() };
        let port = start(catalogue(1_000), settings, Limits::default());
        let reply = port.say(ESP8266);
        has_no_body(&reply, code);
        let location = reply.field("location").unwrap();
        let path = location.strip_prefix("http://cdn.example").unwrap();
        // What is left of the request of a device that follows.
        let bare = format!(
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: ESP8266-http-Update\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        );
        is_a_file(&port.say(&bare), &image(1_000));
        has_no_body(&port.say(bare.replace("token=", "token=1")), 403);
    }
}

#[test]
fn mode_version_gets_x_version_and_never_304() {
    let port = port();
    let reply = port.say(running(Md5Digest::of(&image(50_000))).replace("mode: sketch", "mode: version"));
    assert_eq!((reply.status(), reply.field("x-version")), (200, Some("2.0.0")));
    assert!(reply.body.is_empty());
}

#[test]
fn the_server_never_says_100() {
    let port = port();
    let expects = asking("HTTP/1.0", "HTTP/1.1")
        .replace("Content-Length: 0", "Expect: 100-continue\r\nContent-Length: 5");
    is_a_file(&port.say(&expects), &image(50_000));
    has_no_body(&port.say(expects.replace("GET", "POST")), 405);
}

#[test]
fn names_of_fields_have_no_case_and_lines_may_end_in_lf() {
    let port = port();
    is_a_file(
        &port.say(ESP8266.to_lowercase().replace("get /", "GET /").replace("http/1", "HTTP/1")),
        &image(50_000),
    );
    is_a_file(&port.say(ESP8266.replace("\r\n", "\n")), &image(50_000));
}

#[test]
fn the_digests_of_a_file_need_neither_fields_nor_credentials() {
    // arduino-esp32 fetches them with a client of their own, which sends neither.
    let sidecar = |path: &str| {
        format!(
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: ESP32HTTPClient\r\nAccept-Encoding: \
             identity;q=1,chunked;q=0.1,*;q=0\r\nConnection: close\r\n\r\n"
        )
    };
    let settings = Settings { credentials: Some(Secret(b"user:pass".to_vec())), ..Settings::default() };
    let port = start(catalogue(1_000), settings, Limits::default());
    let reply = port.say(sidecar("/lamp.bin.md5"));
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.body, format!("{}\n", Md5Digest::of(&image(1_000))).as_bytes());
    assert_eq!(port.say(sidecar("/lamp.bin.sha256")).body.len(), 65);
    has_no_body(&port.say(sidecar("/none.bin.md5")), 404);
    // The image is another matter.
    has_no_body(&port.say(sidecar("/lamp.bin")), 403);
}

#[test]
fn curl_gets_what_a_device_gets() {
    if Command::new("curl").arg("--version").output().is_err() {
        return crate::testing::skipped("curl");
    }
    let port = port();
    let curl = |words: &[&str], path: &str| {
        let url = format!("http://{}{path}", port.address);
        let agent = ["-sS", "--fail", "--max-time", "20", "-A", "ESP8266-http-Update", url.as_str()];
        Command::new("curl").args(agent).args(words).output().unwrap()
    };
    for words in [&["--http1.0"][..], &["--http1.1"], &["--http1.1", "--compressed"]] {
        let output = curl(words, "/lamp.bin");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == image(50_000), "curl got another image");
    }
    // 22: a status of 400 or above.
    assert_eq!(curl(&[], "/ota/none").status.code(), Some(22));
    assert_eq!(curl(&["-A", "curl"], "/lamp.bin").status.code(), Some(22));
    assert_eq!(curl(&["--data-binary", &"x".repeat(50_000)], "/lamp.bin").status.code(), Some(22));
    assert!(curl(&["-H", "x-ESP8266-mode: version"], "/ota/lamp").stdout.is_empty());
}
