//! Redirects: to a second server with the same secret, which checks who was sent.

use crate::server::{Server, lamp, public};
use crate::setup::{exits, is_missing};
use otaseal::format::digest::Sha256Digest;
use otaseal_delivery::pull::redirect::{Token, TokenKey};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::{TempDir, tempdir};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The server to which devices come, and the one that has the files.
struct Two {
    folder: TempDir,
    front: Server,
    files: Server,
}

fn two() -> Two {
    let folder = tempdir().unwrap();
    lamp(&folder.path().join("dist/lamp"), "1.0.0");
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let redirecting = |to: &str| {
        let secret = secret.to_str().unwrap();
        let options = ["--key", &public(), "--redirect", to, "--redirect-secret", secret];
        Server::start(&folder.path().join("dist"), &options)
    };
    let files = redirecting("http://unused.example");
    let front = redirecting(&format!("http://{}", files.address));
    Two { folder, front, files }
}

impl Two {
    /// The path at the second server to which a device is sent.
    fn path(&self) -> String {
        let reply = self.front.ask("/ota/lamp", &[]);
        assert_eq!((reply.status, reply.body.len()), (302, 0));
        let location = reply.location.unwrap();
        let start = format!("http://{}", self.files.address);
        location.strip_prefix(&start).unwrap_or_else(|| panic!("{location}")).to_owned()
    }

    fn signed(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("dist/lamp/lamp.bin.signed")).unwrap()
    }

    /// Asks the second server as a device that follows does: it says nothing of itself.
    fn curl(&self, path: &str) -> (String, Vec<u8>) {
        let body = self.folder.path().join("body");
        let _ = fs::remove_file(&body);
        let url = format!("http://{}{path}", self.files.address);
        let status = curl(&url, &body, &[]);
        (status, fs::read(&body).unwrap_or_default())
    }
}

/// Returns the last status.
fn curl(url: &str, body: &Path, more: &[&str]) -> String {
    let agent = ["-sS", "--http1.0", "-A", "ESP8266-http-Update", "-w", "%{http_code}", "-o"];
    let mut command = Command::new("curl");
    let output = command.args(agent).arg(body).args(more).arg(url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_device_follows_a_redirect_if_its_sketch_lets_it() {
    let mut two = two();
    let url = format!("http://{}/ota/lamp", two.front.address);
    let simulate = ["simulate", "http", &url, "--polls", "2", "--every", "0"];
    let said = exits(0, &simulate);
    assert_eq!(said.matches("failed: error -104").count(), 2, "{said}");
    let said = exits(0, &[&simulate[..], &["--follow"]].concat());
    assert!(said.contains("updated, runs 1.0.0") && said.contains("no update, runs 1.0.0"), "{said}");
    let line = two.files.line("200 GET /file/");
    assert!(line.contains("a redirect of this server names it"), "{line}");
    assert!(line.contains("sent: every byte reached the device"), "{line}");
    two.front.said("302 GET /ota/lamp");
}

#[test]
fn curl_follows_a_redirect_to_the_same_bytes() {
    if is_missing("curl") {
        return;
    }
    let two = two();
    let (url, body) = (format!("http://{}/ota/lamp", two.front.address), two.folder.path().join("followed"));
    let fields = ["-L", "-H", "x-ESP8266-mode: sketch", "-H", "x-ESP8266-STA-MAC: 5C:CF:7F:AA:BB:CC"];
    assert_eq!(curl(&url, &body, &fields), "200");
    assert!(fs::read(body).unwrap() == two.signed(), "other bytes");
    let (status, body) = two.curl(&two.path());
    assert!(status == "200" && body == two.signed(), "{status}");
}

#[test]
fn a_forged_token_and_none_are_403() {
    if is_missing("curl") {
        return;
    }
    let mut two = two();
    let path = two.path();
    let (file, token) = path.split_once("?token=").unwrap();
    let (text, mac) = token.rsplit_once('.').unwrap();
    let (expires, rest) = text.split_once('.').unwrap();
    let later = expires.parse::<u64>().unwrap() + 3600;
    let other = format!("/file/{}", "00".repeat(32));
    for forged in [
        file.to_owned(),
        format!("{file}?token="),
        format!("{file}?token={later}.{rest}.{mac}"),
        format!("{file}?token={text}.{}", "A".repeat(mac.len())),
        format!("{other}?token={token}"),
    ] {
        let (status, body) = two.curl(&forged);
        assert!(status == "403" && body.is_empty(), "{forged}: {status}");
        two.files.line("the token in the address is not one of ours");
    }
    // The true one is still good.
    assert_eq!(two.curl(&path).0, "200");
}

#[test]
fn an_expired_token_is_403() {
    if is_missing("curl") {
        return;
    }
    let mut two = two();
    let path = two.path();
    let (file, _) = path.split_once('?').unwrap();
    let digest: Sha256Digest = file.strip_prefix("/file/").unwrap().parse().unwrap();
    let key = TokenKey::new(SECRET.to_vec().into()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let with = |expires| {
        let token = Token { device: "ESP8266 5C:CF:7F:AA:BB:CC".into(), file: digest, expires };
        format!("{file}?token={}", key.make(&token))
    };
    let (status, body) = two.curl(&with(now));
    assert!(status == "403" && body.is_empty(), "{status}");
    two.files.line("the token in the address has expired");
    // The same with time left is what the server itself makes.
    assert_eq!(two.curl(&with(now + 60)).0, "200");
}
