use super::*;
use std::fs::{self, OpenOptions};
use std::io::Write;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    ledger: Ledger,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin { who: Some("a\nb\u{7f}\"@host".into()), ..Origin::default() };
        let ledger = Ledger::new(dir.path().join("ledger.jsonl"), origin);
        Self { dir, ledger }
    }

    fn append(&self, names: &[&str]) -> Result<Appended, LedgerError> {
        let entries: Vec<_> = names.iter().map(|name| entry(name)).collect();
        self.ledger.append(&entries)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.ledger.path()).unwrap()
    }

    fn verify(&self) -> Result<Head, LedgerError> {
        verify(self.ledger.path(), None)
    }

    fn put(&self, text: impl AsRef<[u8]>) {
        fs::write(self.ledger.path(), text).unwrap();
    }

    fn add(&self, bytes: &[u8]) {
        OpenOptions::new().append(true).open(self.ledger.path()).unwrap().write_all(bytes).unwrap();
    }
}

fn entry(name: &str) -> Entry {
    Entry {
        input: NamedDigest::new(name, 3, sha256(name.as_bytes())),
        output: NamedDigest::new(format!("{name}.signed"), 263, sha256(b"signed")),
        signature: Scheme::Pkcs1v15Sha256,
        key_id: KeyId([7; 32]),
    }
}

fn broken(error: &LedgerError) -> (u64, &Break) {
    match error {
        LedgerError::Broken { line, what, .. } => (*line, what),
        other => panic!("{other}"),
    }
}

#[test]
fn each_line_holds_the_digest_of_the_one_before_it() {
    let bench = Bench::new();
    bench.append(&["a"]).unwrap();
    let appended = bench.append(&["b", "c"]).unwrap();
    assert_eq!((appended.head.records, appended.recovered), (3, None));
    let text = bench.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "a line end in a name is escaped");
    let mut before = "0".repeat(64);
    for (number, line) in lines.iter().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (value["seq"].as_u64(), value["prev"].as_str()),
            (Some(number as u64 + 1), Some(&*before))
        );
        assert!(value["time"].as_str().unwrap().ends_with('Z'));
        before = sha256(line.as_bytes()).to_string();
    }
    assert_eq!(bench.verify().unwrap(), appended.head);
    assert_eq!(appended.head.sha256.to_string(), before);
}

#[test]
fn every_change_to_a_line_shows_with_its_number() {
    let bench = Bench::new();
    bench.append(&["a", "b", "c", "d"]).unwrap();
    let text = bench.text();
    let lines: Vec<_> = text.lines().collect();
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        bench.put(lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        bench.verify().unwrap_err()
    };
    let error = with(&|lines| lines[1] = lines[1].replace("b.signed", "x.signed"));
    assert_eq!(broken(&error), (3, &Break::Chain));
    let error = with(&|lines| drop(lines.remove(1)));
    assert_eq!(broken(&error), (2, &Break::Sequence { expected: 2, found: 3 }));
    let error = with(&|lines| lines.insert(2, lines[1].clone()));
    assert_eq!(broken(&error), (3, &Break::Sequence { expected: 3, found: 2 }));
    let error = with(&|lines| lines.swap(0, 1));
    assert_eq!(broken(&error).0, 1);
    let error = with(&|lines| lines[2].push(' '));
    assert_eq!(broken(&error), (4, &Break::Chain), "a space is a change");
    let error = with(&|lines| lines[2] = "{}".into());
    assert!(matches!(broken(&error), (3, Break::Form(_))));
    let error = with(&|lines| lines[0] = lines[0].replace(&"0".repeat(64), &"1".repeat(64)));
    assert_eq!(broken(&error), (1, &Break::Chain));
}

