//! Tests keys and their passphrases as users meet them: with terminals, descriptors and real peers. No output and no
//! other file ever holds a secret.

use crate::common::{self, Bench, OTASEAL, python_with, root};
use std::fs;
use std::process::{Command, Output};

const PASSPHRASE: &str = "tr0mbone-quarry-14";

/// Makes a directory with `key.pem`, `public.pem`, `image.bin`, and `locked.pem`, which is the key under
/// [`PASSPHRASE`].
fn bench() -> Bench {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    bench.openssl("pkey -in key.pem -pubout -out public.pem");
    bench.openssl(&format!("pkcs8 -topk8 -in key.pem -scrypt -passout pass:{PASSPHRASE} -out locked.pem"));
    // The firmware holds the public key, because these tests are not about that rule.
    bench.write("image.bin", &[common::firmware(5000), bench.read("public.pem")].concat());
    bench
}

/// Runs `otaseal ARGS` on a terminal, and answers its prompts. Returns the exit code and the text on the terminal.
fn on_a_terminal(bench: &Bench, answers: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/peers/terminal.py"));
    python.args(answers.iter().flat_map(|(prompt, answer)| [prompt, answer]));
    let output = python.arg("--").arg(OTASEAL).args(args).current_dir(bench.dir()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(unix)]
#[test]
fn the_terminal_is_asked_and_shows_nothing_of_the_answer() {
    if !python_with("pty") {
        return;
    }
    let bench = bench();
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "locked.pem"];
    let (code, shown) = on_a_terminal(&bench, &[("Passphrase of locked.pem: ", PASSPHRASE)], &sign);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSPHRASE) && shown.ends_with("echo on\n"), "{shown}");
    bench.ok(&["verify", "image.signed", "--key", "public.pem"]);

    fs::remove_file(bench.path("image.signed")).unwrap();
    for (wrong, says) in [("", "the passphrase is empty (typed)"), ("wrong", "the passphrase is wrong")] {
        let (code, shown) = on_a_terminal(&bench, &[("Passphrase of locked.pem: ", wrong)], &sign);
        assert_eq!(code, Some(3), "{shown}");
        assert!(shown.contains(says) && !bench.path("image.signed").exists(), "{shown}");
    }
    for (answer, signal) in [("^C", 2), ("SIGTERM", 15)] {
        let (code, shown) = on_a_terminal(&bench, &[("Passphrase of locked.pem: ", answer)], &sign);
        assert!(code == Some(128 + signal) && shown.ends_with("echo on\n"), "{code:?} {shown}");
    }
    assert!(!bench.path("image.signed").exists());
    // A key without a passphrase needs no prompt.
    let (code, shown) =
        on_a_terminal(&bench, &[], &["sign", "image.bin", "-o", "image.signed", "--key", "key.pem"]);
    assert!(code == Some(0) && !shown.contains("assphrase"), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_new_passphrase_is_typed_twice() {
    if !python_with("pty") {
        return;
    }
    let bench = bench();
    let keygen = ["keygen", "--encrypt", "--private", "new.pem", "--public", "new.public.pem"];
    let (first, again) = ("New passphrase of new.pem: ", "Same again, new passphrase of new.pem: ");
    for (answers, words) in [
        (&[(first, PASSPHRASE), (again, "other")][..], "the two passphrases differ"),
        (&[(first, "")], "the new passphrase is empty"),
    ] {
        let (code, shown) = on_a_terminal(&bench, answers, &keygen);
        assert!(code == Some(3) && shown.contains(words), "{shown}");
        assert!(!bench.path("new.pem").exists() && !bench.path("new.public.pem").exists());
    }
    let (code, shown) = on_a_terminal(&bench, &[(first, PASSPHRASE), (again, PASSPHRASE)], &keygen);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSPHRASE), "{shown}");
    bench.openssl(&format!("pkey -in new.pem -passin pass:{PASSPHRASE} -pubout -out derived.pem"));
    assert_eq!(bench.read("derived.pem"), bench.read("new.public.pem"));

    let passwd = ["key", "passwd", "new.pem"];
    let answers = [("Passphrase of new.pem: ", PASSPHRASE), (first, "another one"), (again, "another one")];
    let (code, shown) = on_a_terminal(&bench, &answers, &passwd);
    assert_eq!(code, Some(0), "{shown}");
    bench.run("openssl", &["pkey", "-in", "new.pem", "-passin", "pass:another one", "-noout"]);
}

