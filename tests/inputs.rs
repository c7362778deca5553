//! Every file that a command reads may be a pipe, if the user names it. None of them makes otaseal wait without a reason,
//! or read without end.

#![cfg(unix)]

use crate::common::timed::{Running, within};
use crate::common::{self, Bench, OTASEAL};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Much longer than any case takes on a slow machine. A case that waits for ever fails after it.
const LIMIT: Duration = Duration::from_secs(60);

/// Every argument that names a file to read, as the one word with `@`, with a file that it can be.
const READERS: &[&str] = &[
    "sign @image.bin --output out --key key.pem",
    "sign image.bin --output out --key @key.pem",
    "sign image.bin --output out --key locked.pem --passphrase-file @pass",
    "sign image.bin --output out --key key.pem --expect-public @public.pem",
    "sign rotating.bin --output out --key key.pem --rotate-to @next.pem",
    "sign image.bin --output out --config @settings.toml",
    "sign esp8266.bin --output out --key key.pem --allow-no-key --for esp8266@3.1.2/unsigned --via http --flash-layout 4m2m --running @esp8266.bin",
    "sign --from-list @list --out-dir outs --key key.pem",
    "digest @image.bin --output out --raw digest",
    "digest image.bin --output out --key @public.pem",
    "digest image.bin --output out --config @settings.toml",
    "digest image.bin --output out --key public.pem --expect-public @public.pem",
    "digest rotating.bin --output out --key public.pem --rotate-to @next.pem",
    "attach @image.bin raw --output out --key public.pem",
    "attach image.bin @raw --output out --key public.pem",
    "attach image.bin raw --output out --key @public.pem",
    "attach image.bin raw --output out --key public.pem --request @request.json",
    "attach image.bin raw --output out --config @settings.toml",
    "attach image.bin raw --output out --key public.pem --expect-public @public.pem",
    "attach rotating.bin raw.rotating --output out --key public.pem --rotate-to @next.pem",
    "verify @signed --key public.pem",
    "verify signed --key @public.pem",
    "verify signed --key public.pem --of @image.bin",
    "verify signed --config @settings.toml",
    "verify esp8266.bin --as esp8266@3.1.2/unsigned --via http --flash-layout 4m2m --running @esp8266.bin",
    "ledger verify @LEDGER",
    "ledger show @LEDGER",
    "ledger export @LEDGER --output out",
    "rotate plan @rotating.signed --old public.pem --new next.pem",
    "rotate plan @dist/manifest.json --old public.pem --new next.pem",
    "rotate plan rotating.signed --old @public.pem --new next.pem",
    "rotate plan rotating.signed --old public.pem --new @next.pem",
    "release dist --output outs --ledger LEDGER --key @keep.pem --firmware-key public.pem",
    "release dist --output outs --ledger LEDGER --key locked-keep.pem --firmware-key public.pem --passphrase-file @pass",
    "release dist --output outs --ledger LEDGER --key keep.pem --firmware-key @public.pem",
    "release dist --output outs --ledger LEDGER --key keep.pem --firmware-key public.pem --rotate-to @next.pem",
    "release dist --output outs --ledger LEDGER --key keep.pem --firmware-key public.pem --config @settings.toml",
    "release verify release --key @next.pem",
    "inspect @signed",
    "doctor @image.bin --key key.pem",
    "doctor image.bin --key @key.pem",
    "doctor --config @settings.toml",
    "doctor --key locked.pem --passphrase-file @pass",
    "inspect signed --key @public.pem",
    "identify 0123456789abcdef0123456789abcdef @dist/manifest.json",
    "strip @signed --output out",
    "strip signed --output out --key @public.pem",
    "compress @image.bin --output out",
    "compress image.bin --output out --config @settings.toml",
    "pubkey @public.pem --der --output out",
    "pubkey --private-key @key.pem --der --output out",
    "pubkey --private-key locked.pem --der --output out --passphrase-file @pass",
    "signing-py --mode sign --out out --privatekey key.pem --bin @image.bin",
    "signing-py --mode sign --out out --bin image.bin --privatekey @key.pem",
    "signing-py --mode header --out out --publickey @public.pem",
    "signing-py --mode sign --out out --bin image.bin --config @settings.toml",
    "signing-py --mode sign --out out --bin image.bin --privatekey locked.pem --passphrase-file @pass",
    "signing-py --mode sign --out out --bin image.bin --privatekey key.pem --expect-public @public.pem",
    "signing-py --mode sign --out out --bin rotating.bin --privatekey key.pem --rotate-to @next.pem",
    "key info @public.pem",
    "key info locked.pem --passphrase-file @pass",
    "key check @public.pem",
    "key check locked.pem --passphrase-file @pass",
    "key convert @key.pem --der --output out",
    "key convert locked.pem --decrypt --output out --passphrase-file @pass",
    "key convert locked.pem --encrypt --kdf pbkdf2 --passphrase-file pass --output outs --new-passphrase-file @pass",
    "key passwd locked.pem --kdf pbkdf2 --new-passphrase-file pass --passphrase-file @pass",
    "key passwd locked.pem --kdf pbkdf2 --passphrase-file pass --new-passphrase-file @pass",
    "keygen --out-dir outs --encrypt --kdf pbkdf2 --passphrase-file @pass",
    "package @image.bin --name fw --out-dir outs --key key.pem",
    "package image.bin --out-dir outs --key @key.pem",
    "package image.bin --out-dir outs --key key.pem --sbom @sbom.json",
    "package image.bin --out-dir outs --config @settings.toml",
    "package image.bin --out-dir outs --key key.pem --expect-public @public.pem",
    "package rotating.bin --out-dir outs --key key.pem --rotate-to @next.pem",
    "package image.bin --out-dir outs --key locked.pem --passphrase-file @pass",
    "package --from-list @list --out-dir outs --key key.pem",
    "package esp8266.bin --out-dir outs --key key.pem --allow-no-key --artefacts plain --for esp8266@3.1.2/unsigned --via http --flash-layout 4m2m --running @esp8266.bin",
];

