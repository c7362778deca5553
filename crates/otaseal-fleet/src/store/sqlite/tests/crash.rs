//! A process that is killed while it writes. What was acknowledged is there, and no batch is there in part.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;
use crate::audit;

/// The test below runs this test in another process, with the path of the data here.
const PATH: &str = "OTASEAL_FLEET_CRASH_TEST";

fn batch(number: u32, before: Option<&crate::store::rows::AuditRow>) -> [Write; 3] {
    let event = EventRow {
        device: DeviceId(number),
        at: number.into(),
        code: "new".into(),
        text: String::new(),
        rollout: None,
    };
    let deed = audit::Deed { actor: "anna", action: "device.add", ..Default::default() };
    [device(number), Write::Event(event), Write::Audit(audit::next(before, number.into(), deed))]
}

#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let mut store = Sqlite::open(Path::new(&path)).unwrap();
    // Often enough that some are killed in the middle of one.
    store.run(|connection| Ok(connection.execute_batch("PRAGMA wal_autocheckpoint = 16")?)).ok();
    let mut last = store.load().unwrap().last_audit;
    let mut out = std::io::stdout();
    loop {
        let number = last.as_ref().map_or(1, |line| line.number as u32 + 1);
        let writes = batch(number, last.as_ref());
        store.apply(&writes).unwrap();
        writeln!(out, "applied {number}").unwrap();
        out.flush().unwrap();
        let [.., Write::Audit(line)] = writes else { unreachable!() };
        last = Some(line);
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let folder = Folder::new();
    let mut there = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::crash::writes_until_it_is_killed", "--nocapture"])
            .env(PATH, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut applied = lines.filter_map(|line| line.strip_prefix("applied ")?.parse::<u32>().ok());
        let mut acknowledged = applied.by_ref().take(1 + round * 7).last().unwrap();
        if round == 0 {
            assert!(
                matches!(Sqlite::open(&folder.path()), Err(StoreError::Locked)),
                "another process has them"
            );
        }
        child.kill().unwrap();
        acknowledged = applied.last().unwrap_or(acknowledged);
        child.wait().unwrap();
        assert!(acknowledged > there);

        let mut store = folder.store();
        let mut devices = Vec::new();
        store.load_devices(&mut |device, _| devices.push(device.id.0)).unwrap();
        there = devices.len() as u32;
        assert!([acknowledged, acknowledged + 1].contains(&there), "{acknowledged} {there}");
        assert_eq!(devices, (1..=there).collect::<Vec<_>>());
        let mut reader = store.reader().unwrap();
        let newest = reader.events(None, Page { after: None, rows: 1 }).unwrap();
        assert_eq!((newest[0].0, newest[0].1.at), (there.into(), there.into()));
        assert_eq!(audit::verify_log(&mut *reader).unwrap(), Ok(there.into()));
        assert!(
            reader.events(None, Page { after: None, rows: MAX_PAGE }).unwrap().len() as u32
                >= there.min(MAX_PAGE)
        );
    }
}