/// `passwd` leaves a file that only its owner can read, also if the name is a link.
#[cfg(unix)]
#[test]
fn a_changed_passphrase_closes_the_file_and_keeps_the_link() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    bench.write("new", b"a better one");
    fs::set_permissions(bench.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink("key.pem", bench.path("link.pem")).unwrap();
    bench.ok(&["key", "passwd", "link.pem", "--new-passphrase-file", "new"]);
    assert!(fs::symlink_metadata(bench.path("link.pem")).unwrap().is_symlink());
    assert_eq!(fs::metadata(bench.path("key.pem")).unwrap().permissions().mode() & 0o7777, 0o600);
    bench.run(
        "openssl",
        &["pkey", "-in", "key.pem", "-passin", "pass:a better one", "-pubout", "-out", "half"],
    );
    assert_eq!(bench.read("half"), bench.read("public.pem"));
}

/// Runs `otaseal ARGS` in a shell, which opens descriptors.
#[cfg(unix)]
fn by_a_shell(bench: &Bench, command: &str) -> Output {
    let command = command.replace("otaseal", OTASEAL);
    Command::new("sh").args(["-c", &command]).current_dir(bench.dir()).output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_descriptor_may_be_a_file_a_pipe_or_standard_input() {
    let bench = bench();
    bench.write("passphrase", format!("{PASSPHRASE}\n").as_bytes());
    bench.write("wrong", b"wrong\n");
    bench.write("two-lines", format!("a line\n{PASSPHRASE}\n").as_bytes());
    let sign = "otaseal sign image.bin -o image.signed --key locked.pem";
    for (command, code) in [
        (format!("{sign} --passphrase-fd 3 3< passphrase"), 0),
        (format!("{sign} --passphrase-fd 7 7< passphrase"), 0),
        (format!("{sign} --passphrase-fd 0 < passphrase"), 0),
        (format!("cat passphrase | {sign} --passphrase-fd 0"), 0),
        (format!("cat passphrase | {sign} --passphrase-file -"), 0),
        (format!("cat passphrase | {sign} --passphrase-fd 3 3<&0 < /dev/null"), 0),
        // One descriptor stands after the first line of its file. The file of the other has no name any more.
        (format!("exec 3< two-lines; read first <&3; {sign} --passphrase-fd 3"), 0),
        (format!("exec 3< gone; rm gone; {sign} --passphrase-fd 3"), 0),
        (format!("bash -c '{sign} --passphrase-fd 12 12< passphrase'"), 0),
        (format!("{sign} --passphrase-fd 3 3>> passphrase"), 3),
        (format!("{sign} --passphrase-fd 3 3< wrong"), 3),
        (format!("{sign} --passphrase-fd 3 3< /dev/null"), 3),
        (format!("{sign} --passphrase-fd 3 3<&-"), 3),
        (format!("{sign} --passphrase-fd 0 0<&-"), 3),
        (format!("{sign} --passphrase-fd 3 3< /dev/zero"), 3),
        (format!("{sign} < /dev/null"), 3),
    ] {
        let _ = fs::remove_file(bench.path("image.signed"));
        bench.write("gone", PASSPHRASE.as_bytes());
        let output = by_a_shell(&bench, &command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command}: {stderr}");
        assert_eq!(bench.path("image.signed").exists(), code == 0, "{command}");
    }
    let shown = by_a_shell(
        &bench,
        "cat image.bin | otaseal sign - -o - --key locked.pem --passphrase-fd 3 3< passphrase",
    );
    assert!(shown.status.success() && shown.stdout.len() == bench.read("image.bin").len() + 260);
}

/// Passes a descriptor as a parent process does: no file name leads to it.
#[cfg(target_os = "linux")]
#[test]
fn a_descriptor_may_be_a_socket() {
    let bench = bench();
    let script = "
import socket, subprocess, sys
ours, theirs = socket.socketpair()
ours.sendall(sys.argv[1].encode() + b'\\n')
ours.close()
sys.exit(subprocess.run(sys.argv[2:] + [str(theirs.fileno())], pass_fds=[theirs.fileno()]).returncode)";
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "locked.pem", "--passphrase-fd"];
    bench.python(script, &[&[PASSPHRASE, OTASEAL], &sign[..]].concat());
    bench.ok(&["verify", "image.signed", "--key", "public.pem"]);
}

