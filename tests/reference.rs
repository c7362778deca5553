//! The reference of the book: the page of commands is what the program prints, and the schemas describe what it writes.

use crate::common::{self, Bench, OTASEAL, python_with, root};
use std::fs;
use std::process::Command;

/// The variable with which `cargo xtask book --update` writes the page.
const UPDATE: &str = "OTASEAL_UPDATE_REFERENCE";

const INTRODUCTION: &str = "\
# Commands

<!-- `cargo xtask book --update` writes this page. -->

This is what `otaseal COMMAND --help` prints. `-h` prints the most used options only. [The program](program.md) tells what
all commands have in common.
";

#[test]
fn the_page_of_commands_is_what_the_program_prints() {
    let mut page = INTRODUCTION.to_owned();
    describe(&[], &mut page);
    let path = root().join("docs/reference/commands.md");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differs = page.lines().zip(found.lines()).find(|(new, old)| new != old);
    assert!(found == page, "the page is not up to date: run `cargo xtask book --update`: {differs:?}");
}

/// Adds the help of a command and of the commands below it.
fn describe(command: &[&str], page: &mut String) {
    let mut program = Command::new(OTASEAL);
    // The help shows the values of variables, and is as wide as the terminal.
    program.args(command).arg("--help").env_clear().env("COLUMNS", "100").current_dir(root());
    let output = program.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let help = String::from_utf8(output.stdout).unwrap().replace("otaseal.exe", "otaseal");
    let title = match command {
        [] => "otaseal".to_owned(),
        words => words.join(" "),
    };
    let level = if command.len() > 1 { "###" } else { "##" };
    page.push_str(&format!("\n{level} {title}\n\n```text\n"));
    for line in help.trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    let list =
        help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        describe(&[command, &[name]].concat(), page);
    }
}

/// Checks files by a schema: `SCHEMA FILE...`. Every field of a file must be in the schema, so that the schema cannot
/// fall behind. Then it changes each field in turn, and the schema must notice.
const VALIDATE: &str = r#"
import copy, json, sys
import jsonschema

schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
accepts = validator.is_valid

def resolved(part):
    return schema["$defs"][part["$ref"].split("/")[-1]] if "$ref" in part else part

def known(value, part, place):
    part = resolved(part)
    if isinstance(value, dict):
        for name, inner in value.items():
            described = part.get("properties", {}).get(name, part.get("additionalProperties"))
            assert described, f"{place}.{name} is not in the schema"
            known(inner, described, f"{place}.{name}")
    if isinstance(value, list):
        for inner in value:
            known(inner, part["items"], place)

changes = 0
for name in sys.argv[2:]:
    text = open(name).read()
    for line in text.splitlines() if name.endswith(".jsonl") else [text]:
        value = json.loads(line)
        validator.validate(value)
        known(value, schema, name)
        for field in value:
            changed = copy.deepcopy(value)
            changed[field] = ["wrong"]
            assert not accepts(changed), f"{name}: {field} may be anything"
            changes += 1
        for field in schema["required"]:
            changed = copy.deepcopy(value)
            del changed[field]
            assert not accepts(changed), f"{name}: without {field}"
assert changes > 10
"#;

