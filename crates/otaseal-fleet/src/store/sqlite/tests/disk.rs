//! A disk that is really full: a small file system in memory, in a name space of the test's own.

use std::process::{Command, Stdio};

use super::*;

/// The test below runs this test in another process, with the folder of the small disk here.
const FOLDER: &str = "OTASEAL_FLEET_DISK_TEST";

#[test]
fn works_on_a_small_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let mut store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    let ballast = folder.join("ballast");
    let mut there = 0;
    for _ in 0..5 {
        // What is left of the disk, but for a little.
        fill(&ballast);
        let mut refused = 0;
        while refused < 3 {
            match store.apply(&[device(there + 1)]) {
                Ok(()) => there += 1,
                Err(StoreError::Full) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(there < 100_000);
        }
        std::fs::remove_file(&ballast).unwrap();
        there += 1;
        store.apply(&[device(there)]).unwrap();
        assert_eq!(count(&store), u64::from(there));
    }
    drop(store);
    assert_eq!(count(&Sqlite::open(&folder.join("fleet.db")).unwrap()), u64::from(there));
}

/// Writes until nothing more fits, and leaves 256 KiB.
fn fill(ballast: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(ballast).unwrap();
    let mut bytes = 0;
    while let Ok(written) = file.write(&[0; 4_096]) {
        bytes += written as u64;
    }
    file.set_len(bytes.saturating_sub(256 << 10)).unwrap();
}

#[test]
fn a_disk_that_was_full_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=4m none \"$2\" && exec \"$1\" --exact \"$3\"";
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .arg(folder.path())
        .arg("store::sqlite::tests::disk::works_on_a_small_disk")
        .env(FOLDER, folder.path())
        .stderr(Stdio::piped())
        .output();
    let Ok(output) = child else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    // Some systems let nobody make a name space. There `max_page_count` is the only full disk.
    let ran = said.contains("running 1 test");
    assert!(!ran || output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