/// The same for files that cannot be a stream: otaseal writes to them, or the system loads them.
const NO_STREAMS: &[&str] = &[
    "sign image.bin --output out --key key.pem --ledger @LEDGER",
    "digest image.bin --output out --key public.pem --release --ledger @LEDGER",
    "attach image.bin raw --output out --key public.pem --ledger @LEDGER",
    "signing-py --mode sign --out out --bin image.bin --privatekey key.pem --ledger @LEDGER",
    "package image.bin --out-dir outs --key key.pem --ledger @LEDGER",
    "release dist --output outs --key keep.pem --firmware-key public.pem --ledger @LEDGER",
    "key passwd @locked.pem --kdf pbkdf2 --passphrase-file pass --new-passphrase-file pass",
];

/// Directories. `-` is no name for one.
const DIRECTORIES: &[&str] = &[
    "keygen --out-dir -",
    "man --out-dir -",
    "sign image.bin --out-dir - --key key.pem",
    "package image.bin --out-dir - --key key.pem",
    "release - --output outs --ledger LEDGER --key keep.pem",
    "release dist --output - --ledger LEDGER --key keep.pem",
];

/// Options that name no file to read: outputs, directories, keys in tokens, and the library of a token, which the system
/// loads by its name.
const NO_READERS: &[&str] = &[
    "keygen --out-dir",
    "keygen --private",
    "keygen --public",
    "keygen --pkcs11-module",
    "sign --pkcs11-module",
    "package --pkcs11-module",
    "release --pkcs11-module",
    "doctor --pkcs11-module",
    "signing-py --out",
    "signing-py --legacy",
    "signing-py --signer-cmd",
];

