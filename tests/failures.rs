//! Tests power cuts, full disks and broken pipes. The output is the old file or the new one, never a piece of either.
//! otaseal never reports success if it did not write something.

#![cfg(unix)]

use crate::common::{Bench, OTASEAL, firmware};
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Makes a directory with a key and a build.
fn bench(size: usize) -> Bench {
    let bench = Bench::new();
    bench.ok(&["keygen", "-o", "keys"]);
    bench.write("in.bin", &firmware(size));
    bench
}

/// Returns the files of a directory except these: otaseal must leave no other file.
fn others(bench: &Bench, expected: &[&str]) -> Vec<String> {
    let names =
        fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !expected.contains(&name.as_str())).collect()
}

const SIGN: [&str; 6] = ["sign", "in.bin", "-o", "out", "--key", "keys/private.pem"];

#[test]
fn kill_while_the_input_is_still_coming_leaves_the_old_file() {
    let bench = bench(10);
    bench.write("out", b"old");
    let mut child = Command::new(OTASEAL)
        .args(["sign", "-", "-o", "out", "--key", "keys/private.pem"])
        .current_dir(bench.dir())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&firmware(3_000_000)).unwrap();
    // This is more than a pipe holds: the program has read most of it, and waits for the rest.
    thread::sleep(Duration::from_millis(200));
    let temporary = || others(&bench, &["keys", "in.bin", "out"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bench.read("out"), b"old");
    assert!(temporary().iter().all(|name| name.starts_with(".otaseal-")), "{:?}", temporary());
}

/// Waits until the program is at work: it has read the first bytes of its input. A shell starts jobs in the background
/// with SIGINT ignored, and otaseal keeps to that. So the signals are reset first.
fn with_input_open(bench: &Bench, args: &[&str]) -> Child {
    let mut child = Command::new("env")
        .args(["--default-signal=INT,TERM,HUP", OTASEAL])
        .args(args)
        .current_dir(bench.dir())
        .env("TMPDIR", bench.path("tmp"))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // This is more than a pipe holds.
    child.stdin.as_mut().unwrap().write_all(&firmware(300_000)).unwrap();
    child
}

/// A stream from standard input has a temporary directory. A file that replaces another has none.
#[test]
fn a_signal_leaves_no_temporary_file_and_ends_the_program_as_usual() {
    let bench = bench(10);
    fs::create_dir(bench.path("tmp")).unwrap();
    bench.write("out", b"old");
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        for args in [
            &["sign", "-", "-o", "out", "--key", "keys/private.pem"][..],
            &["package", "-", "-o", "dist", "--key", "keys/private.pem"],
        ] {
            let mut child = with_input_open(&bench, args);
            // `wait` would close it, and the program would go on.
            let _input = child.stdin.take();
            bench.run("kill", &[format!("-{name}"), child.id().to_string()]);
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(number), "{args:?}: {status}");
            assert_eq!(bench.read("out"), b"old");
            assert_eq!(others(&bench, &["keys", "in.bin", "out", "tmp"]), [""; 0], "{args:?}");
            assert_eq!(fs::read_dir(bench.path("tmp")).unwrap().count(), 0, "{args:?}");
        }
    }
}

/// `nohup` makes a program ignore the signal of a closed terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let bench = bench(10);
    fs::create_dir(bench.path("tmp")).unwrap();
    let script = "trap '' HUP; exec \"$0\" package - --name fw -o dist --key keys/private.pem --allow-no-key";
    let mut child = Command::new("sh")
        .args(["-c", script, OTASEAL])
        .current_dir(bench.dir())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(&firmware(300_000)).unwrap();
    bench.run("kill", &["-HUP".to_owned(), child.id().to_string()]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(bench.path("dist/manifest.json").exists());
}

#[test]
fn kill_at_any_moment_leaves_the_old_file_or_the_new_one() {
    let bench = bench(4_000_000);
    bench.ok(&SIGN);
    let new = bench.read("out");
    let mut old_seen = 0;
    for round in 0..60u64 {
        bench.write("out", b"old");
        let mut child =
            Command::new(OTASEAL).args(SIGN).current_dir(bench.dir()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(round * 700));
        child.kill().unwrap();
        child.wait().unwrap();
        match bench.read("out") {
            found if found == b"old" => old_seen += 1,
            found if found == new => {}
            found => panic!("round {round}: {} bytes that are neither", found.len()),
        }
    }
    assert!(old_seen > 0, "no kill came before the rename: the test proves nothing");
}

