//! Types the commands of the guide on Homie.

use crate::setup::{Running, broker, example_key, exits, image, is_missing, package};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

#[test]
fn the_commands_of_the_guide_on_homie_work_as_they_stand() {
    if is_missing("mosquitto") {
        return;
    }
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/homie.md");
    let guide = fs::read_to_string(guide).unwrap();
    let folder = tempdir().unwrap();
    let (_broker, url) = broker(folder.path());
    let key = example_key();
    let dist = package(&folder.path().join("dist"), &image("1.3.0", &key), &key);
    let change = folder.path().join("change.json");
    let (_, json) = guide.split_once("```json\n").unwrap();
    fs::write(&change, json.split_once("```").unwrap().0).unwrap();
    let mut lines: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("otaseal-fleet ")).collect();
    let simulate = lines.iter().position(|line| line.starts_with("simulate ")).unwrap();
    let simulate = lines.remove(simulate).replace("mqtt://127.0.0.1", &url) + " --name kitchen";
    let (_devices, _) = Running::start(&simulate.split(' ').collect::<Vec<_>>());
    // A device of Homie 1 pulls from a server that is not here.
    lines.retain(|line| !line.contains("--trigger"));
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in lines {
        let words = line.split(' ').map(|word| match word {
            "kitchen" => "kitchen-1",
            "mqtt://broker.lan" => &url,
            "change.json" => change.to_str().unwrap(),
            "dist/lamp-1.3.0" => dist.to_str().unwrap(),
            word => word,
        });
        let mut words: Vec<&str> = words.collect();
        if words[0] == "push" {
            // The simulated device runs another firmware, and has no key.
            words.extend(["--other-firmware", "--for", "homie-mqtt@3.1.2/unsigned"]);
        }
        let said = exits(0, &words);
        match words[0] {
            "push" => assert!(said.contains("running: the device came back as the new image"), "{said}"),
            "discover" => assert!(said.contains("kitchen-3"), "{said}"),
            _ => assert!(said.contains("interval"), "{said}"),
        }
    }
}