/// A chain does not show where it ends. A digest in another place does.
#[test]
fn a_cut_off_end_shows_where_the_last_digest_was_noted() {
    let bench = Bench::new();
    let noted = bench.append(&["a", "b"]).unwrap().head.sha256;
    let later = bench.append(&["c"]).unwrap().head.sha256;
    for digest in [noted, later] {
        verify(bench.ledger.path(), Some(digest)).unwrap();
    }
    let text = bench.text();
    bench.put(text.split_inclusive('\n').take(1).collect::<String>());
    assert_eq!(bench.verify().unwrap().records, 1, "the chain is whole");
    let cut = verify(bench.ledger.path(), Some(noted)).unwrap_err();
    assert!(matches!(cut, LedgerError::Missing { .. }) && cut.is_verdict());
}

#[test]
fn an_unfinished_line_is_moved_aside_and_the_next_one_says_so() {
    for cut in [1, 7, 300, 0] {
        let bench = Bench::new();
        bench.append(&["a", "b"]).unwrap();
        let whole = bench.text();
        let last = whole.lines().next_back().unwrap();
        let torn = if cut == 0 { vec![0; 512] } else { last.as_bytes()[..cut].to_vec() };
        bench.add(&torn);
        assert_eq!(broken(&bench.verify().unwrap_err()), (3, &Break::Torn));
        let appended = bench.append(&["c", "d"]).unwrap();
        let recovered = appended.recovered.unwrap();
        assert_eq!(fs::read(bench.dir.path().join(&recovered.file)).unwrap(), torn, "nothing is lost");
        let records = records(&bench);
        assert_eq!(
            records.iter().map(|record| record.recovered.is_some()).collect::<Vec<_>>(),
            [false, false, true, false]
        );
        assert_eq!(records[2].recovered.as_ref(), Some(&recovered));
        assert!(bench.text().starts_with(&whole));
    }
    // The ledger holds only an unfinished first line.
    let bench = Bench::new();
    bench.put("{\"seq\":1,\"pre");
    assert_eq!(bench.append(&["a"]).unwrap().head.records, 1);
    assert_eq!(bench.verify().unwrap().records, 1);
}

fn records(bench: &Bench) -> Vec<Record> {
    let mut records = Vec::new();
    walk(bench.ledger.path(), &mut |record, _| records.push(record.clone())).unwrap();
    records
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let bench = Bench::new();
    for text in [
        &b"\xE9\x01\x02\x40firmware"[..],
        b"a list\nof words\n",
        b"{\"seq\":\"x\"}\n",
        b"{}\n",
        b"\n",
        &[b'{'; 200_000],
        &[0; 200_000],
    ] {
        bench.put(text);
        assert!(matches!(bench.append(&["a"]), Err(LedgerError::NotALedger(_))), "{}", text.len());
        assert_eq!(fs::read(bench.ledger.path()).unwrap(), text);
        assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_hostile_ledger_is_read_in_bounded_memory() {
    let bench = Bench::new();
    bench.append(&["a"]).unwrap();
    let good = bench.text();
    bench.put([good.as_bytes(), &vec![b' '; 10 << 20], b"\n"].concat());
    assert_eq!(broken(&bench.verify().unwrap_err()), (2, &Break::TooLong));
    assert!(matches!(bench.append(&["b"]), Err(LedgerError::NotALedger(_))));
    bench.put([good.as_bytes(), "[".repeat(60_000).as_bytes(), b"\n"].concat());
    assert!(matches!(broken(&bench.verify().unwrap_err()), (2, Break::Form(_))));
    bench.put([good.as_bytes(), b"\xff\xfe\n"].concat());
    assert!(matches!(broken(&bench.verify().unwrap_err()), (2, Break::Form(_))));
    bench.put(good.replace("\"seq\":1", "\"seq\":18446744073709551615"));
    assert!(bench.verify().is_err());
    assert!(matches!(bench.append(&["b"]), Err(LedgerError::NotALedger(_))));
}

#[test]
fn a_ledger_that_cannot_be_written_is_an_error() {
    let bench = Bench::new();
    let at = |path: &Path| Ledger::new(path, Origin::default()).append(&[entry("a")]);
    assert!(matches!(at(&bench.dir.path().join("no/ledger")), Err(LedgerError::Io { .. })));
    assert!(matches!(at(bench.dir.path()), Err(LedgerError::Io { .. })));
    #[cfg(unix)]
    assert!(matches!(at(Path::new("/dev/null")), Err(LedgerError::Io { .. })));
    assert!(matches!(verify(bench.dir.path(), None), Err(LedgerError::Io { .. })));
}

#[test]
fn threads_take_their_turns() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let bench = &bench;
            scope.spawn(move || {
                for number in 0..10 {
                    bench.append(&[&format!("{thread}-{number}"), "second"]).unwrap();
                }
            });
        }
    });
    assert_eq!(bench.verify().unwrap().records, 160);
    // The lines of one call are together.
    let records = records(&bench);
    assert!(records.chunks(2).all(|pair| pair[0].input.file != "second" && pair[1].input.file == "second"));
}