/// Runs the program with a limit on the size of files. A write beyond it fails, as on a full disk.
fn with_full_disk(bench: &Bench, kib: u32, args: &[&str]) -> std::process::Output {
    // otaseal does not let the signal end it (SIGXFSZ), so the write returns an error, as it does on a full disk.
    let script = format!("ulimit -f {}; exec \"$0\" \"$@\" < in.bin", kib * 2);
    let output = Command::new("bash")
        .args(["-c", &script, OTASEAL])
        .args(args)
        .current_dir(bench.dir())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "otaseal {}: {stderr}", args.join(" "));
    assert!(stderr.contains("error: ") && stderr.contains("help: "), "{stderr}");
    output
}

#[test]
fn a_full_disk_leaves_the_old_file_and_exit_code_3() {
    let bench = bench(400_000);
    bench.ok(&SIGN);
    fs::rename(bench.path("out"), bench.path("in.signed")).unwrap();
    for args in [
        &["sign", "in.bin", "-o", "out", "--key", "keys/private.pem"][..],
        &["sign", "in.bin", "-o", "-", "--key", "keys/private.pem"],
        &["strip", "in.signed", "-o", "out"],
        &["compress", "in.bin", "-o", "out"],
    ] {
        bench.write("out", b"old");
        with_full_disk(&bench, 8, args);
        assert_eq!(bench.read("out"), b"old", "{args:?}");
        assert_eq!(others(&bench, &["keys", "in.bin", "in.signed", "out"]), [""; 0], "{args:?}");
    }
}

/// The copy of a stream does not fit: that is no fault of the stream.
#[test]
fn a_full_disk_for_the_copy_of_a_stream_is_named() {
    let bench = bench(400_000);
    let output = with_full_disk(&bench, 8, &["sign", "-", "-o", "out", "--key", "keys/private.pem"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("could not be written") && !stderr.contains("standard input"), "{stderr}");
}

#[test]
fn a_full_disk_leaves_the_earlier_package_whole() {
    let bench = bench(400_000);
    let args = ["package", "in.bin", "--key", "keys/private.pem", "--out-dir", "dist"];
    bench.ok(&args);
    let read = || {
        let mut files: Vec<_> = fs::read_dir(bench.path("dist"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = read();
    bench.write("in.bin", &firmware(500_000));
    with_full_disk(&bench, 8, &args);
    assert!(read() == before);
}

#[test]
fn a_full_output_device_is_not_success() {
    let bench = bench(400_000);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = ["sign", "in.bin", "-o", "-", "--key", "keys/private.pem"];
    let status =
        Command::new(OTASEAL).args(args).current_dir(bench.dir()).stdout(full).output().unwrap().status;
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_reader_that_goes_away_is_not_success_and_no_panic() {
    let bench = bench(4_000_000);
    for args in [
        &["sign", "in.bin", "-o", "-", "--key", "keys/private.pem"][..],
        &["compress", "in.bin", "-o", "-", "--effort", "fast"],
    ] {
        let mut child = Command::new(OTASEAL)
            .args(args)
            .current_dir(bench.dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    }
}

/// The name of a directory is no name for a file, whether the directory exists or not.
#[test]
fn an_output_that_names_a_directory_says_so() {
    let bench = bench(1000);
    fs::create_dir(bench.path("dir")).unwrap();
    let commands = [
        "sign in.bin --key keys/private.pem -o",
        "sign in.bin --key keys/private.pem -o out --legacy",
        "compress in.bin -o",
        "digest in.bin -o",
        "pubkey keys/public.pem --der -o",
        "key convert keys/public.pem --der -o",
        "completions bash -o",
        "keygen --public new.pem --private",
        "signing-py --mode sign --bin in.bin --privatekey keys/private.pem --out",
    ];
    for command in commands {
        for name in ["nodir/", "dir/"] {
            let args: Vec<_> = command.split_whitespace().chain([name]).collect();
            let stderr = String::from_utf8(bench.fails(2, &args).stderr).unwrap();
            let text = format!(
                "error: {name} is the name of a directory, and this output is a file\nhelp: add a file name: {name}NAME\n"
            );
            assert_eq!(stderr, text, "{command} {name}");
        }
    }
    assert_eq!(others(&bench, &["keys", "in.bin", "dir"]), [""; 0]);
}
