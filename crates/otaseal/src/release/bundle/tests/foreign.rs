//! A directory from somebody else can hold anything. No file of it makes otaseal wait, or read without end.

use super::*;
use std::fs::File;
use std::time::{Duration, Instant};

/// Reading a sparse file of this size takes much longer than the test may.
const HUGE: u64 = 1 << 40;

#[test]
fn a_huge_file_is_refused_unread() {
    let bench = Bench::new();
    bench.make().unwrap();
    let began = Instant::now();
    for name in FILES.iter().chain(&[INDEX, SIGNATURE]) {
        let path = bench.path("release").join(name);
        let good = fs::read(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(HUGE).unwrap();
        let error = bench.check().unwrap_err();
        let unread = matches!(&error, BundleError::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge);
        assert!(unread || matches!(error, BundleError::Changed { .. }), "{name}: {error}");
        fs::write(path, good).unwrap();
    }
    bench.check().unwrap();
    // A file that is in no list is not read at all.
    File::create(bench.path("release/more")).unwrap().set_len(HUGE).unwrap();
    assert!(matches!(bench.check(), Err(BundleError::Unlisted(_))));
    fs::remove_dir_all(bench.path("release")).unwrap();
    for name in ["manifest.json", "fw.bin", "fw.bin.gz.signed", "fw.sbom.json"] {
        let path = bench.path("dist").join(name);
        let good = fs::read(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(HUGE).unwrap();
        let error = bench.make().unwrap_err();
        assert!(error.to_string().contains("larger than"), "{name}: {error}");
        fs::write(path, good).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// The sizes in the manifest are compared before any artefact is read: its time tells.
#[test]
fn a_file_of_another_size_is_refused_before_it_is_read() {
    let bench = Bench::new();
    bench.make().unwrap();
    for name in ["fw.bin", "fw.bin.signed", "fw.sbom.json"] {
        let path = bench.path("release").join(name);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[1..]).unwrap();
        // This file has its size, and other bytes.
        let other = bench.path("release").join("fw.bin.gz");
        let good_other = fs::read(&other).unwrap();
        fs::write(&other, vec![0; good_other.len()]).unwrap();
        let error = bench.check().unwrap_err();
        let named = matches!(&error, BundleError::Changed { file, list: "the manifest" } if file == name);
        assert!(named, "{name}: {error}");
        fs::write(path, good).unwrap();
        fs::write(other, good_other).unwrap();
    }
}

/// Opening a pipe waits for its writer, and this test has none: it would never end.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_refused_unopened() {
    let bench = Bench::new();
    bench.make().unwrap();
    let put = |path: &Path, device: bool| {
        let _ = fs::remove_file(path);
        if device {
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        } else {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
        }
    };
    for device in [false, true] {
        for name in FILES.iter().chain(&[INDEX, SIGNATURE]) {
            let path = bench.path("release").join(name);
            let good = fs::read(&path).unwrap();
            put(&path, device);
            let error = bench.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            fs::remove_file(&path).unwrap();
            fs::write(path, good).unwrap();
        }
        bench.check().unwrap();
    }
    fs::remove_dir_all(bench.path("release")).unwrap();
    for device in [false, true] {
        for name in ["dist/manifest.json", "dist/fw.bin", "dist/fw.sbom.json", "ledger.jsonl"] {
            let path = bench.path(name);
            let good = fs::read(&path).unwrap();
            put(&path, device);
            let error = bench.make().unwrap_err().to_string();
            let what = if device { "it is a device" } else { "it is a pipe" };
            assert!(error.contains(what) && error.contains(path.to_str().unwrap()), "{error}");
            fs::remove_file(&path).unwrap();
            fs::write(path, good).unwrap();
        }
    }
}
