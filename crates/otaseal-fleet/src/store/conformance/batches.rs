//! Batches: whole or not at all, durable, and one process at a time.

use super::*;

pub(crate) fn a_batch_is_applied_whole_or_not_at_all(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let line = rows::line();
    let first = [Write::Device(Box::new(device(1))), Write::Audit(line.clone())];
    store.apply(&first).unwrap();
    let changed = DeviceRow { name: "other".into(), tags: vec!["t".into()], ..device(1) };
    let refused = [
        Write::Device(Box::new(changed)),
        Write::Device(Box::new(device(2))),
        Write::Update(update(1, Some(1), 1, State::Queued)),
        Write::Event(event(1, 1, "new")),
        Write::Audit(AuditRow { action: "other".into(), ..line.clone() }),
        Write::Device(Box::new(device(3))),
    ];
    for _ in 0..2 {
        assert!(matches!(store.apply(&refused), Err(StoreError::Damaged(_))));
        assert_eq!(devices_of(&mut *store), [(device(1), None)]);
        let mut reader = reader(&*store);
        assert!(reader.events(None, all()).unwrap().is_empty());
        assert_eq!(reader.count(&filter("tag:t or name~other or rollout:1"), 0).unwrap(), 0);
        assert_eq!(reader.audit(all()).unwrap(), std::slice::from_ref(&line));
    }
    store.apply(&refused[..4]).unwrap();
    assert_eq!(devices_of(&mut *store).len(), 2, "the store goes on");
}

pub(crate) fn the_same_batch_twice_changes_nothing(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let [mut rows] = rows::some();
    rows.update.device = rows.device.id;
    let mut writes = rows.writes();
    let past = update(rows.device.id.0, Some(999), 9, State::Superseded);
    writes.insert(1, Write::Update(past));
    for at in 0..10 {
        writes.push(Write::Event(event(
            rows.device.id.0,
            100 + at / 2,
            if at % 2 == 0 { "one" } else { "two" },
        )));
    }
    let mut states = Vec::new();
    for _ in 0..3 {
        store.apply(&writes).unwrap();
        let loaded = store.load().unwrap();
        let mut reader = reader(&*store);
        states.push((
            devices_of(&mut *store),
            (loaded.releases, loaded.rollouts, loaded.filters, loaded.tokens),
            reader.events(None, all()).unwrap(),
            reader.updates(RolloutId(999), None, all()).unwrap(),
            reader.audit(all()).unwrap(),
        ));
    }
    assert_eq!(states[0], states[1]);
    assert_eq!(states[0], states[2]);
    assert_eq!(states[0].2.len(), 11);
    // Something that happens again later is written again.
    store.apply(&[Write::Event(event(rows.device.id.0, 200, "one"))]).unwrap();
    assert_eq!(reader(&*store).events(None, all()).unwrap().len(), 12);
}

pub(crate) fn a_number_of_the_audit_log_is_taken_once(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let line = AuditRow { number: 7, ..rows::line() };
    store.apply(&[Write::Audit(line.clone())]).unwrap();
    let others = [
        AuditRow { at: line.at + 1, ..line.clone() },
        AuditRow { actor: "other".into(), ..line.clone() },
        AuditRow { action: "other".into(), ..line.clone() },
        AuditRow { object: "other".into(), ..line.clone() },
        AuditRow { before: "other".into(), ..line.clone() },
        AuditRow { after: "other".into(), ..line.clone() },
        AuditRow { hash: [9; 32], ..line.clone() },
    ];
    for other in others {
        let result = store.apply(&[Write::Audit(other)]);
        assert!(matches!(result, Err(StoreError::Damaged(_))), "{result:?}");
    }
    assert_eq!(reader(&*store).audit(all()).unwrap(), [line]);
}

pub(crate) fn a_backup_is_whole_while_others_write(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Each batch makes a device and its event, so a backup has as many of one as of the other.
    let batch = |id: u32| [Write::Device(Box::new(device(id))), Write::Event(event(id, 1, "new"))];
    for id in 1..=200 {
        store.apply(&batch(id)).unwrap();
    }
    let mut reader = store.reader().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let path = |number: u32| folder.path().join(format!("{number}.backup"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in 201.. {
                store.apply(&batch(id)).unwrap();
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for number in 0..5 {
            reader.backup(&path(number)).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let mut before = 200;
    for number in 0..5 {
        let mut copy = place.open_backup(&path(number));
        let devices = devices_of(&mut *copy).len();
        let mut events = 0;
        let mut page = all();
        while let Some((last, _)) = copy.reader().unwrap().events(None, page).unwrap().last() {
            events += copy.reader().unwrap().events(None, page).unwrap().len();
            page.after = Some(*last);
        }
        assert_eq!(devices, events);
        assert!(devices >= before, "{devices} {before}");
        before = devices;
    }
    let there = std::fs::read(path(0)).unwrap();
    assert!(reader.backup(&path(0)).is_err(), "no file is replaced");
    assert_eq!(std::fs::read(path(0)).unwrap(), there);
    assert!(reader.backup(&folder.path().join("none/backup")).is_err());
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_none_or(|end| end == "tmp"));
    assert!(names.is_empty(), "nothing of a failed backup stays: {names:?}");
}

pub(crate) fn readers_see_what_was_applied(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let mut readers = [(); 3].map(|()| store.reader().unwrap());
    for id in 1..=20 {
        store.apply(&[Write::Device(Box::new(device(id)))]).unwrap();
        for reader in &mut readers {
            assert_eq!(reader.count(&Filter::default(), 0).unwrap(), u64::from(id));
            assert!(reader.holds(&filter("standing:pending"), DeviceId(id), 0).unwrap());
        }
    }
}

pub(crate) fn everything_is_there_after_a_restart(place: &dyn Place) {
    let [mut rows] = rows::some();
    rows.update.device = rows.device.id;
    let mut store = place.open().unwrap();
    store.apply(&rows.writes()).unwrap();
    drop(store);
    let mut store = place.open().unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.releases, loaded.rollouts), (vec![rows.release], vec![rows.rollout]));
    assert_eq!((loaded.filters, loaded.tokens), (vec![rows.filter], vec![rows.token]));
    assert_eq!(loaded.last_audit, Some(rows.audit));
    assert_eq!(devices_of(&mut *store), [(rows.device, Some(rows.update))]);
    assert_eq!(reader(&*store).events(None, all()).unwrap()[0].1, rows.event);
}

pub(crate) fn a_second_process_is_locked_out(place: &dyn Place) {
    let store = place.open().unwrap();
    for _ in 0..2 {
        assert!(matches!(place.open().err(), Some(StoreError::Locked)));
    }
    drop(store);
    drop(place.open().unwrap());
}
