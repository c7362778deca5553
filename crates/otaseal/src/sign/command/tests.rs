//! Tests commands that sign, and commands that fail to.

use super::*;
use crate::key::{KeySize, PrivateKey};
use crate::project::advice::{Advice, Speaker};
use crate::sign::diagnose::{Mismatch, mismatch};
use crate::testing::{has_tool, openssl};
use std::fs;
use std::path::Path;

struct Bench {
    dir: tempfile::TempDir,
    public: PublicKey,
}

const DIGEST: Sha256Digest = Sha256Digest([0x5A; 32]);

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        fs::write(dir.path().join("a key.pem"), key.to_pkcs8_pem().unwrap()).unwrap();
        Self { public: key.public().clone(), dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn signer(&self, line: &str) -> CommandSigner {
        let line = line.replace("@KEY", &format!("'{}'", self.path().join("a key.pem").display()));
        CommandSigner::new(line.parse().unwrap(), self.public.clone())
    }

    fn refusal(&self, line: &str) -> String {
        let error = self.signer(line).sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap_err();
        assert!(matches!(error, SignError::Command { .. }), "{error}");
        format!("{error} | {}", error.advice(Speaker::Program))
    }
}

#[test]
fn openssl_signs_a_digest_a_digest_info_and_the_legacy_form() {
    if !has_tool("openssl") {
        return;
    }
    let bench = Bench::new();
    fs::write(bench.path().join("digest"), DIGEST.0).unwrap();
    fs::rename(bench.path().join("a key.pem"), bench.path().join("key")).unwrap();
    let made = |options: &str| {
        let options = format!("pkeyutl -sign -inkey key -pkeyopt rsa_padding_mode:pkcs1 {options}");
        openssl(bench.path(), &format!("{options} -in digest -out made"));
        fs::read(bench.path().join("made")).unwrap()
    };
    let (current, legacy) = (made("-pkeyopt digest:sha256"), made(""));
    fs::rename(bench.path().join("key"), bench.path().join("a key.pem")).unwrap();

    let pads = bench.signer("openssl pkeyutl -sign -inkey @KEY -pkeyopt rsa_padding_mode:pkcs1");
    assert_eq!(pads.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap(), current);
    assert_eq!(pads.sign_digest(Scheme::Legacy, &DIGEST).unwrap(), legacy);
    let mut hashes = bench.signer("openssl pkeyutl -sign -inkey @KEY -pkeyopt digest:sha256");
    hashes.command.input = CommandInput::Digest;
    assert_eq!(hashes.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap(), current);
    // A command that makes the DigestInfo itself cannot make a legacy signature. The error says what it made.
    let other = hashes.sign_digest(Scheme::Legacy, &DIGEST).unwrap();
    let found = mismatch(&other, &bench.public, Scheme::Legacy, &DIGEST);
    assert_eq!(found, Some(Mismatch::OtherScheme(Scheme::Pkcs1v15Sha256)));
    let text = bench.signer("sh -c 'openssl pkeyutl -sign -inkey \"$0\" | openssl base64' @KEY");
    assert_eq!(text.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap(), current);
    assert!(text.remarks().is_empty());
}

#[test]
fn a_script_knows_what_it_signs_and_not_our_secrets() {
    let bench = Bench::new();
    let out = bench.path().join("seen");
    let script = "printf '%s ' $OTASEAL_SCHEME $OTASEAL_INPUT $OTASEAL_DIGEST $OTASEAL_KEY_ID >\"$0\"; \
                  cat >>\"$0\"; echo careful >&2; head -c 256 /dev/zero";
    let signer = bench.signer(&format!("sh -c '{}' {}", script.replace('\'', "'\\''"), out.display()));
    signer.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap();
    let id = bench.public.id();
    let words = format!("pkcs1v15-sha256 digest-info {} {id} ", "5a".repeat(32));
    assert_eq!(fs::read(&out).unwrap(), [words.as_bytes(), &digest_info(&DIGEST)].concat());
    assert_eq!(signer.remarks(), ["sh said: careful"]);
    signer.sign_digest(Scheme::Legacy, &DIGEST).unwrap();
    let words = format!("legacy-bare-hash digest {} {id} ", "5a".repeat(32));
    assert_eq!(fs::read(&out).unwrap(), [words.as_bytes(), &DIGEST.0].concat());
    assert_eq!(signer.remarks().len(), 1, "the same is said once");
    let mut command = Command::new("true");
    for secret in OUR_SECRETS {
        command.env_remove(secret);
    }
    assert!(command.get_envs().all(|(name, value)| name == "OTASEAL_PKCS11_PIN" && value.is_none()));
}