fn bench() -> Bench {
    let bench = Bench::with_keys();
    for (key, locked) in [("key.pem", "locked.pem"), ("keep.pem", "locked-keep.pem")] {
        bench.openssl(&format!(
            "pkcs8 -topk8 -in {key} -v2 aes-256-cbc -iter 10000 -passout pass:tr0mbone-quarry-14 -out {locked}"
        ));
    }
    bench.write("list", b"image.bin\n");
    bench.write(
        "rotating.bin",
        &[common::firmware(5000), bench.read("public.pem"), bench.read("next.pem")].concat(),
    );
    bench.write("esp8266.bin", &fs::read(common::input("esp8266.bin")).unwrap());
    bench.write("sbom.json", br#"{"bomFormat":"CycloneDX"}"#);
    bench.write("settings.toml", b"key = \"key.pem\"\n");
    bench.openssl("dgst -sha256 -sign key.pem -out raw image.bin");
    bench.openssl("dgst -sha256 -sign key.pem -out raw.rotating rotating.bin");
    bench.ok(&["sign", "image.bin", "-o", "signed", "-k", "key.pem"]);
    let rotating =
        ["sign", "rotating.bin", "-o", "rotating.signed", "-k", "key.pem", "--rotate-to", "next.pem"];
    bench.ok(&rotating);
    bench.ok(&["digest", "image.bin", "-o", "request.json", "-k", "public.pem"]);
    bench.ok(&["package", "image.bin", "-o", "dist", "-k", "key.pem", "--ledger", "LEDGER"]);
    let release = "release dist -o release -k keep.pem --firmware-key public.pem --ledger LEDGER";
    bench.ok(&release.split_whitespace().collect::<Vec<_>>());
    bench
}

/// A command with `@FILE` in it.
struct Reader<'a> {
    bench: &'a Bench,
    words: Vec<&'a str>,
    at: usize,
    source: &'a str,
    /// Files that a command changes.
    before: [(&'static str, Vec<u8>); 2],
}

impl<'a> Reader<'a> {
    fn new(bench: &'a Bench, line: &'a str) -> Self {
        let words: Vec<_> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.starts_with('@')).unwrap();
        let before = ["LEDGER", "locked.pem"].map(|name| (name, bench.read(name)));
        Self { bench, at, source: &words[at][1..], words, before }
    }

    /// Runs the command with another word in the place of the file. The words go through a shell, so that one can be a
    /// process substitution.
    fn run(&self, word: &str, stdin: Stdio) -> (Output, Option<Vec<u8>>) {
        for name in ["out", "outs"] {
            let path = self.bench.path(name);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        for (name, bytes) in &self.before {
            self.bench.write(name, bytes);
        }
        let mut words = self.words.clone();
        words[self.at] = word;
        // The limit of the memory is far above the largest image, and far below what an endless file would take.
        let line = format!("ulimit -v 1000000; exec {OTASEAL} {}", words.join(" "));
        let mut command = Command::new("bash");
        command.args(["-c", &line]).current_dir(self.bench.dir()).stdin(stdin);
        let output = within(LIMIT, &mut command);
        let output = output.unwrap_or_else(|| panic!("otaseal {} does not end", words.join(" ")));
        (output, fs::read(self.bench.path("out")).ok())
    }

    /// Runs the command, which must fail and say why.
    fn fails(&self, word: &str, stdin: Stdio) -> String {
        let (output, out) = self.run(word, stdin);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let what = format!("{} with {word}: {} {text}", self.words.join(" "), output.status);
        assert!(matches!(output.status.code(), Some(1..=3)) && out.is_none(), "{what}");
        assert!(text.contains("error: ") || !output.stdout.is_empty(), "{what}");
        text
    }

    fn file(&self) -> fs::File {
        fs::File::open(self.bench.path(self.source)).unwrap()
    }

    /// Makes a named pipe, and a writer that waits for its reader.
    fn pipe(&self) -> Running {
        let path = self.bench.path("pipe");
        let _ = fs::remove_file(&path);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        let mut writer = Command::new("bash");
        writer.args(["-c", "exec cat \"$0\" > pipe", self.source]).current_dir(self.bench.dir());
        Running(writer.stderr(Stdio::null()).spawn().unwrap())
    }
}

#[test]
fn every_input_may_be_a_stream() {
    let bench = bench();
    for line in READERS {
        let reader = Reader::new(&bench, line);
        let (whole, out) = reader.run(reader.source, Stdio::null());
        let said = String::from_utf8_lossy(&whole.stderr);
        assert!(matches!(whole.status.code(), Some(0 | 1)), "{line}: {} {said}", whole.status);
        let same = |what: &str, (output, found): (Output, Option<Vec<u8>>)| {
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), whole.status.code(), "{line} with {what}: {said}");
            assert!(found == out, "{line} with {what}: another output");
        };
        same("-", reader.run("-", reader.file().into()));
        let substitution = format!("<(cat {})", reader.source);
        same(&substitution, reader.run(&substitution, Stdio::null()));
        let _writer = reader.pipe();
        same("a named pipe", reader.run("pipe", Stdio::null()));
    }
}

#[test]
fn no_input_is_read_without_end() {
    let bench = bench();
    for line in READERS.iter().chain(NO_STREAMS) {
        let reader = Reader::new(&bench, line);
        reader.fails("/dev/zero", Stdio::null());
        reader.fails("-", fs::File::open("/dev/zero").unwrap().into());
        reader.fails("dist", Stdio::null());
        if !line.contains("--ledger @") {
            reader.fails("missing", Stdio::null());
        }
    }
}

