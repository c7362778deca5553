//! Tests `otaseal signing-py` in place of the Arduino cores' signing.py: in the recipe lines of platform.txt, in a
//! PlatformIO build, and for every failure that the script reports as success.

#[cfg(feature = "pkcs11")]
use crate::common::token::{PIN, Tokens, module};
use crate::common::{Bench, OTASEAL, input, root, tempdir};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn signing_py(dir: &Path, args: &[&str]) -> Output {
    Command::new(OTASEAL).arg("signing-py").args(args).current_dir(dir).output().unwrap()
}

/// Runs a tool that the test needs. If it is missing, the test is skipped; in CI it fails.
fn tool(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            let name = command.get_program().to_string_lossy().into_owned();
            assert!(std::env::var_os("CI").is_none(), "{name} is missing: {error}");
            eprintln!("SKIPPED: {name} is missing: {error}");
            None
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns whether OpenSSL accepts an image that the example key signed.
fn openssl_accepts(dir: &Path, signed: &Path) -> Option<bool> {
    let bytes = fs::read(signed).unwrap();
    let (rest, length) = bytes.split_last_chunk::<4>().unwrap();
    assert_eq!(u32::from_le_bytes(*length), 256);
    let (payload, signature) = rest.split_at(rest.len() - 256);
    fs::write(dir.join("payload"), payload).unwrap();
    fs::write(dir.join("signature"), signature).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-verify"]).arg(input("keys/public.pem"));
    openssl.args(["-signature", "signature", "payload"]).current_dir(dir);
    Some(tool(&mut openssl)?.status.success())
}

/// Compiles a C file that includes the header as the core does. Returns the array up to its zero.
fn key_in_header(dir: &Path, include: &Path) -> Option<Vec<u8>> {
    // The core's macros for data in flash. This machine has only one memory.
    fs::write(dir.join("pgmspace.h"), "#define PROGMEM\n").unwrap();
    let source = "#include <Updater_Signing.h>\n#include <stdio.h>\n#include <string.h>\n\
        #if !ARDUINO_SIGNING\n#error checking is off\n#endif\n\
        int main(void) { return fwrite(signing_pubkey, strlen(signing_pubkey), 1, stdout) != 1; }\n";
    fs::write(dir.join("main.c"), source).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-Wall", "-Werror", "-o", "main", "main.c", "-I."])
        .arg("-I")
        .arg(include)
        .current_dir(dir);
    let output = tool(&mut compiler)?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(Command::new(dir.join("main")).output().unwrap().stdout)
}

/// From the appendix of the survey of signing.py: the script exits with 0 for each of these.
#[test]
fn what_the_script_lets_pass_fails_here() {
    let key = |name: &str| input(&format!("keys/{name}")).display().to_string();
    let (private, public) = (key("private.pem"), key("public.pem"));
    let image = input("firmware.bin").display().to_string();
    let damaged = [key("damaged.pem"), key("inconsistent.pem"), key("text.pem")];
    let encrypted = [key("encrypted.pem"), key("encrypted.pkcs1.pem")];
    let mut cases: Vec<(&str, Vec<&str>)> = vec![
        ("a missing private key", vec!["--mode", "sign", "--privatekey", "missing", "--bin", &image]),
        ("a missing image", vec!["--mode", "sign", "--privatekey", &private, "--bin", "missing"]),
        ("an EC key", vec!["--mode", "sign", "--privatekey", "ec", "--bin", &image]),
        ("an unknown mode", vec!["--mode", "check", "--privatekey", &private, "--bin", &image]),
        ("no mode", vec!["--privatekey", &private, "--bin", &image]),
        ("a missing public key", vec!["--mode", "header", "--publickey", "missing"]),
        ("a private key in the header", vec!["--mode", "header", "--publickey", &private]),
        ("a public key that signs", vec!["--mode", "sign", "--privatekey", &public, "--bin", &image]),
    ];
    for bad in damaged.iter().chain(&encrypted) {
        cases.push(("a bad key", vec!["--mode", "sign", "--privatekey", bad, "--bin", &image]));
        cases.push(("a bad key in the header", vec!["--mode", "header", "--publickey", bad]));
    }
    for (what, args) in cases {
        let dir = tempdir();
        for old in [None, Some("an old output")] {
            let out = dir.path().join("out");
            if let Some(old) = old {
                fs::write(&out, old).unwrap();
            }
            let output =
                signing_py(dir.path(), &[&args[..], &["--out", "out", "--legacy", "old"][..]].concat());
            assert!(matches!(output.status.code(), Some(2 | 3)), "{what}: {args:?}");
            assert!(output.stdout.is_empty(), "{what} is reported as done");
            let stderr = text(&output.stderr);
            assert!(stderr.starts_with("error: "), "{what}: {stderr}");
            assert_eq!(fs::read_to_string(&out).ok().as_deref(), old, "{what} touches the output");
            let names = fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(names, usize::from(old.is_some()), "{what} leaves a file");
        }
    }
}

/// The script calls the program `openssl`, and goes on without it.
#[test]
fn nothing_else_needs_to_be_installed() {
    let dir = tempdir();
    let status = Command::new(OTASEAL)
        .args(["signing-py", "--mode", "sign", "--out", "out", "--bin"])
        .arg(input("firmware.bin"))
        .arg("--privatekey")
        .arg(input("keys/private.pem"))
        .current_dir(dir.path())
        .env("PATH", "")
        .status();
    assert!(status.unwrap().success());
    assert!(fs::read(dir.path().join("out")).unwrap() == fs::read(input("firmware.bin.signed")).unwrap());
}

#[test]
fn the_header_is_rewritten_only_when_the_key_changes() {
    let dir = tempdir();
    let header = dir.path().join("core/Updater_Signing.h");
    let write = |key: &str| {
        let key = input(key).display().to_string();
        let args = ["--mode", "header", "--publickey", &key, "--out", "core/Updater_Signing.h"];
        assert!(signing_py(dir.path(), &args).status.success());
        fs::metadata(&header).unwrap().modified().unwrap()
    };
    let first = write("keys/public.pem");
    // The same key in another form gives the same header.
    assert_eq!(write("keys/public.pkcs1.pem"), first);
    let Some(key) = key_in_header(dir.path(), &dir.path().join("core")) else { return };
    assert_eq!(text(&key), fs::read_to_string(input("keys/public.pem")).unwrap());
    write("keys/other.public.pem");
    let key = key_in_header(dir.path(), &dir.path().join("core")).unwrap();
    assert_eq!(text(&key), fs::read_to_string(input("keys/other.public.pem")).unwrap());
}

/// Returns the recipe lines of a document: `NAME=COMMAND`.
fn recipes(document: &str) -> Vec<(String, String)> {
    let lines = document.lines().filter(|line| line.starts_with("recipe."));
    lines
        .map(|line| line.split_once('=').map(|(name, command)| (name.into(), command.into())).unwrap())
        .collect()
}

/// Splits a command line as the Arduino builder does: at spaces, except between quotation marks.
fn split(command: &str) -> Vec<String> {
    let mut words = vec![];
    for (index, part) in command.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn the_lines_for_platform_txt_build_and_sign_a_sketch() {
    let document = recipes(&fs::read_to_string(root().join("docs/guides/arduino.md")).unwrap());
    let names: Vec<_> = document.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["recipe.hooks.sketch.prebuild.pattern", "recipe.objcopy.hex.2.pattern"]);
    let help = Command::new(OTASEAL).args(["signing-py", "--help"]).output().unwrap();
    assert_eq!(
        recipes(&text(&help.stdout)),
        document,
        "--help and docs/guides/arduino.md have the same lines"
    );

    let dir = tempdir();
    let (sketch, build) = (dir.path().join("My Sketches/lamp"), dir.path().join("build of lamp"));
    fs::create_dir_all(&sketch).unwrap();
    fs::create_dir_all(&build).unwrap();
    fs::copy(input("keys/private.pem"), sketch.join("private.key")).unwrap();
    fs::copy(input("keys/public.pem"), sketch.join("public.key")).unwrap();
    fs::copy(input("firmware.bin"), build.join("lamp.ino.bin")).unwrap();
    let run = |command: &str| {
        let command = command
            .replace("{build.source.path}", sketch.to_str().unwrap())
            .replace("{build.path}", build.to_str().unwrap())
            .replace("{build.project_name}", "lamp.ino");
        assert!(!command.contains('{'), "{command}");
        let words = split(&command);
        assert_eq!(words[0], "otaseal");
        let path = Path::new(OTASEAL).parent().unwrap();
        Command::new(Path::new(path).join(&words[0])).args(&words[1..]).output().unwrap()
    };
    for (name, command) in &document {
        let output = run(command);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    }
    let signed = build.join("lamp.ino.bin.signed");
    assert!(fs::read(&signed).unwrap() == fs::read(input("firmware.bin.signed")).unwrap());
    let legacy = fs::read(build.join("lamp.ino.bin.legacy_sig")).unwrap();
    assert!(legacy == fs::read(input("firmware.bin.legacy_sig")).unwrap());
    assert_ne!(openssl_accepts(dir.path(), &signed), Some(false));
    if let Some(key) = key_in_header(dir.path(), &build.join("core")) {
        assert_eq!(text(&key), fs::read_to_string(sketch.join("public.key")).unwrap());
    }

    fs::remove_file(sketch.join("private.key")).unwrap();
    fs::remove_file(sketch.join("public.key")).unwrap();
    for (name, command) in &document {
        assert_eq!(run(command).status.code(), Some(3), "{name} without keys must stop the build");
    }
}

/// PlatformIO is SCons with an environment. This test builds with SCons itself, and with an environment that has what
/// the script needs of PlatformIO's. As there, `pre:` scripts run before the framework's, and the others run after it.
const SCONSTRUCT: &str = r#"
import os
env = Environment(ENV=os.environ, PROJECT_DIR=Dir(".").abspath, PROGNAME="firmware")
env["BUILD_DIR"] = os.path.join(env["PROJECT_DIR"], ".pio", "build")
options = dict(pair.split("=", 1) for pair in os.environ["OPTIONS"].split(",") if pair)
options["extra_scripts"] = os.environ["SCRIPTS"].split()
env.AddMethod(lambda env, name, default=None: options.get(name, default), "GetProjectOption")

def binary(target, source, env):
    # An ELF file is no image: this one loses its magic number.
    with open(str(source[0]), "rb") as program, open(str(target[0]), "wb") as image:
        image.write(program.read()[4:])

def run_scripts(pre):
    for script in options["extra_scripts"]:
        if script.startswith("pre:") == pre:
            env.SConscript(script.split(":")[-1], exports="env")

run_scripts(True)
# The framework has a header of the same name, which switches checking off.
env.Append(CPPPATH=["framework"])
program = env.Object("$BUILD_DIR/main.o", "main.c")
image = env.Command("$BUILD_DIR/${PROGNAME}.bin", program, binary)
run_scripts(False)
Default(image)
"#;

/// Makes a project that uses the script, without keys.
fn platformio_project(project: &Path) {
    fs::create_dir_all(project.join("framework")).unwrap();
    fs::create_dir_all(project.join("keys")).unwrap();
    fs::copy(root().join("docs/platformio/otaseal_sign.py"), project.join("otaseal_sign.py")).unwrap();
    fs::write(project.join("SConstruct"), SCONSTRUCT).unwrap();
    fs::write(project.join("framework/Updater_Signing.h"), "#define ARDUINO_SIGNING 0\n").unwrap();
    fs::write(project.join("framework/pgmspace.h"), "#define PROGMEM\n").unwrap();
    source(project, "int answer = 42;");
}

/// Writes the project's only source file.
fn source(project: &Path, body: &str) {
    let source = format!(
        "#include <Updater_Signing.h>\n#if !ARDUINO_SIGNING\n#error checking is off\n#endif\n\
         const char *volatile key = signing_pubkey;\n{body}\n"
    );
    fs::write(project.join("main.c"), source).unwrap();
}

#[test]
fn the_platformio_script_builds_the_key_in_and_signs() {
    let dir = tempdir();
    let project = dir.path().join("my project");
    platformio_project(&project);
    let main = |body: &str| source(&project, body);
    fs::copy(input("keys/private.pem"), project.join("keys/private.pem")).unwrap();
    fs::copy(input("keys/public.pem"), project.join("keys/public.pem")).unwrap();
    let build_with = |scripts: &str, options: &str| {
        let mut scons = Command::new("scons");
        let options = format!("custom_otaseal_program={OTASEAL},{options}");
        scons.arg("-Q").current_dir(&project).env("OPTIONS", options).env("SCRIPTS", scripts);
        tool(&mut scons)
    };
    let build = |options: &str| build_with("pre:otaseal_sign.py post:otaseal_sign.py", options);
    let image = project.join(".pio/build/firmware.bin");
    let signed = project.join(".pio/build/firmware.bin.signed");
    let legacy = project.join(".pio/build/firmware.bin.legacy_sig");

    let Some(output) = build("") else { return };
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let bytes = fs::read(&image).unwrap();
    assert!(fs::read(&signed).unwrap().starts_with(&bytes) && !legacy.exists());
    assert_ne!(openssl_accepts(dir.path(), &signed), Some(false));
    let pem = fs::read(input("keys/public.pem")).unwrap();
    assert!(bytes.windows(pem.len()).any(|part| part == pem), "the public key is in what was built");

    // Nothing changed, so nothing is built, and the signed image is still from this build.
    assert!(text(&build("").unwrap().stdout).contains("up to date"));
    // Nothing changed, but the signed image is missing, or one of both.
    fs::remove_file(&signed).unwrap();
    assert!(build("").unwrap().status.success() && signed.exists() && fs::read(&image).unwrap() == bytes);
    assert!(build("custom_otaseal_legacy=yes").unwrap().status.success() && legacy.exists());
    assert!(!build("custom_otaseal_legacy=ja").unwrap().status.success());

    main("int answer = 43;");
    assert!(build("custom_otaseal_legacy=yes").unwrap().status.success());
    let rebuilt = fs::read(&image).unwrap();
    assert!(rebuilt != bytes && fs::read(&signed).unwrap().starts_with(&rebuilt) && legacy.exists());

    // If a build cannot be signed, it fails, and leaves no signed image of an earlier build.
    main("int answer = 44;");
    let output = build("custom_otaseal_private_key=keys/missing.pem").unwrap();
    assert!(!output.status.success() && !signed.exists() && !legacy.exists(), "{}", text(&output.stdout));
    // Build once more without a change. There is still no success without a signature.
    assert!(!build("custom_otaseal_private_key=keys/missing.pem").unwrap().status.success());

    // A command replaces the private key. The bytes are the same, and there is no success without a signature.
    main("int answer = 47;");
    fs::rename(project.join("keys/private.pem"), dir.path().join("private.pem")).unwrap();
    let pads = format!(
        "custom_otaseal_signer_cmd=openssl pkeyutl -sign -inkey {} -pkeyopt rsa_padding_mode:pkcs1",
        dir.path().join("private.pem").display()
    );
    let output = build(&pads).unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(fs::read(&signed).unwrap().starts_with(&fs::read(&image).unwrap()));
    assert_ne!(openssl_accepts(dir.path(), &signed), Some(false));
    main("int answer = 46;");
    let output = build("custom_otaseal_signer_cmd=false").unwrap();
    assert!(!output.status.success() && !signed.exists(), "{}", text(&output.stdout));
    fs::rename(dir.path().join("private.pem"), project.join("keys/private.pem")).unwrap();

    // Without a public key, or with the private key in its place, nothing is compiled.
    for option in ["custom_otaseal_public_key=keys/missing.pem", "custom_otaseal_public_key=keys/private.pem"]
    {
        main("int answer = 45;");
        let output = build(option).unwrap();
        assert!(
            !output.status.success() && !text(&output.stdout).contains("main.c"),
            "{}",
            text(&output.stdout)
        );
    }
    // If the project names the script once, it would do only half of its work. That fails too.
    for (scripts, missing) in [("pre:otaseal_sign.py", "post:"), ("otaseal_sign.py", "pre:")] {
        let output = build_with(scripts, "").unwrap();
        let stderr = text(&output.stderr);
        assert!(!output.status.success() && stderr.contains(&format!("add the line {missing}")), "{stderr}");
    }
    let output = build("custom_otaseal_program=missing-program").unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("cannot run"));
}

