use super::*;
use crate::config::Config;
use crate::objects::{Depot, Folder};
use crate::service::Settings;
use crate::store::Store;
use crate::store::sqlite::Sqlite;
use crate::testing::image;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

/// The API on a port of the loopback, with the token of its owner.
struct Bench {
    _folder: tempfile::TempDir,
    operations: Arc<Operations>,
    address: SocketAddr,
    token: String,
    _runtime: tokio::runtime::Runtime,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let depot = Depot::new(Folder::open(folder.path().join("objects")).unwrap(), 1 << 20);
    let mut config = Config::default();
    config.releases.unsigned = true;
    config.releases.upload_bytes = 1 << 20;
    let store = |path: &Path| Ok(Box::new(Sqlite::open(path)?) as Box<dyn Store>);
    let operations = Operations::start(folder.path(), store, depot, config, Settings::default()).unwrap();
    let token = operations.first_token().unwrap().unwrap().to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let routes = router(Arc::clone(&operations));
    runtime.spawn(async move { axum::serve(listener, routes).await });
    Bench { _folder: folder, operations, address, token, _runtime: runtime }
}

impl Bench {
    /// Sends these bytes, and reads the answer to its end: its status and its body.
    fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn with(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let token = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: fleet\r\nconnection: close\r\n{token}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (status, body) = self.raw(&[head.as_bytes(), body].concat());
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
        (status, body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.with(Some(&self.token), method, &format!("/api/v1{path}"), body.as_bytes())
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &Value::Null)
    }

    fn upload(&self, version: &str) -> (u16, Value) {
        self.with(Some(&self.token), "POST", "/api/v1/releases?file=lamp.bin", &image("lamp", version))
    }
}

#[test]
fn nothing_is_told_without_a_token() {
    let bench = bench();
    let routes = [
        ("GET", "/releases"),
        ("POST", "/releases?file=a.bin"),
        ("DELETE", "/releases/1"),
        ("POST", "/releases/1/withdraw"),
        ("GET", "/devices"),
        ("GET", "/devices/count"),
        ("GET", "/devices/1"),
        ("PATCH", "/devices/1"),
        ("DELETE", "/devices/1"),
        ("POST", "/devices/1/push"),
        ("POST", "/devices/1/again"),
        ("POST", "/devices/1/cancel"),
        ("GET", "/rollouts"),
        ("POST", "/rollouts"),
        ("POST", "/rollouts/dry-run"),
        ("GET", "/rollouts/1"),
        ("GET", "/rollouts/1/updates"),
        ("POST", "/rollouts/1/start"),
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("POST", "/keys/remove"),
        ("GET", "/tokens"),
        ("POST", "/tokens"),
        ("DELETE", "/tokens/owner"),
        ("GET", "/audit"),
    ];
    for (method, path) in routes {
        for token in [None, Some(""), Some("otaseal_x"), Some(&bench.token[..bench.token.len() - 1])] {
            let (status, body) = bench.with(token, method, &format!("/api/v1{path}"), b"{}");
            assert_eq!((status, &body["code"]), (401, &json!("token")), "{method} {path} {token:?}");
        }
    }
    let (status, body) = bench.with(None, "GET", "/api/v1/health", b"");
    assert_eq!((status, body), (200, json!({ "health": "good" })));
}

