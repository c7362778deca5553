//! Tests the program as its users meet it.
//!
//! `cmd/SUBCOMMAND/TOPIC/VERB-OBJECT.toml` is one behaviour: arguments, exit code and both outputs. The `.out`
//! directory beside it holds the files that must exist afterwards. `cmd/README.md` lists the topics and the verbs.
//! Every case starts from a copy of `cmd/in`, which `cargo xtask fixtures` makes. This file holds the tests that such a
//! case cannot express.

use crate::common::{OTASEAL, input, root, sandboxes_in_memory, tempdir};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A copy of `cmd/in` that a test may change.
fn sandbox() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (entry, to) = (entry.unwrap().path(), to);
            let target = to.join(entry.file_name().unwrap());
            if entry.is_dir() {
                copy(&entry, &target);
            } else {
                fs::copy(&entry, &target).unwrap();
            }
        }
    }
    let dir = tempdir();
    copy(&input(""), dir.path());
    #[cfg(unix)]
    make_keys_private(dir.path());
    dir
}

fn otaseal(dir: &Path, args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(OTASEAL)
        .args(args)
        .current_dir(dir)
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

/// Every file of a directory with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Git checks files out readable by all users, and otaseal warns about a key that others can read.
#[cfg(unix)]
fn make_keys_private(inputs: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for key in fs::read_dir(inputs.join("keys")).unwrap() {
        fs::set_permissions(key.unwrap().path(), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Returns the path of every case.
fn case_files() -> Vec<PathBuf> {
    let mut cases = Vec::new();
    let mut pending = vec![root().join("tests/cmd")];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                cases.push(path);
            } else if path.is_dir()
                && path.file_name().is_some_and(|name| name != "in")
                && path.extension().is_none_or(|extension| extension != "out")
            {
                pending.push(path);
            }
        }
    }
    assert!(cases.len() > 700, "only {} cases were found", cases.len());
    cases
}

#[test]
fn cases() {
    #[cfg(unix)]
    make_keys_private(&input(""));
    sandboxes_in_memory();
    let cases = trycmd::TestCases::new();
    for path in case_files() {
        cases.case(path);
    }
    cases.run();
}

/// The first word of a case's name tells its exit code, so a listing of the folder reads as a specification.
#[test]
fn names_of_cases_tell_the_exit_code() {
    for path in case_files() {
        let table: toml::Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let code = table.get("status").map_or(0, |status| status["code"].as_integer().unwrap());
        let name = path.file_stem().unwrap().to_str().unwrap();
        let expected: &[i64] = match name.split('-').next() {
            Some("reject") => &[1],
            Some("refuse" | "require") => &[2, 3],
            _ => &[0],
        };
        assert!(expected.contains(&code), "{} exits with {code}", path.display());
    }
}

/// Runs every case that does not end with 0 once more, all of them in one directory. None may make, change or remove a
/// file there.
#[test]
fn a_failure_changes_no_file() {
    let dir = sandbox();
    let before = contents(dir.path());
    let mut failures = 0;
    for case in case_files() {
        let table: toml::Table = toml::from_str(&fs::read_to_string(&case).unwrap()).unwrap();
        let Some(code) = table.get("status").and_then(|status| status.get("code")?.as_integer()) else {
            continue;
        };
        let args: Vec<_> =
            table["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let output = otaseal(dir.path(), &args, b"");
        assert_eq!(output.status.code(), code.try_into().ok(), "{}", case.display());
        assert!(before == contents(dir.path()), "{} changed a file", case.display());
        failures += 1;
    }
    assert!(failures > 100, "only {failures} cases were found");
}

/// Parts of a private key that no output may show: of PEM the ends of every line, of DER every 16 bytes as they are and
/// in hexadecimal. It omits the first half of the file: that has the modulus, which is public.
fn secrets(key: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(key).unwrap();
    if key.extension().is_some_and(|extension| extension == "der") {
        let windows = || bytes[bytes.len() / 2..].windows(16);
        let hex = windows().map(|window| window.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        return windows().map(<[u8]>::to_vec).chain(hex.map(String::into_bytes)).collect();
    }
    let lines: Vec<_> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| line.len() >= 32 && !line.starts_with(b"-"))
        .collect();
    lines[lines.len() / 2..]
        .iter()
        .flat_map(|line| [line[..32].to_vec(), line[line.len() - 32..].to_vec()])
        .collect()
}

#[test]
fn no_output_shows_key_material() {
    let keys: Vec<_> = fs::read_dir(input("keys")).unwrap().map(|key| key.unwrap().path()).collect();
    let mut runs = 0;
    for path in &keys {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.contains("public") || name.contains("certificate") || name == "text.pem" {
            continue;
        }
        let secrets = secrets(path);
        assert!(secrets.len() >= 2, "{name} was not understood");
        let key = format!("keys/{name}");
        let key = key.as_str();
        let dir = sandbox();
        let mut before = contents(dir.path());
        for args in [
            &["sign", "firmware.bin", "-o", "new.1", "--key", key][..],
            &["sign", key, "-o", "new.2", "--key", key],
            &["package", "firmware.bin", "--key", key, "--out-dir", "new.3"],
            &["package", key, "--key", key, "--out-dir", "new.4"],
            &["verify", "firmware.bin.signed", "--key", key],
            &["verify", key, "--key", "keys/public.pem"],
            &["inspect", key],
            &["inspect", key, "--json"],
            &["inspect", "firmware.bin.signed", "--key", key],
            &["strip", key, "-o", "new.5"],
            &["strip", "firmware.bin.signed", "-o", "new.6", "--key", key],
            &["compress", key, "-o", "new.7"],
            &["pubkey", key, "--pem"],
            &["pubkey", key, "--rust"],
            &["pubkey", key, "--c-header"],
            &["pubkey", key, "--der"],
            &["pubkey", key, "--fingerprint"],
            &["pubkey", "--private-key", key, "--pem"],
            &["pubkey", "--private-key", key, "--rust"],
            &["pubkey", "--private-key", key, "--der", "-o", "new.8"],
            &["signing-py", "--mode", "header", "--publickey", key, "--out", "new.9"],
            &["signing-py", "--mode", "sign", "--privatekey", key, "--bin", "missing", "--out", "new.10"],
            &["keygen", "--private", key, "--public", "new.11"],
        ] {
            let output = otaseal(dir.path(), args, b"");
            let mut seen =
                vec![("standard output".to_owned(), output.stdout), ("standard error".into(), output.stderr)];
            let after = contents(dir.path());
            let changed = after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes));
            seen.extend(changed.map(|(path, bytes)| (path.display().to_string(), bytes.clone())));
            before = after;
            for (place, bytes) in seen {
                let shown =
                    secrets.iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret));
                // The modulus is in the private and in the public key, and a public key in DER is not secret.
                let public =
                    args[0] == "pubkey" && args.contains(&"--private-key") && args.contains(&"--der");
                assert!(!shown || public, "{args:?} shows the key in {place}");
            }
            runs += 1;
        }
    }
    assert!(runs > 200, "only {runs} runs");
}