#[test]
fn the_platformio_script_takes_every_kind_of_key_and_makes_releases() {
    let bench = Bench::new();
    let project = bench.path("project");
    platformio_project(&project);
    bench.ok(&["keygen", "-o", "project/keys"]);
    let build = |mut scons: Command, options: &str| {
        let options = format!("custom_otaseal_program={OTASEAL},{options}");
        scons.arg("-Q").current_dir(&project).env("OPTIONS", options);
        tool(scons.env("SCRIPTS", "pre:otaseal_sign.py post:otaseal_sign.py"))
    };
    let scons = || Command::new("scons");
    let signed = project.join(".pio/build/firmware.bin.signed");
    let fails = |scons: Command, options: &str, why: &str| {
        fs::remove_file(&signed).unwrap();
        let output = build(scons, options).unwrap();
        let said = text(&[output.stdout, output.stderr].concat());
        assert!(!output.status.success() && !signed.exists() && said.contains(why), "{options}: {said}");
    };
    let signs = |scons: Command, options: &str| {
        let output = build(scons, options).unwrap();
        assert!(output.status.success(), "{options}: {}{}", text(&output.stdout), text(&output.stderr));
        bench.ok(&["verify", "project/.pio/build/firmware.bin.signed", "--key", "project/keys/public.pem"]);
    };
    if build(scons(), "").is_none() {
        return;
    }

    // A release needs a ledger, and gets a line in it.
    fails(scons(), "custom_otaseal_release=yes", "ledger");
    signs(scons(), "custom_otaseal_release=yes,custom_otaseal_ledger=ledger.jsonl");
    assert_eq!(fs::read_to_string(project.join("ledger.jsonl")).unwrap().lines().count(), 1);

    // A key under a passphrase.
    fs::copy(project.join("keys/private.pem"), bench.path("key.pem")).unwrap();
    bench.write("project/passphrase", b"correct horse\n");
    bench.openssl("pkcs8 -topk8 -in key.pem -passout file:project/passphrase -out project/keys/private.pem");
    fails(scons(), "", "passphrase");
    signs(scons(), "custom_otaseal_passphrase_file=passphrase");
    fs::remove_file(&signed).unwrap();
    let mut with_variable = scons();
    with_variable.env("RELEASE_PASSPHRASE", "correct horse");
    signs(with_variable, "custom_otaseal_passphrase_env=RELEASE_PASSPHRASE");
    fails(scons(), "custom_otaseal_passphrase_env=RELEASE_PASSPHRASE", "variable is not set");

    // A key in a token.
    #[cfg(feature = "pkcs11")]
    if let Some(module) = module() {
        let tokens = Tokens::new(&bench, module);
        tokens.make("Release");
        tokens.import("Release", "key.pem", "firmware", "A1B2");
        fs::remove_file(project.join("keys/private.pem")).unwrap();
        let with_pin = |pin: &str| {
            let mut scons = tokens.command("scons");
            scons.env("OTASEAL_PKCS11_MODULE", tokens.module()).env("OTASEAL_PKCS11_PIN", pin);
            scons
        };
        let key = "custom_otaseal_private_key=pkcs11:token=Release;object=firmware";
        signs(with_pin(PIN), key);
        fails(with_pin("tulip-2719"), key, "PIN is wrong");
    }
}
