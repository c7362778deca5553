//! `--dry-run`: every command that writes, once with success and once with a refusal. A dry run leaves the directory as
//! it is, to the last time stamp. It ends with the exit code of the real run, and says what that run then does.

use crate::common::Bench;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Makes a directory with two key pairs, images, a package, a ledger, a signed image and a bare signature.
fn bench() -> Bench {
    let bench = Bench::with_keys_in_place();
    bench.write("foreign", b"mine");
    bench.openssl("dgst -sha256 -sign key.pem -out raw image.bin");
    bench.openssl("dgst -sha256 -sign keep.pem -out raw.other image.bin");
    bench.write(
        "sign.sh",
        b"echo >> asked\nopenssl pkeyutl -sign -inkey key.pem -pkeyopt rsa_padding_mode:pkcs1\n",
    );
    bench.openssl("pkcs8 -topk8 -in key.pem -iter 1 -passout pass:tr0mbone-quarry-14 -out locked.pem");
    bench.ok(&["sign", "image.bin", "--ledger", "LEDGER"]);
    bench.ok(&["package", "image.bin", "--name", "fw", "--ledger", "LEDGER"]);
    bench
}

/// Every command that writes: one line that succeeds and one that is refused.
const COMMANDS: &[[&str; 2]] = &[
    ["sign image.bin --ledger LEDGER", "sign image.bin -o foreign --ledger LEDGER"],
    ["sign image.bin -o new --legacy new2 --ledger new-ledger", "sign image.bin.signed -o new"],
    ["sign image.bin -o -", "sign image.bin -o missing/new"],
    ["sign image.bin --out-dir new", "sign image.bin foreign --out-dir keys/public.pem"],
    ["sign image.bin -o foreign --overwrite", "sign image.bin -o new --ledger foreign"],
    ["sign image.bin -o new -k keep.pem --rotate-to public.pem", "sign image.bin -o new -k keep.pem"],
    [
        "sign image.bin -o new -k public.pem --signer-cmd SIGNER",
        "sign image.bin -o foreign -k public.pem --signer-cmd SIGNER",
    ],
    ["compress image.bin", "compress image.bin -o foreign"],
    ["strip image.bin.signed", "strip image.bin.signed -o foreign"],
    ["strip image.bin.signed -o new -k public.pem", "strip image.bin.signed -o new -k next.pem"],
    ["attach image.bin raw --ledger LEDGER", "attach image.bin raw.other -o new"],
    ["digest image.bin -o new", "digest image.bin -o foreign"],
    ["digest image.bin", "digest image.bin.signed"],
    ["package image.bin --name fw --ledger LEDGER", "package image.bin --name other"],
    ["package image.bin --name fw --artefacts gz", "package foreign/image.bin"],
    ["package image.bin --out-dir new/deep --ledger new-ledger", "package image.bin --out-dir foreign"],
    [
        "package image.bin -o new -k public.pem --signer-cmd SIGNER --for otaseal-device",
        "package image.bin -o new -k keep.pem",
    ],
    ["package image.bin later.bin --out-dir new", "package foreign/x image.bin --out-dir new"],
    ["keygen --out-dir new", "keygen"],
    ["keygen --force", "keygen --private foreign --public new"],
    ["keygen --private - --public new", "keygen --private missing/new --public new"],
    ["key passwd key.pem --new-passphrase-file pass", "key passwd key.pem --remove"],
    [
        "key passwd locked.pem --passphrase-file pass --remove",
        "key passwd locked.pem --passphrase-file foreign --remove",
    ],
    ["key convert key.pem --der -o new", "key convert key.pem --der -o foreign"],
    ["key convert public.pem -o -", "key convert public.pem -o keep.pem --force"],
    ["pubkey public.pem --rust -o new", "pubkey public.pem --rust -o foreign"],
    ["pubkey public.pem --der -o -", "pubkey public.pem --der --check -o foreign"],
    ["pubkey --private-key key.pem --rust -o new", "pubkey --private-key public.pem --rust -o new"],
    [
        "release dist -o new -k keep.pem --firmware-key public.pem --ledger LEDGER",
        "release dist -o keys -k keep.pem --firmware-key public.pem --ledger LEDGER",
    ],
    [
        "release dist -o new -k keep.pem --firmware-key public.pem --ledger LEDGER",
        "release dist -o new -k keep.pem --ledger LEDGER",
    ],
    ["ledger export LEDGER -o new", "ledger export LEDGER -o foreign"],
    ["completions bash -o new", "completions bash -o foreign"],
    ["man --out-dir new", "man --out-dir foreign"],
    [
        "signing-py --mode header --publickey public.pem --out new/core/key.h",
        "signing-py --mode header --publickey public.pem --out keep.pem",
    ],
    [
        "signing-py --mode sign --privatekey key.pem --bin image.bin --out foreign",
        "signing-py --mode sign --privatekey key.pem --bin image.bin --out LEDGER",
    ],
];

