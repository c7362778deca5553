//! The lines of the README's "Update a device", typed against simulated devices.

use crate::setup::{Running, broker, example_key, exits, image, is_missing, package};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::tempdir;

#[test]
fn the_lines_of_the_readme_update_a_device() {
    if is_missing("mosquitto") {
        return;
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let section = readme.split("## Update a device").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<&str> = block.lines().collect();
    assert_eq!(lines.len(), 5, "{block}");

    let folder = tempdir().unwrap();
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.1.0", &key), &key);
    let public = folder.path().join("public.pem");
    fs::write(&public, key.public().to_spki_pem()).unwrap();
    let (_broker, url) = broker(folder.path());
    let (espota, line) = Running::start(&["simulate", "espota", "--port", "0"]);
    let espota_host = line.rsplit(' ').next().unwrap().to_owned();
    let (form, line) = Running::start(&["simulate", "form", "--port", "0"]);
    let form_host = line.rsplit(' ').next().unwrap().to_owned();
    let running = folder.path().join("running.bin");
    fs::write(&running, image("1.0.0", &key)).unwrap();
    let (_homie, _) = Running::start(&[
        "simulate",
        "homie",
        "--broker",
        &url,
        "--name",
        "kitchen",
        "--for",
        "homie-mqtt@3.1.2",
        "--running",
        running.to_str().unwrap(),
    ]);
    let typed = |line: &str| -> Vec<String> {
        let line = line.strip_prefix("otaseal-fleet ").unwrap();
        line.split(' ')
            .map(|word| match word {
                "kitchen.local" => espota_host.clone(),
                "http://192.168.1.50/update" => format!("http://{form_host}/update"),
                "mqtt://broker.lan" => url.clone(),
                // The simulated devices count.
                "kitchen" => "kitchen-1".to_owned(),
                "dist" => dist.to_str().unwrap().to_owned(),
                "keys/public.pem" => public.to_str().unwrap().to_owned(),
                word => word.to_owned(),
            })
            .collect()
    };
    for line in &lines[..3] {
        let words = typed(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        exits(0, &words);
    }
    assert!(espota.interrupt().contains("runs lamp 1.1.0"));
    assert!(form.interrupt().contains("runs lamp 1.1.0"));

    let mut serve = typed(lines[3]);
    serve.extend(["--listen", "127.0.0.1:0", "--quiet"].map(str::to_owned));
    let serve: Vec<&str> = serve.iter().map(String::as_str).collect();
    let (server, line) = Running::start(&serve);
    let address = line.rsplit("//").next().unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = "GET /ota/lamp HTTP/1.0\r\nUser-Agent: ESP8266-http-Update\r\nx-ESP8266-free-space: 987136\r\n\
                   x-ESP8266-sketch-size: 60000\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"));
    assert!(answer.len() > 120_000);
    drop(stream);
    // The record is written when the connection has ended.
    std::thread::sleep(Duration::from_millis(500));
    let counts = server.interrupt();
    assert!(counts.contains("1 offered"), "{counts}");

    // Whether this machine has multicast is not known: the line is one that the program takes.
    let mut discover = typed(lines[4]);
    discover.push("--help".to_owned());
    exits(0, &discover.iter().map(String::as_str).collect::<Vec<_>>());
}
