//! Disks that are full, gone or damaged. Each test ends with the same store at work again.

use super::*;

fn set(store: &mut Sqlite, pragma: &str) {
    let sql = format!("PRAGMA {pragma}");
    store.run(|connection| Ok(connection.query_row(&sql, [], |_| Ok(()))?)).unwrap();
}

#[test]
fn a_full_disk_stops_nothing_for_ever() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.apply(&[device(1)]).unwrap();
    let mut reader = store.reader().unwrap();
    set(&mut store, "max_page_count = 1");
    let many: Vec<Write> = (2..2_000).map(device).collect();
    for _ in 0..3 {
        let error = store.apply(&many).unwrap_err();
        assert!(matches!(error, StoreError::Full), "{error}");
        assert_eq!(count(&store), 1, "nothing of the batch is there");
        assert!(reader.device(DeviceId(1)).unwrap().is_some(), "and the rest can be read");
    }
    set(&mut store, "max_page_count = 1000000");
    store.apply(&many).unwrap();
    assert_eq!(reader.count(&Filter::default(), 0).unwrap(), 1_999);
}

#[test]
fn data_that_cannot_be_written_can_be_read() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.apply(&[device(1)]).unwrap();
    store.run(|connection| Ok(connection.execute_batch("PRAGMA query_only = ON")?)).unwrap();
    let mut reader = store.reader().unwrap();
    let error = store.apply(&[device(2)]).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert_eq!(reader.count(&Filter::default(), 0).unwrap(), 1);
    store.apply(&[device(2)]).unwrap();
    assert_eq!(reader.count(&Filter::default(), 0).unwrap(), 2);
}

#[test]
fn a_folder_that_comes_back_is_used_again() {
    let folder = Folder::new();
    let data = folder.0.path().join("data");
    let away = folder.0.path().join("away");
    std::fs::create_dir(&data).unwrap();
    let mut store = Sqlite::open(&data.join("fleet.db")).unwrap();
    store.apply(&[device(1)]).unwrap();
    store.run(|connection| Ok(connection.execute_batch("PRAGMA query_only = ON")?)).unwrap();
    store.apply(&[device(2)]).unwrap_err();
    std::fs::rename(&data, &away).unwrap();
    let error = store.apply(&[device(2)]).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert!(store.reader().is_err());
    // An empty folder in its place gets no second set of data.
    std::fs::create_dir(&data).unwrap();
    store.apply(&[device(2)]).unwrap_err();
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    std::fs::write(data.join("fleet.db"), b"").unwrap();
    let error = store.apply(&[device(2)]).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&away, &data).unwrap();
    store.apply(&[device(2)]).unwrap();
    assert_eq!(count(&store), 2);
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_written_is_named_so() {
    for path in ["/sys/fleet.db", "/proc/none/fleet.db", "/dev/null/fleet.db"] {
        let error = Sqlite::open(Path::new(path)).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{path}: {error}");
    }
}

#[test]
fn damaged_data_are_named_so_until_they_are_repaired() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.apply(&(1..500).map(device).collect::<Vec<_>>()).unwrap();
    drop(store);
    let whole = std::fs::read(folder.path()).unwrap();
    let mut changed = whole.clone();
    // Pages of the tables. Those with the schema are before them.
    changed[200 * 1024..].iter_mut().for_each(|byte| *byte ^= 0x5A);
    std::fs::write(folder.path(), changed).unwrap();
    let mut store = folder.store();
    let mut reader = store.reader().unwrap();
    for _ in 0..2 {
        let error = store.load_devices(&mut |_, _| ()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        let error = reader.device_ids(&Filter::parse("name~device -site:x").unwrap(), 0).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    }
    std::fs::write(folder.path(), &whole).unwrap();
    let mut devices = 0;
    store.load_devices(&mut |_, _| devices += 1).unwrap();
    assert_eq!(devices, 499);
    assert_eq!(reader.count(&Filter::parse("-site:x").unwrap(), 0).unwrap(), 499);
    store.apply(&[Write::DeleteDevice(DeviceId(1)), device(1)]).unwrap();
}

#[test]
fn a_file_without_its_end_is_not_opened() {
    let folder = Folder::new();
    folder.store().apply(&(1..500).map(device).collect::<Vec<_>>()).unwrap();
    let whole = std::fs::read(folder.path()).unwrap();
    for length in [whole.len() / 2, 4_096, 1_000, 1] {
        std::fs::write(folder.path(), &whole[..length]).unwrap();
        let result = Sqlite::open(&folder.path()).and_then(|mut store| store.load_devices(&mut |_, _| ()));
        assert!(matches!(result, Err(StoreError::Damaged(_))), "{length}: {result:?}");
    }
    std::fs::write(folder.path(), &whole).unwrap();
    assert_eq!(count(&folder.store()), 499);
}

#[test]
fn rows_that_make_no_sense_are_damage() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.apply(&[device(7)]).unwrap();
    for sql in [
        "UPDATE devices SET family = 9 WHERE id = 7",
        "UPDATE devices SET family = 0, mac = -1 WHERE id = 7",
        "UPDATE devices SET mac = 1, md5 = x'00' WHERE id = 7",
        "UPDATE devices SET md5 = NULL, standing = 3 WHERE id = 7",
        "UPDATE devices SET standing = 1, signal = 256 WHERE id = 7",
        "UPDATE devices SET signal = 1, name = CAST(x'FF' AS TEXT) WHERE id = 7",
    ] {
        store.run(|connection| Ok(connection.execute_batch(sql)?)).unwrap();
        let error = store.load_devices(&mut |_, _| ()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{sql}: {error}");
    }
    store.apply(&[device(7)]).unwrap();
    store.load_devices(&mut |_, _| ()).unwrap();
}

#[test]
fn the_audit_log_is_not_changed_by_sql_either() {
    let folder = Folder::new();
    let mut store = folder.store();
    let line = crate::audit::next(None, 1, crate::audit::Deed { actor: "anna", ..Default::default() });
    store.apply(&[Write::Audit(line.clone())]).unwrap();
    for sql in ["DELETE FROM audit", "UPDATE audit SET actor = 'other'"] {
        assert!(store.run(|connection| Ok(connection.execute_batch(sql)?)).is_err(), "{sql}");
    }
    assert_eq!(store.load().unwrap().last_audit, Some(line));
}