#[test]
fn pipes_carry_the_bytes_of_the_files() {
    let dir = sandbox();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    for (args, input, expected) in [
        (&["sign", "-", "-o", "-", "--key", "keys/private.pem"][..], "firmware.bin", "firmware.bin.signed"),
        (&["sign", "homie.bin.gz", "-o", "-", "--key", "-"], "keys/private.der", "homie.bin.gz.signed"),
        (&["strip", "-", "-o", "-", "--key", "keys/public.pem"], "homie.bin.gz.signed", "homie.bin.gz"),
        (&["pubkey", "-", "--der"], "keys/public.pem", "keys/public.der"),
        (&["pubkey", "--private-key", "-", "--pem", "-o", "-"], "keys/private.pkcs1.der", "keys/public.pem"),
    ] {
        let output = otaseal(dir.path(), args, &read(input));
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == read(expected), "{args:?} does not give {expected}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("bytes") || args[0] == "pubkey");
    }
    let gzip = otaseal(dir.path(), &["compress", "-", "-o", "-"], &read("homie.bin")).stdout;
    let file = otaseal(dir.path(), &["compress", "homie.bin", "-o", "new.gz"], b"");
    assert!(file.status.success() && gzip == read("new.gz"));
    assert!(
        otaseal(dir.path(), &["verify", "-", "--key", "keys/public.pem"], &read("firmware.bin.signed"))
            .status
            .success()
    );
}

