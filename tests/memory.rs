//! Tests that no part of a key is in the program's memory when the program is done with it, in any order of bytes or
//! words.

#![cfg(target_os = "linux")]

use crate::common::memory::{self, Secret};
use crate::common::{self, Bench, OTASEAL};
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PASSPHRASE: &str = "no-such-words-in-a-program-4711";

/// Makes `key.pem`, the same key under a passphrase in each form, and images.
fn bench() -> Option<(Bench, Vec<Secret>)> {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    bench.write("passphrase", PASSPHRASE.as_bytes());
    bench.openssl("pkcs8 -topk8 -in key.pem -scrypt -out scrypt.pem -passout file:passphrase");
    bench.openssl("pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -out pbkdf2.pem -passout file:passphrase");
    bench.openssl("rsa -in key.pem -traditional -aes256 -out traditional.pem -passout file:passphrase");
    bench.write("stop.c", STOPS_AT_THE_END.as_bytes());
    bench.run("gcc", &["-shared", "-fPIC", "-Wl,-z,now", "-o", "stop.so", "stop.c"]);
    for name in ["one.bin", "two.bin"] {
        bench.write(name, &common::firmware(50_000));
    }
    let mut secrets = memory::private_numbers(&bench.path("key.pem"))?;
    secrets.extend(memory::of_passphrase(PASSPHRASE));
    Some((bench, secrets))
}

/// A library that stops the process at its end: the program has freed everything, and nothing is unmapped yet.
const STOPS_AT_THE_END: &str = "
#include <signal.h>
__attribute__((destructor)) static void stop(void) { raise(SIGSTOP); }
";

/// A process that ends with the test, even if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(bench: &Bench, args: &[&str], stdin: Stdio) -> Self {
        let mut command = Command::new(OTASEAL);
        command.args(args).current_dir(bench.dir()).env("LD_PRELOAD", bench.path("stop.so"));
        command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Waits until the process is where the test wants it.
    fn wait_for(&mut self, what: &str, is_there: impl Fn(&str, &str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let read =
                |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap_or_default();
            let (stat, call) = (read("stat"), read("syscall"));
            // The state follows the name, which is in parentheses: proc_pid_stat(5).
            let state = stat.rsplit(") ").next().unwrap_or_default();
            if is_there(state, &call) {
                return;
            }
            if state.starts_with('Z') || Instant::now() > deadline {
                let mut said = String::new();
                self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it did not come to {what}: {said}");
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        memory::of(self.0.id())
    }
}

/// Returns the secrets that are still in memory when the command has run.
fn left(bench: &Bench, secrets: &[Secret], args: &[&str], stdin: Stdio) -> Vec<String> {
    let mut running = Running::start(bench, args, stdin);
    running.wait_for("its end", |state, _| state.starts_with('T'));
    memory::found(&running.memory(), secrets)
}

#[test]
fn the_search_finds_a_key_that_is_in_use() {
    let Some((bench, secrets)) = bench() else { return };
    let sign = ["sign", "-", "-o", "out", "--key", "key.pem"];
    let mut running = Running::start(&bench, &sign, Stdio::piped());
    let _open = running.0.stdin.take();
    // The program has read the key and waits for the image on standard input. The call's first argument is a descriptor
    // of the same pipe as descriptor 0.
    let id = running.0.id();
    let pipe = |number: i32| fs::read_link(format!("/proc/{id}/fd/{number}")).ok();
    let argument = |call: &str| i32::from_str_radix(call.split(' ').nth(1)?.strip_prefix("0x")?, 16).ok();
    running.wait_for("its input", |state, call| {
        state.starts_with('S') && argument(call).is_some_and(|number| pipe(number) == pipe(0))
    });
    let found = memory::found(&running.memory(), &secrets);
    for name in ["p,", "q,", "d,", "dmp1,", "dmq1,", "iqmp"] {
        assert!(found.iter().any(|found| found.starts_with(name)), "{name} {found:?}");
    }
}

#[test]
fn no_command_leaves_anything_of_a_key() {
    let Some((bench, secrets)) = bench() else { return };
    let locked = ["--passphrase-file", "passphrase"];
    let sign = ["sign", "one.bin", "-o", "out", "--key"];
    for key in ["scrypt.pem", "pbkdf2.pem", "traditional.pem"] {
        let left = left(&bench, &secrets, &[&sign[..], &[key], &locked].concat(), Stdio::null());
        assert!(left.is_empty(), "sign with {key} leaves {left:#?}");
    }
    for args in [
        &[&sign[..], &["key.pem"]].concat()[..],
        &["sign", "one.bin", "two.bin", "--out-dir", "signed", "--key", "key.pem"],
        &["package", "one.bin", "--key", "key.pem", "--out-dir", "package"],
        &["pubkey", "--private-key", "key.pem", "--pem", "-o", "public.pem"],
        &["key", "check", "key.pem"],
        &["key", "convert", "key.pem", "-o", "key.der", "--der", "--format", "pkcs1"],
        &["key", "convert", "scrypt.pem", "-o", "plain.pem", "--decrypt", locked[0], locked[1]],
        &["key", "passwd", "key.pem", "--new-passphrase-file", "passphrase"],
        &["key", "passwd", "key.pem", "--remove", locked[0], locked[1]],
    ] {
        let left = left(&bench, &secrets, args, Stdio::null());
        assert!(left.is_empty(), "{} leaves {left:#?}", args.join(" "));
    }
    let from_stdin = |key: &str, args: &[&str]| {
        let key = fs::File::open(bench.path(key)).unwrap();
        let left = left(&bench, &secrets, args, key.into());
        assert!(left.is_empty(), "{} leaves {left:#?}", args.join(" "));
    };
    from_stdin("key.pem", &[&sign[..], &["-"]].concat());
    from_stdin("scrypt.pem", &[&sign[..], &["-"], &locked].concat());
    from_stdin("passphrase", &[&sign[..], &["scrypt.pem", "--passphrase-file", "-"]].concat());
}

#[test]
fn a_new_key_leaves_nothing_but_its_files() {
    let Some((bench, _)) = bench() else { return };
    let keygen = ["keygen", "-o", "new"];
    let mut running = Running::start(&bench, &keygen, Stdio::null());
    running.wait_for("its end", |state, _| state.starts_with('T'));
    let secrets = memory::private_numbers(&bench.path("new/private.pem")).unwrap();
    let left = memory::found(&running.memory(), &secrets);
    assert!(left.is_empty(), "keygen leaves {left:#?}");
}
