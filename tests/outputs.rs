//! No output replaces a file that its command reads, a private key or a ledger: every command, every victim.

use crate::common::{self, Bench};
use std::fs;

/// Makes a directory with `image.bin`, `rotating.bin`, `signed`, `raw` (a bare signature), `key.pem`, `public.pem`, `pass`, `sbom.json`,
/// `settings.toml`, `LEDGER`, and `keep.pem`: a private key that no command names as its own.
fn bench() -> Bench {
    let bench = Bench::with_keys();
    bench.openssl("pkcs8 -topk8 -in key.pem -scrypt -passout pass:tr0mbone-quarry-14 -out locked.pem");
    bench.write("rotating.bin", &[common::firmware(5000), bench.read("next.pem")].concat());
    bench.write("sbom.json", br#"{"bomFormat":"CycloneDX"}"#);
    bench.write("settings.toml", b"key = \"key.pem\"\n");
    bench.openssl("dgst -sha256 -sign key.pem -out raw image.bin");
    bench.ok(&["sign", "image.bin", "-o", "signed", "-k", "key.pem", "--ledger", "LEDGER"]);
    bench
}

/// Every command that writes one file, up to the name of that file, and the files that it reads.
const WRITERS: &[(&str, &[&str])] = &[
    (
        "sign image.bin --key locked.pem --passphrase-file pass --expect-public public.pem --ledger LEDGER --output",
        &["image.bin", "locked.pem", "pass", "public.pem", "LEDGER"],
    ),
    (
        "sign rotating.bin --config settings.toml --rotate-to next.pem --output",
        &["rotating.bin", "key.pem", "settings.toml", "next.pem"],
    ),
    ("sign image.bin --key key.pem --output out --legacy", &["image.bin", "key.pem"]),
    ("strip signed --key public.pem --output", &["signed", "public.pem"]),
    ("compress image.bin --config settings.toml --output", &["image.bin", "settings.toml"]),
    ("digest image.bin --key public.pem --expect-public public.pem --output", &["image.bin", "public.pem"]),
    (
        "attach image.bin raw --key public.pem --config settings.toml --ledger LEDGER --output",
        &["image.bin", "raw", "public.pem", "settings.toml", "LEDGER"],
    ),
    ("pubkey public.pem --der --output", &["public.pem"]),
    ("pubkey --private-key locked.pem --passphrase-file pass --rust --output", &["locked.pem", "pass"]),
    ("ledger export LEDGER --output", &["LEDGER"]),
    ("ledger export LEDGER --format csv --output", &["LEDGER"]),
    ("signing-py --mode header --publickey public.pem --out", &["public.pem"]),
    ("signing-py --mode sign --bin image.bin --privatekey key.pem --out", &["image.bin", "key.pem"]),
    (
        "signing-py --mode sign --bin image.bin --privatekey key.pem --out out --legacy",
        &["image.bin", "key.pem"],
    ),
    ("completions bash --output", &[]),
    ("key convert public.pem --der --force --output", &[]),
    ("key convert key.pem --public --force --output", &["key.pem"]),
    ("key convert locked.pem --passphrase-file pass --decrypt --force --output", &["pass"]),
    ("keygen --force --encrypt --passphrase-file pass --private new.pem --public", &["pass"]),
];

/// Runs a command whose output would replace a file, by its own name and by links. It must fail and change nothing.
fn keeps(bench: &Bench, command: &str, victim: &str) {
    let [hard, symbolic] = ["hard", "symbolic"].map(|name| bench.path(name));
    fs::hard_link(bench.path(victim), &hard).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(victim, &symbolic).unwrap();
    #[cfg(not(unix))]
    fs::copy(bench.path(victim), &symbolic).map(drop).unwrap();
    let before = bench.read(victim);
    let listing = bench.listing();
    let names: &[&str] = if cfg!(unix) { &[victim, "hard", "symbolic"] } else { &[victim] };
    for name in names {
        let args: Vec<_> = command.split_whitespace().chain([*name]).collect();
        let output = bench.otaseal(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let refused = matches!(output.status.code(), Some(2 | 3));
        assert!(refused && stderr.contains(name), "otaseal {command} {name}: {} {stderr}", output.status);
        assert!(bench.read(victim) == before && bench.listing() == listing, "otaseal {command} {name}");
    }
    fs::remove_file(hard).unwrap();
    fs::remove_file(symbolic).unwrap();
}

#[test]
fn no_command_replaces_its_inputs_a_key_or_a_ledger() {
    let bench = bench();
    for (command, inputs) in WRITERS {
        for victim in inputs.iter().chain(&["keep.pem", "LEDGER"]) {
            keeps(&bench, command, victim);
        }
    }
    // The same commands work with another name, so it was the name that was refused.
    for (command, _) in WRITERS {
        let args: Vec<_> = command.split_whitespace().chain(["free"]).collect();
        bench.ok(&args);
        fs::remove_file(bench.path("free")).unwrap();
        let _ = fs::remove_file(bench.path("new.pem"));
    }
}

#[test]
fn a_package_replaces_none_of_its_inputs() {
    const COMMAND: &str = "package image.bin --name fw --expect-public public.pem --ledger LEDGER -o dist";
    let bench = bench();
    fs::create_dir(bench.path("dist")).unwrap();
    // Every option that names a file, and the names that a package gives to its files.
    for (option, source) in [
        ("--key", "key.pem"),
        ("--passphrase-file", "pass"),
        ("--expect-public", "public.pem"),
        ("--rotate-to", "next.pem"),
        ("--ledger", "LEDGER"),
        ("--sbom", "sbom.json"),
        ("--config", "settings.toml"),
        ("", "image.bin"),
        ("", "keep.pem"),
    ] {
        for name in ["fw.bin", "fw.bin.signed", "fw.bin.gz", "manifest.json"] {
            if (source, name) == ("image.bin", "fw.bin") {
                // The plain artefact is the build, byte for byte.
                continue;
            }
            let victim = format!("dist/{name}");
            fs::copy(bench.path(source), bench.path(&victim)).unwrap();
            let mut words: Vec<&str> = COMMAND.split_whitespace().collect();
            let key = if option == "--passphrase-file" { "locked.pem" } else { "key.pem" };
            if let Some(at) = words.iter().position(|word| *word == option) {
                words[at + 1] = &victim;
            } else if !option.is_empty() {
                words.extend([option, &victim]);
            }
            if option != "--key" {
                words.extend(["--key", key]);
            }
            if source == "image.bin" {
                words[1] = &victim;
            } else if source == "next.pem" {
                words[1] = "rotating.bin";
            }
            let output = bench.otaseal(&words);
            let stderr = String::from_utf8_lossy(&output.stderr);
            let refused = matches!(output.status.code(), Some(2 | 3)) && stderr.contains(&victim);
            assert!(refused, "{words:?}: {} {stderr}", output.status);
            assert!(bench.read(&victim) == bench.read(source), "{words:?}: {stderr}");
            assert_eq!(fs::read_dir(bench.path("dist")).unwrap().count(), 1, "{words:?}: {stderr}");
            fs::remove_file(bench.path(&victim)).unwrap();
        }
    }
    let words = |more: &[&'static str]| [&COMMAND.split_whitespace().collect::<Vec<_>>(), more].concat();
    bench.ok(&words(&["--key", "key.pem", "--sbom", "sbom.json"]));
    // The copy of the bill of materials is there already: it stays.
    bench.ok(&words(&["--key", "key.pem", "--sbom", "dist/fw.sbom.json"]));
    // The manifest lists the signed image. Somebody has put a key there since.
    fs::copy(bench.path("keep.pem"), bench.path("dist/fw.bin.signed")).unwrap();
    bench.ok(&words(&["--key", "key.pem", "--artefacts", "gz-signed"]));
    assert!(bench.read("dist/fw.bin.signed") == bench.read("keep.pem"));
    assert!(!bench.path("dist/fw.bin").exists());
}

/// The directory may be a link. A link in the place of a file of the package is replaced itself, or removed.
#[cfg(unix)]
#[test]
fn a_package_stays_in_its_directory() {
    use std::os::unix::fs::symlink;
    let bench = bench();
    fs::create_dir(bench.path("real")).unwrap();
    symlink("real", bench.path("dist")).unwrap();
    let package = |kinds: &str| {
        let args =
            ["package", "image.bin", "--name", "fw", "-k", "key.pem", "-o", "dist", "--artefacts", kinds];
        bench.ok(&args);
    };
    package("plain,gz,signed");
    for (name, target) in
        [("fw.bin", "../victim"), ("fw.bin.gz", "../missing"), ("fw.bin.signed", "../victim")]
    {
        bench.write("victim", b"mine");
        fs::remove_file(bench.path("real").join(name)).unwrap();
        symlink(target, bench.path("real").join(name)).unwrap();
    }
    package("plain,gz");
    assert!(bench.read("victim") == b"mine" && !bench.path("missing").exists());
    assert!(bench.path("dist").is_symlink());
    let mut names: Vec<_> = fs::read_dir(bench.path("real")).unwrap().map(|entry| entry.unwrap()).collect();
    names.sort_by_key(|entry| entry.file_name());
    assert!(names.iter().all(|entry| entry.file_type().unwrap().is_file()), "{names:?}");
    assert_eq!(
        names.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(),
        ["fw.bin", "fw.bin.gz", "manifest.json"]
    );
}

/// The link dangles until the signature is entered.
#[cfg(unix)]
#[test]
fn an_output_that_leads_to_the_new_ledger_is_refused() {
    let bench = bench();
    std::os::unix::fs::symlink("new-ledger", bench.path("out")).unwrap();
    bench.fails(2, &["sign", "image.bin", "-k", "key.pem", "-o", "out", "--ledger", "new-ledger"]);
    assert!(bench.path("out").is_symlink() && !bench.path("new-ledger").exists());
}

#[test]
fn a_batch_replaces_none_of_its_inputs() {
    let bench = bench();
    fs::create_dir(bench.path("dist")).unwrap();
    for source in ["image.bin", "key.pem", "LEDGER", "keep.pem"] {
        let victim = bench.path("dist/image.bin.signed");
        fs::hard_link(bench.path(source), &victim).unwrap();
        let before = bench.read(source);
        let args = ["sign", "image.bin", "--out-dir", "dist", "--key", "key.pem", "--ledger", "LEDGER"];
        assert_ne!(bench.otaseal(&args).status.code(), Some(0), "{source}");
        assert!(bench.read(source) == before && bench.read("dist/image.bin.signed") == before, "{source}");
        fs::remove_file(victim).unwrap();
    }
}

/// A link leads from the output of one input to that of the other.
#[cfg(unix)]
#[test]
fn a_batch_writes_no_file_twice() {
    use std::os::unix::fs::symlink;
    let bench = bench();
    fs::copy(bench.path("image.bin"), bench.path("second.bin")).unwrap();
    fs::create_dir_all(bench.path("dist/image")).unwrap();
    symlink("second.bin.signed", bench.path("dist/image.bin.signed")).unwrap();
    symlink("image", bench.path("dist/second")).unwrap();
    for command in ["sign", "package"] {
        let args = [command, "image.bin", "second.bin", "--out-dir", "dist", "--key", "key.pem"];
        let stderr = String::from_utf8(bench.fails(2, &args).stderr).unwrap();
        assert!(stderr.contains("two inputs have the same output, dist/second"), "{stderr}");
    }
    assert!(!bench.path("dist/second.bin.signed").exists());
    assert_eq!(fs::read_dir(bench.path("dist/image")).unwrap().count(), 0);
    // Hard links are two files for an output.
    for name in ["image.bin.signed", "second"] {
        fs::remove_file(bench.path("dist").join(name)).unwrap();
    }
    bench.write("dist/image.bin.signed", b"");
    fs::hard_link(bench.path("dist/image.bin.signed"), bench.path("dist/second.bin.signed")).unwrap();
    bench.ok(&["sign", "image.bin", "second.bin", "--out-dir", "dist", "--key", "key.pem"]);
}

#[test]
fn commands_for_keys_replace_a_key() {
    let bench = bench();
    let passwd = "key passwd key.pem --new-passphrase-file pass";
    let convert = "key convert key.pem --output key.pem --passphrase-file pass --decrypt";
    let forced = format!("{convert} --force");
    let keygen = "keygen --private keep.pem --public other.pem --force";
    let run = |line: &str| bench.otaseal(&line.split_whitespace().collect::<Vec<_>>()).status.code();
    assert_eq!(run(passwd), Some(0));
    let locked = bench.read("key.pem");
    assert!(run(convert) == Some(3) && bench.read("key.pem") == locked);
    assert!(run(&forced) == Some(0) && bench.read("key.pem") != locked);
    bench.ok(&["sign", "image.bin", "-o", "again", "-k", "key.pem"]);
    assert!(bench.read("again") == bench.read("signed"));
    let keep = bench.read("keep.pem");
    assert!(run(keygen) == Some(0) && bench.read("keep.pem") != keep);
    // Not even they replace a ledger.
    let ledger = bench.read("LEDGER");
    assert_eq!(run("keygen --private LEDGER --public other.pem --force"), Some(3));
    assert_eq!(run("key convert key.pem --output LEDGER --force"), Some(3));
    assert!(bench.read("LEDGER") == ledger);
}