/// If otaseal cannot read a descriptor, the error says why.
#[cfg(unix)]
#[test]
fn a_descriptor_that_cannot_be_read_is_called_what_it_is() {
    let bench = bench();
    let sign = "otaseal sign image.bin -o image.signed --key locked.pem --passphrase-fd 3";
    for (redirection, says) in [
        ("3<&-", "could not be read from file descriptor 3: it is not open"),
        ("3> new", "could not be read from file descriptor 3: it is not open for reading"),
        ("3< .", "could not be read from file descriptor 3: Is a directory"),
        ("3< /dev/null", "the passphrase is empty (file descriptor 3)"),
    ] {
        let output = by_a_shell(&bench, &format!("{sign} {redirection}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{redirection}: {stderr}");
        let first = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(first.ends_with(says), "{redirection}: {stderr}");
    }
}

/// For development, every key may sign, and otaseal warns about its faults. For a release, otaseal refuses it.
#[cfg(unix)]
#[test]
fn a_key_that_lies_open_is_a_warning_and_no_release() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "key.pem"];
    let package = ["package", "image.bin", "--key", "key.pem"];
    let py = [
        "signing-py",
        "--mode",
        "sign",
        "--bin",
        "image.bin",
        "--out",
        "py.signed",
        "--privatekey",
        "key.pem",
    ];
    let run = |finding: Option<&str>| {
        for args in [&sign[..], &package, &py] {
            let output = bench.ok(args);
            let stderr = String::from_utf8_lossy(&output.stderr);
            match finding {
                Some(finding) => {
                    assert!(stderr.contains(&format!("warning: {finding}")), "{args:?}: {stderr}")
                }
                None => assert!(!stderr.contains("key.pem"), "{args:?}: {stderr}"),
            }
        }
        for args in [&sign[..], &package] {
            let args = [args, &["--release", "--ledger", "ledger.jsonl"]].concat();
            match finding {
                Some(finding) => {
                    let output = bench.fails(3, &args);
                    let stderr = String::from_utf8_lossy(&output.stderr);
                    let refused = format!("error: this key may not sign releases: {finding}");
                    assert!(stderr.starts_with(&refused), "{args:?}: {stderr}");
                }
                None => drop(bench.ok(&args)),
            }
        }
        let code = if finding.is_some() { 1 } else { 0 };
        let check = bench.otaseal(&["key", "check", "key.pem"]);
        assert_eq!(check.status.code(), Some(code), "{}", String::from_utf8_lossy(&check.stdout));
    };
    let mode = |mode| {
        fs::set_permissions(bench.path("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o600);
    run(None);
    mode(0o644);
    run(Some("other users can read key.pem (mode 0644)"));
    mode(0o600);
    bench.run("git", &["init", "-q"]);
    run(None);
    bench.run("git", &["add", "key.pem"]);
    let path = bench.path("key.pem").canonicalize().unwrap();
    run(Some(&format!("git tracks {}", path.display())));
}

/// Git is missing or does not answer. otaseal then signs no release, because nobody knows whether git tracks the key.
#[cfg(unix)]
#[test]
fn a_repository_that_says_nothing_is_no_place_for_the_key_of_a_release() {
    let bench = bench();
    fs::create_dir(bench.path(".git")).unwrap();
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "key.pem", "--release", "--ledger", "l"];
    for (path, words) in [
        ("/nowhere".to_owned(), "git could not be started"),
        (std::env::var("PATH").unwrap(), "git could not say"),
    ] {
        let output =
            Command::new(OTASEAL).args(sign).env("PATH", path).current_dir(bench.dir()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains("cannot tell whether git tracks") && stderr.contains(words), "{stderr}");
        assert!(!bench.path("image.signed").exists());
    }
}

/// In a container the repository often belongs to another user. Git does not answer about it.
#[cfg(unix)]
#[test]
fn a_key_in_another_users_repository_signs_no_release() {
    let bench = bench();
    bench.run("git", &["init", "-q"]);
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "key.pem", "--release", "--ledger", "l"];
    let mut otaseal = Command::new(OTASEAL);
    otaseal.args(sign).current_dir(bench.dir());
    // Git treats the repository as another user's, whichever user runs this test.
    otaseal
        .env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        .env("HOME", bench.dir())
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let output = otaseal.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && stderr.contains("git could not say"), "{stderr}");
    assert!(!bench.path("image.signed").exists());
}