#[test]
fn what_cannot_be_a_stream_says_so() {
    let bench = bench();
    for line in NO_STREAMS {
        let reader = Reader::new(&bench, line);
        let (whole, _) = reader.run(reader.source, Stdio::null());
        assert!(whole.status.success(), "{line}: {}", String::from_utf8_lossy(&whole.stderr));
        let text = reader.fails("-", reader.file().into());
        let said = ["- is no name here", "a ledger is a file, not a stream"];
        assert!(said.iter().any(|said| text.contains(said)), "{line}: {text}");
        let text = reader.fails(&format!("<(cat {})", reader.source), Stdio::null());
        assert!(text.contains("it is a pipe, not a regular file"), "{line}: {text}");
        let _writer = reader.pipe();
        let text = reader.fails("pipe", Stdio::null());
        assert!(text.contains("it is a pipe, not a regular file"), "{line}: {text}");
    }
    for line in DIRECTORIES {
        let output = bench.fails(2, &line.split_whitespace().collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("- is no name here"), "{line}: {text}");
        assert!(!bench.path("-").exists(), "{line}");
    }
}

/// A stream can be read once. Standard input has several names.
#[test]
fn one_stream_is_not_read_twice() {
    let bench = bench();
    let run = |words: &str| {
        let line = format!("exec {OTASEAL} {words}");
        let mut command = Command::new("bash");
        command.args(["-c", &line]).current_dir(bench.dir());
        let output = within(LIMIT, command.stdin(Stdio::piped())).expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let named_twice = [
        "verify - --key - --of -",
        "verify - --key public.pem --of -",
        "verify - --config - --key public.pem",
        "verify signed --key public.pem --of - --config -",
        "package - --key key.pem --sbom - --out-dir outs",
        "package image.bin --key - --rotate-to - --out-dir outs",
        "rotate plan - - --old public.pem --new next.pem",
        "sign - --output out --key key.pem --expect-public -",
        "sign - --output out --config -",
        "release dist --output outs --ledger LEDGER --key - --config -",
        "identify 0123456789abcdef0123456789abcdef - -",
    ];
    let one_stream = [
        "verify - --key public.pem --of /dev/stdin",
        "verify /dev/stdin --key public.pem --of /dev/fd/0",
        "sign /dev/fd/5 --output out --key key.pem --expect-public /proc/self/fd/5 5< <(cat image.bin)",
        "sign image.bin --output out --key /dev/fd/5 --passphrase-fd 5 5< <(cat locked.pem)",
    ];
    let cases = named_twice.map(|words| (words, "standard input is named twice")).into_iter();
    for (words, says) in cases.chain(one_stream.map(|words| (words, "are one stream"))) {
        let (code, text) = run(words);
        assert!(code == Some(2) && text.contains(says), "{words}: {text}");
    }
    assert!(!bench.path("out").exists() && !bench.path("outs").exists());
}

/// A directory may come from somebody else. What otaseal finds there by itself is a regular file.
#[test]
fn what_no_option_names_is_a_regular_file() {
    let bench = bench();
    fs::create_dir(bench.path("keys")).unwrap();
    fs::copy(bench.path("signed"), bench.path("image.bin.signed")).unwrap();
    let cases = [
        ("otaseal.toml", "", "sign image.bin --output out --key key.pem"),
        ("otaseal.toml", "", "compress image.bin --output out"),
        ("keys/private.pem", "effort = 'max'", "sign image.bin --output out"),
        ("keys/private.pem", "effort = 'max'", "package image.bin --out-dir outs"),
        ("keys/public.pem", "effort = 'max'", "verify signed"),
        ("keys/public.pem", "effort = 'max'", "attach image.bin raw --output out"),
        ("special", "key = 'special'", "sign image.bin --output out"),
        ("special", "public-key = 'special'", "digest image.bin --output out"),
        ("special", "key = 'key.pem'\npublic-key = 'special'", "sign image.bin --output out"),
        ("special", "firmware = 'special'", "package --key key.pem --out-dir outs"),
        ("special", "sbom = 'special'", "package image.bin --key key.pem --out-dir outs"),
        ("special", "ledger = 'special'", "sign image.bin --output out --key key.pem"),
        ("special", "ledger = 'special'", "sign image.bin --output out --key key.pem --release"),
        ("outs/manifest.json", "", "package image.bin --key key.pem --out-dir outs"),
    ];
    for (special, settings, line) in cases {
        for device in [false, true] {
            let path = bench.path(special);
            let _ = fs::create_dir(bench.path("outs"));
            let _ = fs::remove_file(bench.path("otaseal.toml"));
            if special != "otaseal.toml" {
                bench.write("otaseal.toml", settings.as_bytes());
            }
            put(&path, device);
            let mut command = Command::new(OTASEAL);
            command.args(line.split_whitespace()).current_dir(bench.dir()).stdin(Stdio::null());
            let output = within(LIMIT, &mut command).unwrap_or_else(|| panic!("{line}, {special}: it waits"));
            let text = String::from_utf8_lossy(&output.stderr);
            let name = Path::new(special).file_name().unwrap().to_str().unwrap();
            let what = if device { "it is a device" } else { "it is a pipe" };
            let said = text.contains(name) && text.contains(what);
            assert!(output.status.code() == Some(3) && said, "{line}, {special}: {text}");
            assert!(!bench.path("out").exists(), "{line}, {special}");
            fs::remove_file(path).unwrap();
            fs::remove_dir_all(bench.path("outs")).unwrap();
        }
    }
    // Nobody named the build beside an image, so otaseal passes over it.
    let _ = fs::remove_file(bench.path("otaseal.toml"));
    fs::remove_file(bench.path("image.bin")).unwrap();
    put(&bench.path("image.bin"), false);
    let mut command = Command::new(OTASEAL);
    command.args(["verify", "image.bin.signed", "--key", "public.pem"]).current_dir(bench.dir());
    assert!(within(LIMIT, &mut command).expect("it does not wait").status.success());
}

fn put(path: &Path, device: bool) {
    if device {
        symlink("/dev/zero", path).unwrap();
    } else {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
    }
}

/// The tables above name every argument that the help of a command shows with the name of a file.
#[test]
fn the_tables_are_complete() {
    const FILES: &[&str] = &[
        "FILE",
        "KEY",
        "KEYID",
        "LIST",
        "BUILD",
        "FIRMWARE",
        "IN",
        "IMAGE",
        "SIGNATURE",
        "RELEASE",
        "MANIFEST",
    ];
    let bench = Bench::new();
    let mut covered: BTreeSet<String> = NO_READERS.iter().map(ToString::to_string).collect();
    for line in READERS.iter().chain(NO_STREAMS) {
        let words: Vec<_> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.starts_with('@')).unwrap();
        let options = words.iter().position(|word| word.starts_with("--")).unwrap_or(words.len());
        let arguments = if ["key", "ledger", "rotate"].contains(&words[0]) { 2 } else { 1 };
        let command = words[..arguments].join(" ");
        match words[at - 1].starts_with("--") {
            true => covered.insert(format!("{command} {}", words[at - 1])),
            false => covered.insert(format!("{command} #{}", at - arguments.min(options))),
        };
    }
    for command in COMMANDS {
        let mut words: Vec<_> = command.split_whitespace().collect();
        words.push("--help");
        let help = String::from_utf8(bench.ok(&words).stdout).unwrap();
        let (mut position, mut arguments) = (0, false);
        for line in help.lines().map(str::trim) {
            match line {
                "Arguments:" | "Options:" => arguments = line == "Arguments:",
                _ => {}
            }
            let Some((before, rest)) = line.split_once(['<', '[']) else { continue };
            let Some((name, _)) = rest.split_once(['>', ']']) else { continue };
            let argument = match before.trim().rsplit_once("--") {
                Some((_, option)) if line.starts_with('-') => format!("{command} --{option}"),
                None if arguments && before.is_empty() && !name.starts_with("default") => {
                    position += 1;
                    format!("{command} #{}", position - 1)
                }
                _ => continue,
            };
            if !FILES.contains(&name) {
                continue;
            }
            assert!(covered.contains(&argument), "no row of a table names {argument}: {line}");
        }
    }
}

const COMMANDS: &[&str] = &[
    "keygen",
    "key info",
    "key passwd",
    "key convert",
    "key check",
    "package",
    "sign",
    "digest",
    "attach",
    "verify",
    "ledger verify",
    "ledger show",
    "ledger export",
    "rotate plan",
    "release",
    "inspect",
    "identify",
    "strip",
    "compress",
    "pubkey",
    "signing-py",
];
