//! Ledgers that somebody else wrote: a chain is accepted whole or refused, and what can be appended to stays one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::digest::{Sha256Digest, sha256};
use otaseal::ledger::{Break, Entry, Ledger, LedgerError, NamedDigest, Origin, Record, verify, walk};
use otaseal::sign::Scheme;
use std::fs;
use std::path::Path;

fn count(path: &Path) -> Result<u64, LedgerError> {
    let mut records = 0;
    let head = walk(path, &mut |record, line| {
        records += 1;
        assert_eq!(record.seq, records);
        assert!(!line.contains('\n'));
    })?;
    assert_eq!(head.records, records);
    assert!(records == 0 || verify(path, Some(head.sha256)).is_ok());
    Ok(records)
}

/// The lines that are records, chained anew.
fn chained(data: &[u8]) -> (Vec<String>, u64) {
    let (mut lines, mut prev, mut seq) = (Vec::new(), Sha256Digest([0; 32]), 0);
    for line in data.split(|&byte| byte == b'\n') {
        let Ok(mut record) = serde_json::from_slice::<Record>(line) else { continue };
        seq += 1;
        (record.seq, record.prev) = (seq, prev);
        let line = serde_json::to_string(&record).expect("a record has a JSON form");
        prev = sha256(line.as_bytes());
        lines.push(line);
    }
    (lines, seq)
}

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ledger.jsonl");
    fs::write(&path, data).expect("written");
    let before = count(&path);
    if let Ok(records) = before {
        assert_eq!(records, data.iter().filter(|&&byte| byte == b'\n').count() as u64);
    }
    let digest = |name| NamedDigest::new(name, 1, sha256(b"1"));
    let key_id = otaseal::device::KeyId([7; 32]);
    let entry = Entry::new(digest("in"), digest("out"), Scheme::Pkcs1v15Sha256, key_id);
    let appended = Ledger::new(&path, Origin::default()).append(std::slice::from_ref(&entry));
    match before {
        Ok(records) => {
            assert_eq!(appended.expect("it was whole").head.records, records + 1);
            assert_eq!(count(&path).expect("it still is"), records + 1);
        }
        // What was interrupted is moved aside, and the rest goes on.
        Err(LedgerError::Broken { what: Break::Torn, line, .. }) if appended.is_ok() => {
            assert_eq!(count(&path).expect("it is whole again"), line);
        }
        Err(_) => assert!(count(&path).is_err(), "a broken chain was mended by appending"),
    }

    let (lines, records) = chained(data);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, &text).expect("written");
    assert_eq!(count(&path).ok(), Some(records));
    // The last line but one is held fast by the last.
    if let [.., changed, last] = &lines[..] {
        let changed = changed.replace("\"tool\":\"", "\"tool\":\"x");
        let text = [&lines[..lines.len() - 2].concat(), &*changed, last].join("\n") + "\n";
        fs::write(&path, text).expect("written");
        assert!(count(&path).is_err());
    }
});
