//! The help of every command: its headings, its length, and its examples, which all run as help prints them. Also the
//! names that people know from other programs.
#![cfg(unix)]

use crate::common::{Bench, OTASEAL, input};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Headings in the order of every help.
const HEADINGS: [&str; 7] = ["Arguments", "Key", "Output", "Devices", "Checks", "Evidence", "General"];

/// Returns the help of a command. `option` is `-h` or `--help`.
fn help(path: &[&str], option: &str) -> String {
    let output = Command::new(OTASEAL).args(path).arg(option).output().unwrap();
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the lines below a heading of a help.
fn below<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| line.strip_suffix(':') != Some(heading)).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with(' ')).collect()
}

/// Returns the path of the program, which is empty, and of every command.
fn paths() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        let words: Vec<_> = path.iter().map(String::as_str).collect();
        let commands = help(&words, "--help");
        // The names stand in a column of their own. Lines of longer texts go on in the next column.
        let names = below(&commands, "Commands").into_iter().filter(|line| !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        found.extend(names.map(|name| [&path[..], &[name.to_owned()]].concat()));
    }
    assert!(found.len() >= 27, "{found:?}");
    found
}

#[test]
fn options_stand_under_headings_in_one_order() {
    for path in paths() {
        let words: Vec<_> = path.iter().map(String::as_str).collect();
        for option in ["-h", "--help"] {
            let help = help(&words, option);
            let headings = help.lines().filter(|line| !line.contains(' ') && line.ends_with(':'));
            let headings: Vec<_> = headings.map(|line| line.trim_end_matches(':')).collect();
            let mut order = ["Commands"].iter().chain(&HEADINGS).chain(&["Examples"]);
            let in_order = headings.iter().all(|heading| order.any(|known| known == heading));
            assert!(in_order, "{path:?}: {headings:?}");
            assert!(headings.contains(&"General") && headings.contains(&"Examples"), "{path:?}");
        }
    }
}

/// `-h` is for a screen. `--help` has everything.
#[test]
fn the_short_help_has_the_most_used_options() {
    let options = |help: &str| {
        let lines = HEADINGS[1..].iter().flat_map(|heading| below(help, heading));
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    for path in paths() {
        let words: Vec<_> = path.iter().map(String::as_str).collect();
        let short = options(&help(&words, "-h"));
        assert!(short.len() <= 20, "{path:?}: {short:#?}");
        let whole = options(&help(&words, "--help")).join("\n");
        for line in short {
            let option = line.split_whitespace().find(|word| word.starts_with("--"));
            assert!(option.is_none_or(|option| whole.contains(option)), "{path:?}: {line}");
        }
    }
    let (short, whole) = (help(&["package"], "-h"), help(&["package"], "--help"));
    let seldom = ["--signer-timeout", "--passphrase-fd", "--chip-size", "--jobs", "--config", "--sbom"];
    assert!(seldom.iter().all(|option| !short.contains(option) && whole.contains(option)), "{short}");
    assert!(short.find("--key") < short.find("--passphrase-file"), "the most used option comes first");
}

/// Makes the files that the examples name.
fn prepared() -> Bench {
    let bench = Bench::new();
    for directory in ["keys", "build", "releases"] {
        fs::create_dir(bench.path(directory)).unwrap();
    }
    let copy = |from: &str, to: &str| {
        fs::copy(input(from), bench.path(to)).unwrap_or_else(|error| panic!("{from}: {error}"));
    };
    for (from, to) in [
        ("keys/other.pem", "keys/private.pem"),
        ("keys/other.public.pem", "keys/public.pem"),
        ("keys/encrypted.pem", "keys/encrypted.pem"),
        ("keys/other.public.pem", "a.pub"),
        ("keys/rsa3072.public.pem", "b.pub"),
        ("keys/other.pem", "key.pem"),
        ("keys/other.public.pem", "key.pub"),
        ("keys/rsa3072.pem", "my.pem"),
        ("keys/other.public.pem", "my.pub"),
        ("passphrase.txt", "pass.txt"),
        ("keyed.other.bin", "firmware.bin"),
        ("keyed.other.bin", "lamp.bin"),
        ("keyed.other.bin", "build/lamp.bin"),
        ("keyed.other.bin", "build/door.bin"),
        ("ledger.lamp.jsonl", "lamp.jsonl"),
        ("ledger.lamp.jsonl", "log.jsonl"),
        ("releases/lamp-1.2.3.json", "releases/lamp-1.2.3.json"),
        ("releases/door-2.0.0.json", "releases/door-2.0.0.json"),
        ("rotation/1.0.signed", "1.signed"),
        ("rotation/bridge.signed", "bridge.signed"),
        ("rotation/2.0.gz.signed", "2.signed"),
    ] {
        copy(from, to);
    }
    for (from, to) in [("package", "lamp"), ("release", "1")] {
        fs::create_dir(bench.path(to)).unwrap();
        for entry in fs::read_dir(input(from)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            copy(&format!("{from}/{name}"), &format!("{to}/{name}"));
        }
    }
    for key in ["keys/private.pem", "key.pem", "my.pem"] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(bench.path(key), fs::Permissions::from_mode(0o600)).unwrap();
    }
    // An ESP8266 image that carries the key. The updaters refuse one that fills no sector.
    let mut image = fs::read(input("esp8266.bin")).unwrap();
    image.extend(bench.read("keys/public.pem"));
    image.resize(16 << 10, 0);
    bench.write("esp.bin", &image);
    bench.ok(&["sign", "firmware.bin", "-o", "firmware.bin.signed", "-k", "keys/private.pem"]);
    bench.openssl("dgst -sha256 -sign keys/private.pem -out raw firmware.bin");
    bench.ok(&["digest", "firmware.bin", "-k", "keys/public.pem", "-o", "lamp.json"]);
    bench
}

