//! Types what the guide says.

use crate::server::{Server, lamp, public};
use crate::setup::{exits, is_missing};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;

/// The blocks of the guide in a language.
fn blocks(language: &str) -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/http.md");
    let text = fs::read_to_string(guide).unwrap();
    let start = format!("```{language}\n");
    text.split(&start).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_of_the_guide_works() {
    if is_missing("openssl") {
        return;
    }
    let folder = tempdir().unwrap();
    let dist = folder.path().join("dist");
    lamp(&dist.join("lamp-1.3.0"), "1.3.0");
    fs::write(dist.join("devices.toml"), &blocks("toml")[0]).unwrap();
    for name in ["ota.password", "redirect.secret"] {
        fs::write(folder.path().join(name), "0123456789abcdef0123456789abcdef\n").unwrap();
    }
    let here = |word: &str| match word {
        "keys/public.pem" => public(),
        "dist" => dist.display().to_string(),
        name if name.ends_with(".pem") || name.ends_with(".key") || name.starts_with("ota.") => {
            folder.path().join(name).display().to_string()
        }
        "redirect.secret" => folder.path().join("redirect.secret").display().to_string(),
        word => word.to_owned(),
    };
    let (mut served, mut simulated) = (0, 0);
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let words: Vec<String> = line.split_whitespace().map(here).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["openssl", rest @ ..] => {
                assert!(Command::new("openssl").args(rest).output().unwrap().status.success())
            }
            ["otaseal-fleet", "serve", directory, rest @ ..] => {
                let server = Server::start(Path::new(directory), rest);
                let asked = if rest.contains(&"--tls-cert") {
                    None
                } else {
                    Some(server.ask("/ota/lamp", &[]).status)
                };
                assert!(matches!(asked, None | Some(200 | 302 | 401)), "{line}: {asked:?}");
                served += 1;
            }
            ["otaseal-fleet", "simulate", "http", url] => {
                let server = Server::start(&dist, &["--key", &public()]);
                let url = url.replace("127.0.0.1:8080", &server.address);
                let text = exits(0, &["simulate", "http", &url, "--polls", "2", "--every", "0"]);
                assert!(text.contains("no update, runs 1.3.0"), "{text}");
                simulated += 1;
            }
            _ => panic!("what is {line}?"),
        }
    }
    assert!(served >= 4 && simulated == 1);
}