/// A process moves the ledger away while another waits for it. The entry then goes to the new ledger, not to the old
/// one.
#[cfg(unix)]
#[test]
fn a_ledger_that_was_moved_away_gets_no_more_entries() {
    let bench = Bench::new();
    bench.append(&["a"]).unwrap();
    let path = bench.ledger.path().to_owned();
    let file = std::fs::File::open(&path).unwrap();
    let lock = RwLock::new(file);
    let guard = lock.read().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bench.append(&["b"]).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(200));
        fs::rename(&path, bench.dir.path().join("old")).unwrap();
        drop(guard);
        assert_eq!(waiting.join().unwrap().head.records, 1);
    });
    assert_eq!(bench.verify().unwrap().records, 1);
    assert_eq!(verify(&bench.dir.path().join("old"), None).unwrap().records, 1);
}

/// A stream has no length, so it has a limit.
#[cfg(unix)]
#[test]
fn a_ledger_may_come_from_a_stream() {
    let bench = Bench::new();
    bench.append(&["a", "b"]).unwrap();
    let path = bench.ledger.path();
    let (reader, writer) = std::io::pipe().unwrap();
    let send = |bytes: Vec<u8>, mut pipe: std::io::PipeWriter| {
        std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &bytes))
    };
    let sender = send(fs::read(path).unwrap(), writer);
    let name = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let input = Input::named(std::path::Path::new(&name)).unwrap();
    assert_eq!(verify_input(path, input, None).unwrap(), bench.verify().unwrap());
    drop(reader);
    sender.join().unwrap().unwrap();
    let endless = Input::named(std::path::Path::new("/dev/zero")).unwrap();
    let error = verify_input(path, endless, None).unwrap_err();
    assert!(matches!(error, LedgerError::Broken { line: 1, what: Break::TooLong, .. }), "{error}");
}

/// All users of a ledger share one check. An unfinished line is no error, because the next entry moves it away.
#[test]
fn the_chain_is_checked_once() {
    let bench = Bench::new();
    bench.ledger.verify_once().unwrap();
    bench.append(&["a", "b", "c"]).unwrap();
    let whole = fs::read(bench.ledger.path()).unwrap();
    let fresh = || Ledger::new(bench.ledger.path(), Origin::default());
    let edited = String::from_utf8(whole.clone()).unwrap().replacen("\"a\"", "\"A\"", 1);
    assert_ne!(edited.as_bytes(), whole);
    fs::write(bench.ledger.path(), edited).unwrap();
    let ledger = fresh();
    for clone in [ledger.clone(), ledger.clone(), ledger] {
        let error = clone.verify_once().unwrap_err();
        assert!(matches!(error, LedgerError::Broken { line: 2, what: Break::Chain, .. }), "{error}");
    }
    bench.ledger.clone().verify_once().unwrap();
    fs::write(bench.ledger.path(), [&whole[..], &whole[..30]].concat()).unwrap();
    fresh().verify_once().unwrap();
    fs::write(bench.ledger.path(), &whole[1..]).unwrap();
    assert!(fresh().verify_once().is_err());
}