/// Copies a directory with everything in it.
fn copy_of(bench: &Bench) -> Bench {
    let copy = Bench::new();
    copy.run("cp", &[Path::new("-a"), &bench.path("."), copy.dir()]);
    copy
}

#[test]
fn every_example_works_as_help_prints_it() {
    let prepared = prepared();
    let program = Path::new(OTASEAL).parent().unwrap().display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    for words in paths() {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let text = help(&words, "--help");
        let examples = below(&text, "Examples");
        assert!(help(&words, "-h").contains("\nExamples:\n"), "{words:?}");
        let lines: Vec<_> = examples.iter().filter_map(|line| line.strip_prefix("    ")).collect();
        assert!(lines.len() >= 2, "{words:?} has {lines:?}");
        // A terminal of 80 columns wraps longer lines, and a wrapped command cannot be pasted.
        assert!(lines.iter().all(|line| line.len() <= 76), "{lines:#?}");
        let own = format!("otaseal {} ", words.join(" "));
        for line in &lines {
            assert!(
                format!("{line} ").starts_with(own.trim_start()) || words.is_empty(),
                "{words:?}: {line}"
            );
            let bench = copy_of(&prepared);
            let mut command = Command::new("sh");
            command.args(["-c", line]).current_dir(bench.dir()).env("PATH", &path);
            let output = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        }
    }
}

/// Each line is a command in words of another program, and the same command in ours.
#[test]
fn names_of_other_programs_lead_to_the_command() {
    let bench = prepared();
    let paths = paths();
    let shown: String = paths
        .iter()
        .map(|path| help(&path.iter().map(String::as_str).collect::<Vec<_>>(), "--help"))
        .collect();
    for (theirs, ours) in [
        ("info firmware.bin", "inspect firmware.bin"),
        ("image-info firmware.bin", "inspect firmware.bin"),
        ("image_info firmware.bin", "inspect firmware.bin"),
        ("gzip firmware.bin -o -", "compress firmware.bin -o -"),
        ("getpub keys/public.pem --pem", "pubkey keys/public.pem --pem"),
        ("genkey --bits 1024", "keygen --bits 1024"),
        (
            "verify firmware.bin.signed --public-key keys/public.pem",
            "verify firmware.bin.signed -k keys/public.pem",
        ),
        (
            "inspect firmware.bin.signed --public-key keys/public.pem",
            "inspect firmware.bin.signed -k keys/public.pem",
        ),
        ("key convert keys/public.pem --as pkcs1 -o -", "key convert keys/public.pem --format pkcs1 -o -"),
        ("digest firmware.bin --as-kind filesystem", "digest firmware.bin --kind filesystem"),
        (
            "verify esp.bin --as esp8266@3.1.2/unsigned --as-kind filesystem",
            "verify esp.bin --as esp8266@3.1.2/unsigned --kind filesystem",
        ),
    ] {
        let run = |line: &str| {
            let output = bench.otaseal(&line.split(' ').collect::<Vec<_>>());
            (output.status.code(), output.stdout, output.stderr)
        };
        assert_eq!(run(theirs), run(ours), "{theirs}");
        // Help shows our name alone.
        let word = theirs.split(' ').find(|word| !ours.split(' ').any(|our| our == *word)).unwrap();
        let listed = |line: &str| line.split_whitespace().next() == Some(word);
        // Both are names of ours too: `key info` and `verify --as`.
        assert!(["info", "--as"].contains(&word) || !shown.lines().any(listed), "{word}");
    }
}