#[test]
fn commands_that_do_not_sign_are_told_apart() {
    let bench = Bench::new();
    for (line, parts) in [
        ("no-such-program-anywhere x", &["could not be started", "No such file", "sh -c"][..]),
        ("/", &["could not be started"]),
        (
            "sh -c 'echo the token is locked >&2; exit 7'",
            &["failed (exit status: 7)", "it said: the token is locked"],
        ),
        ("sh -c 'kill -9 $$'", &["failed (signal: 9"]),
        ("true", &["gave no signature: it is empty"]),
        ("printf 'AccessDenied for you'", &["gave no signature", "it begins: AccessDenied for you"]),
        ("head -c 255 /dev/zero", &["255 bytes are not a signature: a key of 2048 bits makes 256 bytes"]),
        ("head -c 257 /dev/zero", &["257 bytes"]),
        ("yes", &["wrote more than 4096 bytes, and otaseal killed it"]),
        ("sh -c 'head -c 100000 /dev/zero | tr \"\\0\" x >&2; exit 1'", &["failed", "it said: xxx", "…"]),
    ] {
        let refusal = bench.refusal(line);
        assert!(parts.iter().all(|part| refusal.contains(part)), "{line}: {refusal}");
        assert!(refusal.len() < 2000, "{line}");
    }
    // Endless standard error does not stop a good command.
    let chatty = bench.signer("sh -c 'head -c 10000000 /dev/zero >&2; head -c 256 /dev/zero'");
    chatty.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap();
}

/// Returns whether any process has this word among its arguments.
#[cfg(target_os = "linux")]
fn alive(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_hangs_is_killed_with_all_it_started() {
    use std::io::IsTerminal;
    let bench = Bench::new();
    for (index, script) in [
        "echo waiting >&2; sleep TIME",
        // The command closes standard output and keeps running.
        "echo waiting >&2; exec >&-; sleep TIME",
        // The command ends, and a child of it holds the pipe.
        "echo waiting >&2; sleep TIME & exit 0",
        "echo waiting >&2; trap '' TERM; sleep TIME; sleep TIME",
        // A signature before that does not help.
        "echo waiting >&2; head -c 256 /dev/zero; sleep TIME",
    ]
    .iter()
    .enumerate()
    {
        // No other process on the machine sleeps for this time.
        let time = format!("{}.{index}", 100_000 + std::process::id() % 100_000);
        let script = script.replace("TIME", &time).replace('\'', "'\\''");
        let mut signer = bench.signer(&format!("sh -c '{script}'"));
        signer.command.timeout = Duration::from_millis(500);
        let start = Instant::now();
        let error = signer.sign_digest(Scheme::Pkcs1v15Sha256, &DIGEST).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10), "{script}");
        assert!(
            error.to_string().contains("did not finish within 0.5 s, and otaseal killed it"),
            "{script}: {error}"
        );
        assert!(error.to_string().contains("it said: waiting"), "{script}: {error}");
        if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
            thread::sleep(Duration::from_millis(100));
            assert!(!alive(&time), "{script} is still there");
        }
    }
}

#[test]
fn lines_are_split_as_by_a_shell_and_nothing_more() {
    let words = |line: &str| line.parse().map(|command: SigningCommand| (command.program, command.arguments));
    let (program, arguments) = words(r#"sign --key 'a b' "c d" e\ f '' $HOME ; *"#).unwrap();
    assert_eq!(program, "sign");
    assert_eq!(arguments, ["--key", "a b", "c d", "e f", "", "$HOME", ";", "*"]);
    assert_eq!(words("a 'b"), Err(CommandError::Quotes));
    assert_eq!(words("a \"b"), Err(CommandError::Quotes));
    assert_eq!(words(""), Err(CommandError::Empty));
    assert_eq!(words("  \n "), Err(CommandError::Empty));
    assert_eq!(words("'' a"), Err(CommandError::Empty));
}
