//! Tests that every caller of the policy refuses every case. It is a table of callers and refusals.
//!
//! To add a caller, add a line to [`CALLERS`]. To add a refusal, add a line to [`refusals`].

use crate::common::Bench;
use otaseal::format::gzip::Effort;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Every command that signs an image, or makes the request for a signature.
const CALLERS: [Caller; 6] = [
    Caller {
        name: "sign",
        arguments: &["sign", "IMAGE", "--key", "KEY", "-o", "new.signed"],
        reads_key_file: true,
    },
    Caller {
        name: "attach",
        arguments: &["attach", "IMAGE", "signature", "--key", "PUBLIC", "-o", "new.signed"],
        reads_key_file: false,
    },
    Caller {
        name: "digest",
        arguments: &["digest", "IMAGE", "--key", "PUBLIC", "-o", "new.json"],
        reads_key_file: false,
    },
    Caller {
        name: "signing-py",
        arguments: &[
            "signing-py",
            "--mode",
            "sign",
            "--bin",
            "IMAGE",
            "--privatekey",
            "KEY",
            "--out",
            "new.signed",
        ],
        reads_key_file: true,
    },
    Caller {
        name: "package",
        arguments: &["package", "IMAGE", "--key", "KEY", "--out-dir", "new"],
        reads_key_file: true,
    },
    // `cargo xtask sign` is a function of the library.
    Caller {
        name: HOOK,
        arguments: &["sign", "--firmware", "IMAGE", "--key", "KEY", "--out-dir", "new"],
        reads_key_file: true,
    },
];

const HOOK: &str = "cargo xtask sign";

struct Caller {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Whether it opens the private key from a file. otaseal checks that file before a release.
    reads_key_file: bool,
}

/// A case that otaseal must refuse, and the reason.
struct Refusal {
    name: &'static str,
    image: &'static str,
    key: &'static str,
    options: Vec<&'static str>,
    /// The error holds one of these.
    says: &'static [&'static str],
    of_the_key_file: bool,
}

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const RELEASE: [&str; 3] = ["--release", "--ledger", "new.jsonl"];
/// otaseal refuses a build that is compressed already before the policy sees it.
const PACKED: &str = "is compressed already";
/// A package is made of a file that can be converted. This one has no key in it.
const CONVERTED: &str = "no public key in it";