/// Everything below a directory: the time of the last change, and the bytes of a file.
fn state(directory: &Path) -> BTreeMap<PathBuf, (SystemTime, Option<Vec<u8>>)> {
    let mut state = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        if found.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let bytes = found.is_file().then(|| fs::read(&path).unwrap());
        state.insert(path, (found.modified().unwrap(), bytes));
    }
    state
}

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().map(|word| if word == "SIGNER" { "sh sign.sh" } else { word }).collect()
}

#[test]
fn a_dry_run_changes_nothing_and_ends_like_the_real_run() {
    let original = bench();
    for (line, succeeds) in COMMANDS.iter().flat_map(|[good, bad]| [(*good, true), (*bad, false)]) {
        let bench = Bench::new();
        copy(original.dir(), bench.dir());
        let before = state(bench.dir());
        let dry = bench.otaseal(&[words(line), vec!["--dry-run"]].concat());
        let json = bench.otaseal(&[words(line), vec!["--dry-run", "--json"]].concat());
        assert!(state(bench.dir()) == before, "{line}: a dry run changed something");
        let [said, complaint] =
            [&dry.stdout, &dry.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        let real = bench.otaseal(&words(line));
        assert_eq!(real.status.success(), succeeds, "{line}: {}", String::from_utf8_lossy(&real.stderr));
        assert_eq!(dry.status.code(), real.status.code(), "{line}: {complaint}");
        assert_eq!(json.status.code(), real.status.code(), "{line}");
        if !succeeds {
            let last = |text: &[u8]| {
                let text = String::from_utf8_lossy(text).into_owned();
                text.lines().find(|line| line.starts_with("error: ")).map(str::to_owned)
            };
            assert_eq!(last(&dry.stderr), last(&real.stderr), "{line}");
            continue;
        }
        assert!(said.starts_with("dry run        otaseal wrote nothing\n"), "{line}: {said}");
        let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(report["dry_run"], true, "{line}");
        let after = state(bench.dir());
        let mut changed: Vec<_> = after.keys().filter(|path| after.get(*path) != before.get(*path)).collect();
        changed.retain(|path| path.is_file() && !path.ends_with("asked"));
        let mut planned = 0;
        for step in report["steps"].as_array().unwrap() {
            let kind = step["would"].as_str().unwrap();
            if kind == "send" {
                continue;
            }
            let path = bench.path(step["path"].as_str().unwrap());
            match kind {
                "write" | "replace" => {
                    let size = fs::metadata(&path).unwrap().len();
                    // The numbers of another key have other lengths.
                    assert!(
                        step["size_bytes"] == size || line.starts_with("keygen"),
                        "{line}: {step} {size}"
                    );
                    assert_eq!(before.contains_key(&path), kind == "replace", "{line}: {step}");
                    planned += 1;
                }
                "remove" => assert!(!path.exists(), "{line}: {step}"),
                "make-directory" => assert!(path.is_dir(), "{line}: {step}"),
                "enter" => {
                    let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
                    let old = before.get(&path).and_then(|(_, bytes)| bytes.as_deref()).map_or(0, lines);
                    assert_eq!(step["lines"], lines(&fs::read(&path).unwrap()) - old, "{line}: {step}");
                    planned += 1;
                }
                other => panic!("{line}: {other}"),
            }
        }
        // A file that has the new bytes already counts as written.
        assert!(planned >= changed.len(), "{line}: {changed:?} {report}");
    }
}

/// Neither a token nor a command is asked to sign.
#[test]
fn a_dry_run_asks_no_command() {
    let bench = bench();
    let sign = words("sign image.bin -o new -k public.pem --signer-cmd SIGNER");
    bench.ok(&[sign.clone(), vec!["--dry-run"]].concat());
    assert!(!bench.path("asked").exists());
    bench.ok(&sign);
    assert!(bench.path("asked").exists());
}