/// If nobody reads the pipe, a text is lost, and the program ends quietly, with the exit code of its result. A part of a
/// signed image or of a key is no result.
#[test]
fn a_closed_pipe_is_no_panic() {
    let dir = sandbox();
    for (args, code) in [
        (&["verify", "firmware.bin.signed", "--key", "keys/public.pem"][..], Some(0)),
        (&["verify", "changed.bin.signed", "--key", "keys/public.pem"], Some(1)),
        (&["--help"], Some(0)),
        (&["--version"], Some(0)),
        (&["sign", "--help"], Some(0)),
        (&["completions", "bash"], Some(0)),
        (&["man"], Some(0)),
        (&["pubkey", "keys/public.pem", "--pem"], Some(0)),
        (&["pubkey", "keys/public.pem", "--rust", "-o", "-"], Some(0)),
        (&["digest", "firmware.bin"], Some(0)),
        (&["ledger", "show", "ledger.jsonl"], Some(0)),
        (&["ledger", "export", "ledger.jsonl"], Some(0)),
        (&["key", "convert", "keys/public.pem", "-o", "-"], Some(0)),
        (&["sign", "firmware.bin", "-o", "-", "--key", "keys/private.pem"], Some(3)),
        (&["pubkey", "keys/public.pem", "--der"], Some(3)),
        (&["keygen", "--private", "-", "--public", "new.pem"], Some(3)),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            Command::new(OTASEAL).args(args).current_dir(dir.path()).stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{args:?}: {stderr}");
        assert!(!stderr.contains("because of a bug") && !stderr.contains("panicked"), "{args:?}: {stderr}");
        let said = stderr.contains("standard output could not be written");
        assert_eq!(said, code == Some(3), "{args:?}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_a_failure() {
    let dir = sandbox();
    for args in [
        &["verify", "firmware.bin.signed", "--key", "keys/public.pem"][..],
        &["sign", "firmware.bin", "-o", "-", "--key", "keys/private.pem"],
        &["pubkey", "keys/public.pem", "--fingerprint"],
        &["pubkey", "keys/public.pem", "--pem"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["sign", "--help"],
        &["help"],
        &["--version"],
        &["--json", "--help"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(OTASEAL);
        let output = command.args(args).current_dir(dir.path()).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {stderr}");
        assert!(stderr.contains("standard output could not be written"), "{args:?}: {stderr}");
    }
}

/// `script` runs the program on a terminal.
#[cfg(target_os = "linux")]
#[test]
fn binary_and_keys_never_go_to_a_terminal() {
    let dir = sandbox();
    for command in [
        "sign firmware.bin -o - --key keys/private.pem",
        "strip firmware.bin.signed -o -",
        "compress homie.bin -o -",
        "pubkey keys/public.pem --der",
        "keygen --private - --public new.pem",
    ] {
        let output = Command::new("script")
            .args(["-qec", &format!("{OTASEAL} {command}"), "/dev/null"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            assert!(std::env::var_os("CI").is_none(), "script(1) is missing");
            eprintln!("SKIPPED: script(1) is missing");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{command}: {text}");
        assert!(text.contains("would go to the terminal"), "{command}: {text}");
    }
    assert!(!dir.path().join("new.pem").exists());
}

#[test]
fn a_new_key_is_the_owners_alone_and_its_halves_belong_together() {
    let dir = tempdir();
    let output = otaseal(dir.path(), &["keygen"], b"");
    assert!(output.status.success());
    let private = dir.path().join("keys/private.pem");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let public = fs::read(dir.path().join("keys/public.pem")).unwrap();
    let derived = otaseal(dir.path(), &["pubkey", "--private-key", "keys/private.pem", "--pem"], b"");
    assert!(derived.stdout == public);
    let id = otaseal(dir.path(), &["pubkey", "keys/public.pem", "--fingerprint"], b"").stdout;
    let id = String::from_utf8(id).unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(id.trim()), "keygen prints the key id");
    let again = otaseal(dir.path(), &["keygen", "--private", "-", "--public", "other.pem"], b"");
    assert!(again.status.success());
    assert!(
        again.stdout.starts_with(b"-----BEGIN PRIVATE KEY-----\n")
            && again.stdout != fs::read(&private).unwrap()
    );
    let derived = otaseal(dir.path(), &["pubkey", "--private-key", "-", "--pem"], &again.stdout);
    assert!(derived.stdout == fs::read(dir.path().join("other.pem")).unwrap());
}

#[test]
fn the_time_for_the_manifest_may_come_from_the_environment() {
    let dir = sandbox();
    let mut command = Command::new(OTASEAL);
    command
        .args(["package", "firmware.bin", "--json"])
        .current_dir(dir.path())
        .env("SOURCE_DATE_EPOCH", "1700000000");
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"timestamp\": 1700000000"));
    let manifest = fs::read_to_string(dir.path().join("dist/manifest.json")).unwrap();
    assert!(manifest.contains("\"timestamp\": 1700000000"));
    let refused = command.env("SOURCE_DATE_EPOCH", "today").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn every_shell_has_completions_and_every_subcommand_a_page() {
    let dir = tempdir();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = otaseal(dir.path(), &["completions", shell], b"");
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("signing-py"), "{shell}");
    }
    let page = String::from_utf8(otaseal(dir.path(), &["man"], b"").stdout).unwrap();
    assert!(page.contains(".TH otaseal 1") && page.contains("Exit codes"), "{page}");
    assert!(otaseal(dir.path(), &["man", "--out-dir", "pages"], b"").status.success());
    let page = fs::read_to_string(dir.path().join("pages/otaseal-sign.1")).unwrap();
    assert!(page.contains("otaseal\\-sign") && page.contains("\\-\\-legacy"), "{page}");
}

/// otaseal reads a gigabyte in constant memory, and signs and judges an image of that size.
#[test]
fn a_large_image_is_streamed() {
    let dir = sandbox();
    let large = fs::File::create(dir.path().join("large.bin")).unwrap();
    // The file is sparse and takes no room on the disk. The outputs take 80 MB.
    large.set_len(80 << 20).unwrap();
    let sign = ["sign", "large.bin", "-o", "large.signed", "--key", "keys/private.pem"];
    assert!(otaseal(dir.path(), &sign, b"").status.success());
    let verify = ["verify", "large.signed", "--key", "keys/public.pem"];
    assert!(otaseal(dir.path(), &verify, b"").status.success());
    let inspect = String::from_utf8(otaseal(dir.path(), &["inspect", "large.signed"], b"").stdout).unwrap();
    assert!(
        inspect.contains("too large to look inside") && inspect.contains("signature of 256 bytes"),
        "{inspect}"
    );
    let mut strip = Command::new(OTASEAL);
    strip.args(["strip", "large.signed", "-o", "-"]).current_dir(dir.path()).stdout(Stdio::piped());
    let mut child = strip.stderr(Stdio::null()).spawn().unwrap();
    let mut count = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut stdout = child.stdout.take().unwrap();
    while let Ok(read @ 1..) = stdout.read(&mut buffer) {
        count += read;
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(count, 80 << 20);
    for refused in [&["package", "large.bin"][..], &["compress", "large.bin", "-o", "large.gz"]] {
        let output = otaseal(dir.path(), refused, b"");
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).contains("larger than 64 MiB"));
    }
}

/// Arbitrary bytes in every input give one of the four exit codes, and never a panic.
#[test]
fn hostile_files_are_refused_without_a_panic() {
    let dir = sandbox();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let seeds: Vec<_> = contents(dir.path()).into_values().filter(|bytes| !bytes.is_empty()).collect();
    for round in 0..120 {
        let mut bytes = seeds[random() as usize % seeds.len()].clone();
        for _ in 0..=random() % 6 {
            let at = random() as usize % bytes.len();
            match random() % 3 {
                0 => bytes[at] = random() as u8,
                1 => bytes.truncate(at + 1),
                _ => bytes.splice(at..at, [0xFF, random() as u8, 0]).for_each(drop),
            }
        }
        fs::write(dir.path().join("hostile"), &bytes).unwrap();
        for args in [
            &["inspect", "hostile"][..],
            &["verify", "hostile", "--key", "keys/public.pem"],
            &["verify", "firmware.bin.signed", "--key", "hostile"],
            &["sign", "firmware.bin", "-o", "new", "--key", "hostile"],
            &["package", "hostile"],
            &["package", "firmware.bin", "--config", "hostile"],
            &["strip", "hostile", "-o", "new"],
            &["compress", "hostile", "-o", "new"],
            &["pubkey", "hostile", "--rust"],
        ] {
            let output = otaseal(dir.path(), args, b"");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "round {round}, {args:?}: {stderr}");
            assert!(!stderr.contains("because of a bug"), "round {round}, {args:?}: {stderr}");
        }
    }
}