fn refusals() -> Vec<Refusal> {
    let of = |name, image, options: &[&'static str], says| {
        let key = "keys/other";
        Refusal { name, image, key, options: options.to_vec(), says, of_the_key_file: false }
    };
    let release = |more: &[&'static str]| [&RELEASE[..], more].concat();
    vec![
        of("nothing", "empty.bin", &[], &["is empty"]),
        of("signed already", "firmware.other.signed", &[], &["signed already"]),
        of("another digest", "keyed.other.bin", &["--expect-sha256", ZEROS], &["its SHA-256 is"]),
        of("a UF2 file", "no-image/pico.uf2", &[], &["a UF2 file for RP2350", CONVERTED]),
        of("an ELF file", "no-image/fw.elf", &[], &["an ELF file", "the ELF"]),
        of("an Intel HEX file", "no-image/fw.hex", &[], &["an Intel HEX file"]),
        of("a page", "no-image/page.bin", &[], &["an HTML or XML page"]),
        of("a pointer of Git LFS", "no-image/pointer.bin", &[], &["a Git LFS pointer"]),
        of("an archive", "no-image/build.zip", &[], &["a ZIP archive"]),
        of("base64", "no-image/base64.bin", &[], &["base64 text"]),
        of("erased flash", "no-image/erased.bin", &[], &["nothing but FF bytes"]),
        of("a public key", "keys/other.public.pem", &[], &["an RSA public key"]),
        of("a page for a release", "no-image/page.bin", &RELEASE, &["an HTML or XML page"]),
        of(
            "a page as a filesystem",
            "no-image/page.bin",
            &["--kind", "filesystem"],
            &["an HTML or XML page"],
        ),
        of("a page in a gzip", "no-image/page.gz", &[], &["an HTML or XML page", PACKED]),
        of("a gzip in a gzip", "no-image/twice.gz", &[], &["a gzip inside a gzip", PACKED]),
        of("a damaged image", "esp8266-cut.bin", &[], &["damaged ESP8266 image"]),
        of("a damaged image of an ESP32", "esp32-cut.bin", &[], &["damaged ESP32-C3 image"]),
        of("a filesystem as firmware", "littlefs.bin", &[], &["not firmware"]),
        of("firmware as a filesystem", "esp8266.bin", &["--kind", "filesystem"], &["not a filesystem image"]),
        of("a filesystem that is cut off", "littlefs-cut.bin", &["--kind", "filesystem"], &["LittleFS"]),
        of(
            "another flash mode",
            "esp8266.bin",
            &["--expect-flash-mode", "qio"],
            &["the flash mode of the image"],
        ),
        of("no flash mode", "keyed.other.bin", &["--expect-flash-mode", "dio"], &["has no flash mode"]),
        of(
            "another public key",
            "keyed.other.bin",
            &["--expect-public", "keys/private.public.pem"],
            &["expected public key"],
        ),
        of("another key id", "keyed.other.bin", &["--expect-key-id", ZEROS], &["the key id is"]),
        of("a private key in the image", "leaky.bin", &[], &["it contains"]),
        of("a private key as base64", "text/base64.bin", &[], &["as base64 text at offset"]),
        of("a private key as strings", "text/strings.bin", &[], &["as base64 text at offset"]),
        of("a private key as a list", "text/list.bin", &[], &["as hexadecimal text at offset"]),
        of("a private key as text in a gzip", "text/base64.gz", &[], &["as base64 text at offset", PACKED]),
        of("firmware without a key", "esp8266.bin", &[], &["no public key in it"]),
        of("firmware with another key", "keyed.bin", &[], &["another key than the one that signs"]),
        of("a next key that is missing", "keyed.other.bin", &["--rotate-to", ZEROS], &["is not in it"]),
        of(
            "a key that nobody named",
            "keyed.both.bin",
            &["--rotate-to", "keys/other.public.pem"],
            &["more keys than"],
        ),
        of("tokens in tokens", "tokens/nested.bin", &[], &["holds the start of another one"]),
        of("two names", "tokens/two-names.bin", &[], &["two different values of the firmware name"]),
        of("two versions", "tokens/two-versions.bin", &[], &["two different values of the firmware version"]),
        of("two brands", "tokens/two-brands.bin", &[], &["two different values of the brand"]),
        of("a name without a version", "tokens/no-version.bin", &[], &["but no firmware version"]),
        of("a version without a name", "tokens/no-name.bin", &[], &["but no firmware name"]),
        of("a name without an end", "tokens/no-end.bin", &[], &["does not end within 32 bytes"]),
        of("a name that is too long", "tokens/long.bin", &[], &["does not end within 32 bytes"]),
        of("an empty name", "tokens/empty.bin", &[], &["is empty"]),
        of("a name with a line end", "tokens/line-end.bin", &[], &["has the character U+000A"]),
        of("a name that is turned around", "tokens/turned.bin", &[], &["has the character U+202E"]),
        of("a name that is no text", "tokens/no-text.bin", &[], &["is not UTF-8 text"]),
        of(
            "two names in a gzip",
            "tokens/two-names.gz",
            &[],
            &["two different values of the firmware", PACKED],
        ),
        of(
            "two names for a release",
            "tokens/two-names.bin",
            &RELEASE,
            &["two different values of the firmware"],
        ),
        of("the name of another board", "tokens/board.bin", &[], &["the board Pico 2, but it is an ESP8266"]),
        of("a gzip that bricks", "trailing.gz", &[], &["follow the gzip trailer", PACKED]),
        of("a release without a ledger", "keyed.other.bin", &["--release"], &["needs a ledger"]),
        of(
            "a release with a broken ledger",
            "keyed.other.bin",
            &["--release", "--ledger", "ledger.changed.jsonl"],
            &["ledger"],
        ),
        of("a release without a key in it", "firmware.bin", &release(&[]), &["no public key in it"]),
        of("a release that cannot be looked into", "no.gz", &release(&[]), &["no public key in it", PACKED]),
        of(
            "a release with a published key in it",
            "keyed.both.bin",
            &release(&[]),
            &["devices would trust the key"],
        ),
        Refusal {
            key: "keys/private",
            ..of("a release by a published key", "keyed.bin", &release(&[]), &["may not sign releases"])
        },
        Refusal {
            key: "keys/open",
            of_the_key_file: true,
            ..of(
                "a release by a key that others can read",
                "keyed.other.bin",
                &release(&[]),
                &["other users can read"],
            )
        },
    ]
}

/// Copies the inputs of the cases, and makes the other files that this table needs.
fn bench() -> Bench {
    let bench = Bench::new();
    let from = crate::common::root().join("tests/cmd/in");
    fs::create_dir(bench.path("keys")).unwrap();
    fs::create_dir(bench.path("no-image")).unwrap();
    fs::copy(from.join("pico.uf2"), bench.path("no-image/pico.uf2")).unwrap();
    for name in [
        "empty.bin",
        "firmware.bin",
        "firmware.other.signed",
        "keyed.bin",
        "keyed.other.bin",
        "keyed.both.bin",
        "esp8266.bin",
        "esp8266-cut.bin",
        "littlefs.bin",
        "leaky.bin",
        "esp32-cut.bin",
        "no-image/fw.elf",
        "no-image/fw.hex",
        "no-image/page.bin",
        "no-image/pointer.bin",
        "no-image/build.zip",
        "no-image/base64.bin",
        "no-image/erased.bin",
        "no-image/page.gz",
        "no-image/twice.gz",
        "trailing.gz",
        "ledger.changed.jsonl",
        "keys/private.pem",
        "keys/other.pem",
        "keys/other.public.pem",
    ] {
        bench.write(name, &fs::read(from.join(name)).unwrap());
    }
    // The public key is not beside its private key, under the name that `cargo xtask` looks for.
    fs::copy(from.join("keys/public.pem"), bench.path("keys/private.public.pem")).unwrap();
    for (open, own) in
        [("keys/open.pem", "keys/other.pem"), ("keys/open.public.pem", "keys/other.public.pem")]
    {
        fs::copy(bench.path(own), bench.path(open)).unwrap();
    }
    write_tokens(&bench);
    write_keys_as_text(&bench);
    let littlefs = bench.read("littlefs.bin");
    bench.write("littlefs-cut.bin", &littlefs[..littlefs.len() / 2]);
    bench.write("no.gz", b"\x1f\x8b\x08\0 this inflates to nothing");
    bench.write("Cargo.toml", b"[workspace]\nresolver = \"3\"\nmembers = []\n");
    #[cfg(unix)]
    for (key, mode) in [("private", 0o600), ("other", 0o600), ("open", 0o644)] {
        use std::os::unix::fs::PermissionsExt;
        let path = bench.path(&format!("keys/{key}.pem"));
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    bench
}

/// Images with the right key, and with its private half without the labels of PEM.
fn write_keys_as_text(bench: &Bench) {
    let pem = fs::read_to_string(bench.path("keys/other.pem")).unwrap();
    let lines: Vec<_> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    bench.openssl("pkcs8 -topk8 -nocrypt -in keys/other.pem -outform DER -out key.der");
    let list: String = bench.read("key.der").iter().map(|byte| format!("0x{byte:02x}, ")).collect();
    let keyed = bench.read("keyed.other.bin");
    fs::create_dir(bench.path("text")).unwrap();
    for (file, text) in [
        ("base64", format!("key{}", lines.concat())),
        ("strings", format!("\"{}\"", lines.join("\\n\"\n    \""))),
        ("list", list),
    ] {
        bench.write(&format!("text/{file}.bin"), &[&keyed[..], text.as_bytes()].concat());
    }
    let packed = otaseal::format::gzip::gzip(&bench.read("text/base64.bin"), Effort::Fast).unwrap();
    bench.write("text/base64.gz", &packed);
}

/// Images with the right key and with Homie tokens.
fn write_tokens(bench: &Bench) {
    let token = |left: &[u8], value: &[u8], right: &[u8]| [left, value, right, b"\0"].concat();
    let name = |value: &[u8]| token(b"\xbf\x84\xe4\x13\x54", value, b"\x93\x44\x6b\xa7\x75");
    let version = |value: &[u8]| token(b"\x6a\x3f\x3e\x0e\xe1", value, b"\xb0\x30\x48\xd4\x1a");
    let brand = |value: &[u8]| token(b"\xfb\x2a\xf5\x68\xc0", value, b"\x6e\x2f\x0f\xeb\x2d");
    let one = version(b"1");
    let images: &[(&str, &[Vec<u8>])] = &[
        ("good", &[name("Word Clock / Wörteruhr".as_bytes()), version(b"1.0 beta"), brand(b"Acme & Co.")]),
        ("nested", &[name(&name(b"lamp")), version(&one)]),
        ("two-names", &[name(b"Word Clock"), one.clone(), name(b"Word-Clock")]),
        ("two-versions", &[name(b"lamp"), one.clone(), version(b"1 ")]),
        ("two-brands", &[brand(b"Acme"), brand(b"acme")]),
        ("no-version", &[name(b"lamp")]),
        ("no-name", std::slice::from_ref(&one)),
        ("no-end", &[name(b"lamp")[..9].to_vec(), vec![0; 40], one.clone()]),
        ("long", &[name(&[b'a'; 33]), one.clone()]),
        ("empty", &[name(b""), one.clone()]),
        ("line-end", &[name(b"lamp\n"), one.clone()]),
        ("turned", &[name("lamp\u{202e}nib.".as_bytes()), one.clone()]),
        ("no-text", &[name(b"lamp\xe9"), one.clone()]),
    ];
    fs::create_dir(bench.path("tokens")).unwrap();
    let keyed = bench.read("keyed.other.bin");
    for (file, tokens) in images {
        bench.write(&format!("tokens/{file}.bin"), &[&keyed[..], &tokens.concat()].concat());
    }
    let packed = otaseal::format::gzip::gzip(&bench.read("tokens/two-names.bin"), Effort::Fast).unwrap();
    bench.write("tokens/two-names.gz", &packed);
    let esp8266 = [bench.read("esp8266.bin"), bench.read("keys/other.public.pem"), name(b"Pico 2"), one];
    bench.write("tokens/board.bin", &esp8266.concat());
}

/// Runs a caller in its own bench. Returns the exit code and the error.
fn run(caller: &Caller, image: &str, key: &str, options: &[&str]) -> (Bench, i32, String) {
    run_in(bench(), caller, image, key, options)
}

fn run_in(bench: Bench, caller: &Caller, image: &str, key: &str, options: &[&str]) -> (Bench, i32, String) {
    let private = format!("{key}.pem");
    bench.openssl(&format!("dgst -sha256 -sign {private} -out signature {image}"));
    let arguments: Vec<String> = caller
        .arguments
        .iter()
        .chain(options)
        .map(|argument| match *argument {
            "IMAGE" => image.into(),
            "KEY" => private.clone(),
            "PUBLIC" => format!("{key}.public.pem"),
            other => other.into(),
        })
        .collect();
    let (code, error) = match caller.name {
        HOOK => hook(&bench, &arguments),
        _ => {
            let output = bench.otaseal(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        }
    };
    (bench, code.unwrap_or(-1), error)
}

/// `cargo xtask` runs in this process, so it gets absolute paths.
fn hook(bench: &Bench, arguments: &[String]) -> (Option<i32>, String) {
    let names_a_file = |argument: &str| argument.starts_with("new") || bench.path(argument).exists();
    let whole = |argument: &String| match argument.as_str() {
        "sign" => argument.into(),
        file if names_a_file(file) => bench.path(file).into_os_string(),
        _ => OsString::from(argument),
    };
    let manifest = ["--manifest-path".into(), bench.path("Cargo.toml").into_os_string()];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = otaseal::cargo::run(arguments.iter().map(whole).chain(manifest), &mut out, &mut err);
    // An `ExitCode` does not show its number.
    let number = (0..=3).find(|number| code == std::process::ExitCode::from(*number));
    (number.map(i32::from), String::from_utf8(err).unwrap())
}

fn made(bench: &Bench) -> Vec<String> {
    let names = fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("new") && !is_empty(&bench.path(name))).collect()
}

/// otaseal may make a directory before the first signature, but no file in it.
fn is_empty(path: &Path) -> bool {
    path.is_dir() && fs::read_dir(path).unwrap().next().is_none()
}

#[test]
fn every_caller_refuses_what_the_policy_refuses() {
    let mut wrong = Vec::new();
    for caller in &CALLERS {
        for (image, options) in
            [("keyed.other.bin", &[][..]), ("keyed.other.bin", &RELEASE), ("tokens/good.bin", &[])]
        {
            let (bench, code, error) = run(caller, image, "keys/other", options);
            if code != 0 || made(&bench).is_empty() {
                wrong.push(format!("{} {image} {options:?} does not sign: {code} {error}", caller.name));
            }
        }
        for refusal in refusals() {
            if refusal.of_the_key_file && !caller.reads_key_file {
                continue;
            }
            let (bench, code, error) = run(caller, refusal.image, refusal.key, &refusal.options);
            let said = refusal.says.iter().any(|text| error.contains(text));
            if !matches!(code, 1 | 3) || !said || !made(&bench).is_empty() {
                let made = made(&bench);
                wrong.push(format!(
                    "{}: {}: exit code {code}, made {made:?}: {error}",
                    caller.name, refusal.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} entries of the table are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// `digest` has no signature yet, so no device can be asked. `attach` asks.
#[test]
fn every_signer_refuses_an_image_that_no_named_device_accepts() {
    const ROOM: &str = "for = ['esp8266@3.1.2']\nvia = ['http']\nflash-layout = '4m1m'\n";
    const SMALL_CHIP: &str = "for = ['esp8266@3.1.2']\nvia = ['http']\nflash-layout = '512k'\n";
    let signers = CALLERS.iter().filter(|caller| caller.name != "digest");
    for (caller, settings, refused) in signers.flat_map(|it| [(it, ROOM, false), (it, SMALL_CHIP, true)]) {
        let bench = bench();
        let cargo = bench.read("Cargo.toml");
        let metadata = ["\n[workspace.metadata.otaseal]\n", settings].concat();
        bench.write("Cargo.toml", &[&cargo, metadata.as_bytes()].concat());
        bench.write("otaseal.toml", settings.as_bytes());
        // The keys in the image are not what is asked here.
        let mut keyed = [bench.read("esp8266.bin"), bench.read("keys/other.public.pem")].concat();
        keyed.resize(keyed.len().next_multiple_of(4), b'\n');
        bench.write("keyed.esp8266.bin", &keyed);
        let (bench, code, error) = run_in(bench, caller, "keyed.esp8266.bin", "keys/other", &[]);
        let says = ["no device accepts the signed image", "accepts none of the artefacts"];
        assert_eq!(says.iter().any(|says| error.contains(says)), refused, "{}: {error}", caller.name);
        assert_eq!(code != 0, refused, "{}: {error}", caller.name);
        assert_eq!(made(&bench).is_empty(), refused, "{}", caller.name);
    }
}