#[test]
fn the_schemas_describe_what_the_program_writes() {
    if !python_with("jsonschema") {
        return;
    }
    let bench = Bench::with_keys();
    bench.write("sbom.json", br#"{"bomFormat":"CycloneDX","specVersion":"1.5","version":1}"#);
    let everything = "package image.bin --key key.pem --release --ledger ledger.jsonl --out-dir everything \
        --support-until 2030-01-01 --security --advisory https://example.org/1 --sbom sbom.json \
        --artefacts plain,gz,signed,gz-signed,legacy-sig --metadata --build-id 17 --timestamp 0";
    bench.ok(&everything.split_whitespace().collect::<Vec<_>>());
    bench.write("esp8266.bin", &fs::read(common::input("esp8266.bin")).unwrap());
    let devices = "package esp8266.bin --key key.pem --out-dir devices --for esp8266@3.1.2,esp8266@2.5.2 --via http \
        --allow-no-key --ledger ledger.jsonl --artefacts plain,signed,legacy-sig";
    bench.ok(&devices.split_whitespace().collect::<Vec<_>>());
    bench.write("littlefs.4096.bin", &fs::read(common::input("littlefs.4096.bin")).unwrap());
    let files = "package littlefs.4096.bin --key key.pem --out-dir files --kind filesystem --allow-no-key";
    bench.ok(&files.split_whitespace().collect::<Vec<_>>());
    bench.ok(&[
        "package",
        "esp8266.bin",
        "--out-dir",
        "unsigned",
        "--for",
        "esp8266@3.1.2/unsigned",
        "--via",
        "http",
    ]);
    let schema = |name: &str| root().join("docs/reference/schemas").join(name).display().to_string();
    let manifests =
        ["everything", "devices", "files", "unsigned"].map(|name| format!("{name}/manifest.json"));
    let manifests: Vec<_> = manifests.iter().map(String::as_str).collect();
    bench.python(VALIDATE, &[&[&*schema("manifest.schema.json")], &manifests[..]].concat());
    // The manifest of a signed package, without its key.
    let mut stripped: serde_json::Value =
        serde_json::from_slice(&bench.read("devices/manifest.json")).unwrap();
    stripped["key"] = serde_json::Value::Null;
    bench.write("stripped.json", stripped.to_string().as_bytes());
    let refused = "import json, jsonschema, sys\nschema, file = (json.load(open(name)) for name in sys.argv[1:])\n\
                   assert not jsonschema.Draft202012Validator(schema).is_valid(file)";
    bench.python(refused, &[&*schema("manifest.schema.json"), "stripped.json"]);
    let torn = common::input("ledger.lamp.jsonl").display().to_string();
    bench.python(VALIDATE, &[&schema("ledger.schema.json"), "ledger.jsonl", &torn]);
}

/// Returns every page of the book and beside it that somebody wrote, with its text.
fn written_pages() -> Vec<(String, String)> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    let contents = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed = contents.lines().filter_map(|line| Some(line.split_once("](")?.1.trim_end_matches(')')));
    pages.extend(listed.map(|page| format!("docs/{page}")));
    pages.retain(|page| !["commands.md", "errors.md"].iter().any(|generated| page.ends_with(generated)));
    let text = |page: &String| fs::read_to_string(root().join(page)).unwrap();
    pages.iter().map(|page| (page.clone(), text(page))).collect()
}

/// Returns the commands of the program in the code of a page, each in one line.
fn commands(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let mut found = Vec::new();
    let mut inside = false;
    for line in joined.lines() {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        let codes: Vec<&str> = if inside { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for code in codes {
            for (at, _) in code.match_indices("otaseal ") {
                let starts = code[..at].chars().next_back().is_none_or(|c| " $=\"'`".contains(c));
                let command = code[at..].split(['|', ';', '&', '#', '`', '\'', '"', '(']).next().unwrap();
                // Comments and the names of Cargo's packages are no commands.
                let other = code[..at].contains('#')
                    || ["-p ", "Compiling "].iter().any(|word| code[..at].ends_with(word));
                if starts && !other {
                    found.push(command.trim().to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn the_pages_name_only_options_that_the_help_shows() {
    let reference =
        fs::read_to_string(root().join("docs/reference/commands.md")).unwrap().replace("\n###", "\n##");
    let help = |title: &str| reference.split(&format!("\n## {title}\n")).nth(1)?.split("\n## ").next();
    let mut count = 0;
    let mut wrong = Vec::new();
    for (page, text) in written_pages() {
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let pair = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
            let single = words.first().copied().unwrap_or_default();
            let Some(help) = help(&pair).or_else(|| help(single)) else {
                let prose = single.starts_with(|c: char| !c.is_ascii_lowercase());
                if !prose {
                    wrong.push(format!("{page}: there is no command: {command}"));
                }
                continue;
            };
            for option in words.iter().filter_map(|word| word.strip_prefix("--")) {
                let name: String =
                    option.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                let shown = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                if !shown.into_iter().any(|word| word.strip_prefix("--") == Some(&*name)) {
                    wrong.push(format!("{page}: no option --{name}: {command}"));
                }
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 100, "{count} options");
}