#[test]
fn a_rollout_by_the_api() {
    let bench = bench();
    let (status, release) = bench.upload("1.0.0");
    assert_eq!((status, &release["release"]["version"]), (201, &json!("1.0.0")), "{release}");
    assert_eq!(bench.upload("1.0.0").0, 409, "it is there");
    assert_eq!(bench.get("/devices").1, json!({ "devices": [], "next": null }));
    let plan = json!({ "name": "all", "release": 1, "plan": { "target": "family:esp8266" } });
    let (status, dry) = bench.ask("POST", "/rollouts/dry-run", &plan);
    assert_eq!((status, &dry["targets"]), (200, &json!(0)), "{dry}");
    let (status, made) = bench.ask("POST", "/rollouts", &plan);
    assert_eq!((status, made), (201, json!({ "id": 1 })));
    let (status, refused) = bench.ask("POST", "/rollouts/1/start", &Value::Null);
    assert_eq!((status, &refused["code"]), (422, &json!("no-targets")));
    assert_eq!(bench.get("/rollouts/1").1["phase"], json!("draft"));
    assert_eq!(bench.ask("POST", "/rollouts/1/abort", &Value::Null).0, 204);
    assert_eq!(bench.ask("POST", "/rollouts/1/abort", &Value::Null).0, 409, "it is over");
    assert_eq!(bench.get("/rollouts").1[0]["phase"], json!("aborted"));
    assert_eq!(bench.get("/rollouts/1/updates?state=served").1, json!({ "next": null, "updates": [] }));
    assert_eq!(bench.ask("DELETE", "/releases/1", &Value::Null).0, 409, "the rollout refers to it");
    assert_eq!(bench.ask("POST", "/releases/1/withdraw", &Value::Null).0, 204);
    let actions: Vec<Value> = bench.get("/audit").1["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["action"].clone())
        .collect();
    assert_eq!(
        actions,
        ["release.withdraw", "rollout.abort", "rollout.draft", "release.upload", "token.make"]
    );
}

#[test]
fn a_token_does_what_it_may_until_it_is_revoked() {
    let bench = bench();
    let (status, made) = bench.ask("POST", "/tokens", &json!({ "name": "ci", "scopes": ["upload"] }));
    assert_eq!(status, 201);
    let ci = made["token"].as_str().unwrap();
    assert_eq!(bench.with(Some(ci), "GET", "/api/v1/devices", b"").0, 403);
    let body = image("lamp", "1.0.0");
    assert_eq!(bench.with(Some(ci), "POST", "/api/v1/releases?file=lamp.bin", &body).0, 201);
    let (_, list) = bench.get("/tokens");
    assert!(!list.to_string().contains(ci), "the text is shown once");
    assert_eq!(bench.ask("DELETE", "/tokens/ci", &Value::Null).0, 204);
    let (status, body) = bench.with(Some(ci), "POST", "/api/v1/releases?file=lamp.bin", &body);
    assert_eq!((status, &body["error"]), (401, &json!("the token was revoked")));
    assert_eq!(bench.ask("DELETE", "/tokens/ci", &Value::Null).0, 404);
    assert_eq!(bench.ask("POST", "/tokens", &json!({ "name": "ci", "scopes": ["admin"] })).0, 422);
}

#[test]
fn hostile_requests_get_an_error() {
    let bench = bench();
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(300 * 1024));
    for (method, path, body, status) in [
        ("GET", "/nothing", "", 404),
        ("GET", "/../../etc/passwd", "", 404),
        ("PUT", "/devices", "", 405),
        ("GET", "/devices/abc", "", 400),
        ("GET", "/devices/-1", "", 400),
        ("GET", "/devices/99999999999", "", 400),
        ("GET", "/devices/7", "", 404),
        ("GET", "/devices?filter=colour:red", "", 422),
        ("GET", "/devices?rows=x", "", 400),
        ("GET", "/devices?limit=5", "", 400),
        ("PATCH", "/devices/7", "{}", 404),
        ("PATCH", "/devices/7", "{\"colour\": 1}", 422),
        ("PATCH", "/devices/7", "no json", 400),
        ("PATCH", "/devices/7", &deep, 422),
        ("PATCH", "/devices/7", &large, 413),
        ("POST", "/rollouts", "{\"release\": 9}", 422),
        ("POST", "/rollouts", "{\"name\": \"x\", \"release\": 9}", 409),
        ("POST", "/rollouts/1/explode", "", 404),
        ("POST", "/releases", "", 400),
        ("POST", "/releases?file=../../a.bin", "x", 422),
        ("POST", "/releases?file=lamp.bin", "no image", 422),
        ("GET", "/rollouts/1/updates?state=happy", "", 422),
    ] {
        let (got, answer) =
            bench.with(Some(&bench.token), method, &format!("/api/v1{path}"), body.as_bytes());
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert!(answer["error"].is_string() && answer["code"].is_string(), "{method} {path}: {answer}");
    }
    let (status, body) =
        bench.with(Some(&bench.token), "POST", "/api/v1/releases?file=lamp.bin", &vec![0xE9; (1 << 20) + 1]);
    assert_eq!((status, &body["code"]), (413, &json!("too-large")), "{body}");
    for request in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = TcpStream::connect(bench.address).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(bench.get("/releases").1, json!([]), "nothing of it stayed");
    assert_eq!(bench.operations.faults(), Vec::<String>::new());
}

#[test]
fn an_upload_that_is_cut_leaves_nothing() {
    let bench = bench();
    let head = format!(
        "POST /api/v1/releases?file=lamp.bin HTTP/1.1\r\nhost: fleet\r\nauthorization: Bearer {}\r\n\
         content-length: 50000\r\n\r\n",
        bench.token
    );
    let mut stream = TcpStream::connect(bench.address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&image("lamp", "1.0.0")[..20_000]).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(stream);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(bench.get("/releases").1, json!([]));
    assert_eq!(bench.upload("1.0.0").0, 201);
}
