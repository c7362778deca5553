use super::*;
use crate::testing::skipped;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Returns the bill of materials of this workspace's own program. It has macros and build scripts among its packages.
fn own(timestamp: Option<u64>) -> Value {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../otaseal-cli/Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).exec().unwrap();
    let root = metadata.packages.iter().find(|package| package.name.as_str() == "otaseal-cli").unwrap();
    document(&metadata, &root.id, "firmware", timestamp)
}

fn component<'v>(bom: &'v Value, name: &str) -> &'v Value {
    bom["components"].as_array().unwrap().iter().find(|component| component["name"] == name).unwrap()
}

#[test]
fn it_lists_what_is_in_the_image_and_what_only_builds_it() {
    let bom = own(None);
    assert_eq!(bom["metadata"]["component"]["name"], "otaseal-cli");
    assert_eq!(bom["metadata"]["component"]["type"], "firmware");
    assert!(bom["metadata"].get("timestamp").is_none() && bom.get("serialNumber").is_none());
    let rsa = component(&bom, "rsa");
    assert_eq!(rsa["scope"], "required");
    assert!(rsa["purl"].as_str().unwrap().starts_with("pkg:cargo/rsa@0.10.0-rc."));
    assert_eq!(component(&bom, "otaseal-device")["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(component(&bom, "clap_derive")["scope"], "excluded", "a macro runs while building");
    assert_eq!(component(&bom, "cc")["scope"], "excluded", "so does a build script's library");
    let names: Vec<_> =
        bom["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"trycmd"), "what tests need is in nothing");
    // The document declares every reference once, and every reference has a component.
    let declared: Vec<_> =
        bom["components"].as_array().unwrap().iter().chain([&bom["metadata"]["component"]]).collect();
    let references: BTreeSet<_> =
        declared.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(references.len(), declared.len());
    for dependency in bom["dependencies"].as_array().unwrap() {
        let on = dependency["dependsOn"].as_array().unwrap().iter();
        assert!(
            on.chain([&dependency["ref"]]).all(|reference| references.contains(reference.as_str().unwrap()))
        );
    }
}

#[test]
fn it_is_the_same_on_every_run_and_knows_no_machine() {
    let text = own(None).to_string();
    assert_eq!(text, own(None).to_string());
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    assert!(!text.contains(here.to_str().unwrap()) && !text.contains("file:"));
    assert_eq!(own(Some(1_700_000_000))["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
}

#[test]
fn a_program_is_an_application_with_the_crates_of_its_system() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manifest = workspace.join("crates/otaseal-cli/Cargo.toml");
    let made = |target| -> Value {
        let text = program_sbom(&manifest, Some(target), Some(1_700_000_000)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let bom = made("x86_64-unknown-linux-gnu");
    assert_eq!(bom["metadata"]["component"]["name"], "otaseal-cli");
    assert_eq!(bom["metadata"]["component"]["type"], "application");
    let has = |bom: &Value, name: &str| {
        bom["components"].as_array().unwrap().iter().any(|component| component["name"] == name)
    };
    assert!(has(&bom, "signal-hook") && !has(&bom, "ctrlc"), "Linux");
    let bom = made("x86_64-pc-windows-msvc");
    assert!(!has(&bom, "signal-hook") && has(&bom, "ctrlc"), "Windows");
    let none = program_sbom(&workspace.join("Cargo.toml"), None, None);
    assert!(matches!(none, Err(CargoError::Metadata(text)) if text.ends_with("has no package")));
}

#[test]
fn a_package_from_git_says_where() {
    assert_eq!(escaped("https://a.b/c?rev=1#2"), "https%3A%2F%2Fa.b%2Fc%3Frev%3D1%232");
}

/// Validates the document with CycloneDX's own library and schema.
#[test]
fn cyclonedx_accepts_it() {
    let script = "import sys\n\
                  from cyclonedx.schema import SchemaVersion\n\
                  from cyclonedx.validation.json import JsonStrictValidator\n\
                  error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(sys.stdin.read())\n\
                  sys.exit(str(error) if error else 0)";
    let import =
        Command::new("python3").args(["-c", "import cyclonedx.validation.json, jsonschema"]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        return skipped("python3 has no cyclonedx-python-lib[json-validation]");
    }
    for (bom, good) in [(own(Some(1_700_000_000)), true), (json!({"bomFormat": "CycloneDX"}), false)] {
        let mut python = Command::new("python3");
        python.args(["-c", script]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = python.spawn().unwrap();
        child.stdin.take().unwrap().write_all(bom.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.success(), good, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