/// A hook or a script may have set a variable that names another repository, or none.
#[cfg(unix)]
#[test]
fn a_tracked_key_is_found_although_the_environment_names_another_repository() {
    let bench = bench();
    bench.run("git", &["init", "-q"]);
    bench.run("git", &["add", "key.pem"]);
    let sign = ["sign", "image.bin", "-o", "image.signed", "--key", "key.pem", "--release", "--ledger", "l"];
    let output = Command::new(OTASEAL)
        .args(sign)
        .current_dir(bench.dir())
        .env("GIT_DIR", "/nowhere")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && stderr.contains("git tracks "), "{stderr}");
    assert!(!bench.path("image.signed").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn no_core_dump_holds_a_key() {
    use std::io::Write;
    let bench = bench();
    let command =
        format!("ulimit -c unlimited 2>/dev/null; exec {OTASEAL} sign - -o image.signed --key key.pem");
    let mut shell = Command::new("sh");
    let mut child = shell
        .args(["-c", &command])
        .current_dir(bench.dir())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"a part of an image").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Returns the private numbers as Python prints them: hexadecimal, decimal, and base64 of their bytes.
const NUMBERS: &str = "
import base64
from cryptography.hazmat.primitives.serialization import load_pem_private_key
n = load_pem_private_key(open('key.pem', 'rb').read(), None).private_numbers()
for x in (n.p, n.q, n.d, n.dmp1, n.dmq1, n.iqmp):
    raw = x.to_bytes((x.bit_length() + 7) // 8, 'big')
    print('%x' % x); print(x); print(base64.b64encode(raw).decode()); print(base64.b64encode(raw[1:]).decode())
";

/// Returns every piece of text that would give the key or the passphrase away.
fn secrets(bench: &Bench) -> Vec<String> {
    let text = String::from_utf8(bench.python(NUMBERS, &[]).stdout).unwrap();
    // Take a piece from the middle: a message could cut off the ends.
    let mut secrets: Vec<_> = text.lines().map(|line| line[40..72].to_owned()).collect();
    for form in ["pkey -in key.pem", "rsa -in key.pem -traditional"] {
        let pem = String::from_utf8(bench.openssl(form).stdout).unwrap();
        let lines: Vec<_> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        // Omit the first lines: they hold the modulus, which is public.
        secrets.extend(lines[8..lines.len() - 1].iter().map(|line| line[16..48].to_owned()));
    }
    secrets.push(PASSPHRASE.into());
    secrets
}

/// Runs every command with a key and its passphrase. No output shows any of the two, and no file holds them except the
/// file for the key.
#[test]
fn nothing_shows_the_passphrase_or_the_key() {
    if !python_with("cryptography") {
        return;
    }
    let bench = bench();
    let secrets = secrets(&bench);
    assert!(secrets.len() > 40);
    bench.write("passphrase", PASSPHRASE.as_bytes());
    bench.write("wrong", b"another");
    bench.openssl(&format!("rsa -in key.pem -traditional -aes256 -passout pass:{PASSPHRASE} -out old.pem"));
    let mut runs = 0;
    for key in ["locked.pem", "old.pem", "key.pem"] {
        let p = |file| ["--passphrase-file", file];
        for passphrase in [&p("passphrase")[..], &p("wrong"), &["--passphrase-env", "SECRET"], &[]] {
            for (command, key_files) in [
                (&["sign", "image.bin", "-o", "signed", "--key", key][..], &[][..]),
                (
                    &["sign", "image.bin", "-o", "signed", "--key", key, "--release", "--ledger", "ledger"],
                    &[],
                ),
                (&["package", "image.bin", "--key", key], &[]),
                (&["pubkey", "--private-key", key, "--rust", "-o", "key.rs"], &[]),
                (&["pubkey", "--private-key", key, "--pem"], &[]),
                (&["key", "info", key], &[]),
                (&["key", "check", key], &[]),
                (&["key", "convert", key, "--public", "-o", "half.pem"], &[]),
                (&["key", "convert", key, "--encrypt", "-o", "again.pem"], &[]),
                (&["key", "convert", key, "--decrypt", "-o", "bare.pem"], &["bare.pem"]),
                (&["key", "passwd", key, "--remove"], &["locked.pem", "old.pem"]),
                (&["key", "passwd", key, "--new-passphrase-file", "passphrase"], &[]),
                (&["keygen", "--encrypt", "--private", "new.pem", "--public", "new.public.pem"], &[]),
                (
                    &[
                        "signing-py",
                        "--mode",
                        "sign",
                        "--bin",
                        "image.bin",
                        "--out",
                        "s",
                        "--privatekey",
                        key,
                    ],
                    &[],
                ),
                (&["signing-py", "--mode", "header", "--out", "h", "--publickey", key], &[]),
                (&["inspect", key], &[]),
            ] {
                for json in [&[][..], &["--json"]] {
                    let before = [key, "key.pem"].map(|name| bench.read(name));
                    let takes = !matches!(command[0], "inspect") && !command.contains(&"header");
                    let given = if takes { passphrase } else { &[] };
                    let output = Command::new(OTASEAL)
                        .args([command, given, json].concat())
                        .env("SECRET", PASSPHRASE)
                        .env("RUST_BACKTRACE", "full")
                        .current_dir(bench.dir())
                        .output()
                        .unwrap();
                    let mut shown = vec![("its output".to_owned(), [output.stdout, output.stderr].concat())];
                    let holds = ["key.pem", "passphrase"];
                    for entry in fs::read_dir(bench.dir()).unwrap() {
                        let path = entry.unwrap().path();
                        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                        let may = holds.contains(&&*name) || key_files.contains(&&*name);
                        if path.is_file() && !may {
                            shown.push((name, fs::read(path).unwrap()));
                        }
                    }
                    for (place, bytes) in shown {
                        let text = String::from_utf8_lossy(&bytes);
                        let secret = secrets.iter().find(|secret| text.contains(secret.as_str()));
                        assert!(secret.is_none(), "{command:?} {given:?} {json:?}: {secret:?} is in {place}");
                    }
                    // Restore the changed files, and remove the new ones.
                    for name in ["bare.pem", "again.pem", "half.pem", "new.pem", "new.public.pem"] {
                        let _ = fs::remove_file(bench.path(name));
                    }
                    bench.write(key, &before[0]);
                    bench.write("key.pem", &before[1]);
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 300, "only {runs} runs");
}

/// Gives a key or a passphrase where its name belongs, such as `--key "$(cat key.pem)"`, and a key file where another
/// file belongs. Whatever the command does, it shows no part of the secret.
#[test]
fn a_secret_in_the_place_of_a_name_is_not_repeated() {
    if !python_with("cryptography") {
        return;
    }
    let bench = bench();
    let pem = String::from_utf8(bench.read("key.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der: Vec<u8> = {
        bench.openssl("pkey -in key.pem -outform DER -out key.der");
        bench.read("key.der")
    };
    let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
    let again =
        bench.python("import base64; print(base64.b64encode(open('key.pem','rb').read()).decode())", &[]);
    let again = String::from_utf8(again.stdout).unwrap().trim().to_owned();
    bench.write("base64", body.as_bytes());
    bench.write("words", format!("{PASSPHRASE}\n").as_bytes());
    let mut secrets = secrets(&bench);
    secrets.extend([&body, &hex, &again].map(|text| text[text.len() / 2..text.len() / 2 + 24].to_owned()));
    secrets.extend(["tr0mbone", "quarry", "QUARRY"].map(str::to_owned));

    let keys = [pem.clone(), pem.replace('\n', " "), pem.replace('\n', "\\n"), body, hex, again];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let words = [
        PASSPHRASE,
        "tr0mbone_quarry_14",
        "-tr0mbone",
        "--tr0mbone-quarry",
        "tr0mbone quarry",
        "$QUARRY",
        "quarry\nquarry",
        "keys/quarry/../quarry",
    ];
    let image = ["sign", "image.bin", "-o", "out"];
    let py = ["signing-py", "--mode", "sign", "--bin", "image.bin", "--out", "out"];
    let with = |command: &[&'static str], more: &[&'static str]| [command, more].concat();
    let locked = with(&image, &["--key", "locked.pem"]);
    // The last word is the option that gets the value. It is empty for a positional argument.
    let mut places: Vec<(Vec<&str>, &[&str])> = Vec::new();
    for command in [
        with(&image, &["--key"]),
        with(&image, &["-k"]),
        with(&image, &["--key", "key.pem", "--expect-public"]),
        with(&image, &["--key", "key.pem", "--rotate-to"]),
        with(&image, &["--key", "key.pem", "--pkcs11-module"]),
        with(&image, &["--key", "key.pem", "--legacy"]),
        with(&image, &["--key", "public.pem", "--signer-cmd"]),
        vec!["package", "image.bin", "--key"],
        vec!["package", "image.bin", "--expect-public"],
        vec!["package", "image.bin", "--config"],
        vec!["digest", "image.bin", "--key"],
        vec!["attach", "image.bin", "words", "-o", "out", "--key"],
        vec!["attach", "image.bin", "-o", "out", "--key", "public.pem", ""],
        vec!["verify", "image.bin", "--key"],
        vec!["inspect", "image.bin", "--key"],
        vec!["inspect", ""],
        vec!["strip", "image.bin", "-o", "out", "--key"],
        vec!["pubkey", "--pem", ""],
        vec!["pubkey", "--pem", "--private-key"],
        vec!["key", "info", ""],
        vec!["key", "check", ""],
        vec!["key", "passwd", ""],
        vec!["key", "convert", "-o", "out", ""],
        vec!["keygen", "--key"],
        vec!["keygen", "--public", "half", "--private"],
        vec!["release", "dist", "-o", "out", "--key"],
        vec!["rotate", "plan", "--new", "public.pem", "--old"],
        vec!["rotate", "plan", "--old", "public.pem", "--new"],
        with(&py, &["--privatekey"]),
        with(&py, &["-s"]),
        with(&py, &["--signer-cmd", "true", "--publickey"]),
        vec!["signing-py", "--mode", "header", "--out", "out", "--publickey"],
        vec![""],
        vec!["unknown", "--unknown"],
    ] {
        places.push((command, &keys));
    }
    for options in ["--passphrase-file", "--passphrase-fd", "--passphrase-env"] {
        for command in [
            locked.clone(),
            vec!["package", "image.bin", "--key", "locked.pem"],
            vec!["pubkey", "--pem", "--private-key", "locked.pem"],
            vec!["key", "info", "locked.pem"],
            vec!["key", "check", "locked.pem"],
            vec!["key", "passwd", "locked.pem"],
            vec!["key", "convert", "locked.pem", "--decrypt", "-o", "out"],
            vec!["keygen", "--encrypt"],
            with(&py, &["--privatekey", "locked.pem"]),
        ] {
            places.push((with(&command, &[options]), &keys));
            places.push((with(&command, &[options]), &words));
        }
    }
    for option in ["--new-passphrase-file", "--new-passphrase-fd", "--new-passphrase-env"] {
        for command in [
            &["key", "passwd", "key.pem", option][..],
            &["key", "convert", "key.pem", "--encrypt", "-o", "out", option],
        ] {
            places.push((command.to_vec(), &keys));
            places.push((command.to_vec(), &words));
        }
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    for (command, values) in &places {
        for value in *values {
            let (option, before) = command.split_last().unwrap();
            let words =
                |more: &[&str]| [before, more].concat().iter().map(|word| (*word).to_owned()).collect();
            match *option {
                "" => lines.push(words(&[value])),
                option => {
                    lines.push(words(&[option, value]));
                    lines.push(words(&[&format!("{option}={value}")]));
                }
            }
        }
    }
    // Give files of the wrong kind.
    for file in ["key.pem", "key.der", "base64", "words"] {
        for command in [
            vec!["attach", "image.bin", "@", "-o", "out", "--key", "public.pem"],
            vec!["attach", "image.bin", "words", "-o", "out", "--key", "public.pem", "--request", "@"],
            vec!["sign", "image.bin", "-o", "out", "--key", "public.pem", "--signer-cmd", "tail -n +2 @"],
            vec!["sign", "image.bin", "-o", "out", "--key", "public.pem", "--signer-cmd", "base64 @"],
            vec!["package", "image.bin", "--config", "@"],
            vec!["package", "image.bin", "--sbom", "@"],
            vec!["ledger", "verify", "@"],
            vec!["ledger", "show", "@"],
            vec!["sign", "image.bin", "-o", "out", "--key", "key.pem", "--ledger", "@"],
            vec!["identify", "--manifest", "@"],
            vec!["rotate", "plan", "--old", "public.pem", "--new", "public.pem", "@"],
            vec!["release", "@", "-o", "out", "--key", "key.pem"],
        ] {
            lines.push(command.iter().map(|word| word.replace('@', file)).collect());
        }
        // otaseal shows a line of a list as a name.
        if file != "words" {
            let list =
                ["sign", "--keep-going", "--out-dir", "signed", "--key", "key.pem", "--from-list", file];
            lines.push(list.map(str::to_owned).to_vec());
        }
    }
    let trace = "sh -c 'cat key.pem >&2; cat key.pem'";
    lines.push(
        ["sign", "image.bin", "-o", "out", "--key", "public.pem", "--signer-cmd", trace]
            .map(str::to_owned)
            .to_vec(),
    );

    for line in &lines {
        for json in [false, true] {
            let mut command = Command::new(OTASEAL);
            // A command line cannot hold a NUL, and the variable is not set.
            command.args(line).args(json.then_some("--json")).env_remove("QUARRY").current_dir(bench.dir());
            let output = command.stdin(std::process::Stdio::null()).output().unwrap();
            let shown = [output.stdout, output.stderr].concat();
            let shown = String::from_utf8_lossy(&shown);
            let secret = secrets.iter().find(|secret| shown.contains(secret.as_str()));
            assert!(secret.is_none(), "{line:?}: {secret:?} in {shown}");
            assert_ne!(output.status.code(), Some(0), "{line:?}: {shown}");
            assert!(shown.contains("error") && !shown.contains("because of a bug"), "{line:?}: {shown}");
        }
    }
    // Give the secret as a positional argument.
    let body = bench.read("base64");
    let body = std::str::from_utf8(&body).unwrap();
    let settings = [
        format!("signer-cmd = \"{body}\"\npublic-key = \"public.pem\""),
        format!("signer-cmd = \"true\"\npublic-key = \"{body}\""),
        format!("key = \"{body}\""),
        format!("expect-public = \"{body}\""),
        format!("{body} = 1"),
        format!("effort = \"{body}\""),
    ];
    let package = ["package", "image.bin"];
    let token = ["sign", "image.bin", "-o", "out", "--key", "pkcs11:token=x"];
    let runs = settings.iter().map(|text| (&package[..], text.as_str())).chain([(&token[..], "")]);
    for (words, settings) in runs {
        bench.write("otaseal.toml", settings.as_bytes());
        let mut command = Command::new(OTASEAL);
        let output = command.args(words).env("OTASEAL_PKCS11_MODULE", body).current_dir(bench.dir()).output();
        let output = output.unwrap();
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        let secret = secrets.iter().find(|secret| shown.contains(secret.as_str()));
        assert!(secret.is_none(), "{words:?} {settings}: {secret:?} in {shown}");
        assert_eq!(
            output.status.code().filter(|code| *code > 1),
            output.status.code(),
            "{settings}: {shown}"
        );
    }
    assert!(lines.len() > 900, "only {} command lines", lines.len());
}

/// A key in a repository is a `git add` away from everybody who has a clone.
#[test]
fn keygen_says_that_git_would_take_the_key_and_how_to_prevent_it() {
    let bench = Bench::new();
    let warnings = |out_dir: &str| {
        let output = bench.ok(&["keygen", "--out-dir", out_dir]);
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(warnings("before"), "", "there is no repository");
    bench.run("git", &["init", "-q"]);
    let said = warnings("my keys");
    let line = "warning: git does not ignore my keys/private.pem: `git add` would take it; tell it to ignore the key: ";
    let command = said.strip_prefix(line).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(command, "printf '%s\\n' '/my\\ keys/private.pem' >> .gitignore\n");
    bench.run("sh", &["-c", command]);
    let id = |uri: &str| bench.run("git", &["check-ignore", uri]).stdout;
    assert_eq!(id("my keys/private.pem"), b"my keys/private.pem\n");
    let said = warnings("keys");
    assert!(said.ends_with(": echo '/keys/private.pem' >> .gitignore\n"), "{said}");
    bench.write(".gitignore", b"keys\nother/\n");
    for ignored in ["keys/new", "other"] {
        assert_eq!(warnings(ignored), "", "{ignored}");
    }
    let json = bench.ok(&["keygen", "--out-dir", "third", "--json"]).stdout;
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains("\"line\": \"/third/private.pem\"") && json.contains("\"warnings\""), "{json}");
}
