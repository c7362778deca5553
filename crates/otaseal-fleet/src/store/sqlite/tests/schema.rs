//! Old data, newer data, and files of others.

use super::*;

const TWO: &[&str] = &[migrate::ALL[0], "CREATE TABLE more (x INTEGER) STRICT; INSERT INTO more VALUES (7);"];
const BROKEN: &[&str] =
    &[migrate::ALL[0], "CREATE TABLE more (x INTEGER) STRICT; INSERT INTO none VALUES (7);"];

#[test]
fn old_data_are_copied_and_brought_up_to_date() {
    let folder = Folder::new();
    folder.store().apply(&[device(1)]).unwrap();
    let path = folder.path();
    for _ in 0..2 {
        assert!(Sqlite::open_with(&path, BROKEN).is_err());
        let store = folder.store();
        assert_eq!(count(&store), 1, "a step that fails changes nothing");
    }
    let mut store = Sqlite::open_with(&path, TWO).unwrap();
    store.apply(&[device(2)]).unwrap();
    let more: u32 = store
        .run(|connection| Ok(connection.query_row("SELECT x FROM more", [], |row| row.get(0))?))
        .unwrap();
    assert_eq!((more, count(&store)), (7, 2));
    drop(store);
    assert_eq!(count(&Sqlite::open_with(&path, TWO).unwrap()), 2, "a step is done once");
    let copy = folder.0.path().join("fleet.db.schema-1");
    assert_eq!(count(&Sqlite::open(&copy).unwrap()), 1);
    let names = folder.names();
    assert!(names.iter().all(|name| name.starts_with("fleet.db")), "no half copy stays: {names:?}");
}

#[test]
fn newer_data_are_refused_and_not_touched() {
    let folder = Folder::new();
    drop(Sqlite::open_with(&folder.path(), TWO).unwrap());
    let before = std::fs::read(folder.path()).unwrap();
    let error = Sqlite::open(&folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1 }), "{error}");
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
    assert!(!folder.names().iter().any(|name| name.contains("schema")));
}

#[test]
fn files_of_others_are_refused_and_not_touched() {
    let folder = Folder::new();
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);").unwrap();
    other.close().unwrap();
    let sqlite = std::fs::read(folder.path()).unwrap();
    let mut of_app = sqlite.clone();
    of_app[60..64].copy_from_slice(&1_u32.to_be_bytes());
    let text = b"no database, but a text of somebody. ";
    for bytes in [sqlite, of_app, text.repeat(50), text.to_vec(), b"\0".to_vec()] {
        std::fs::write(folder.path(), &bytes).unwrap();
        let error = Sqlite::open(&folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        assert_eq!(std::fs::read(folder.path()).unwrap(), bytes);
        assert_eq!(folder.names(), ["fleet.db", "fleet.db.lock"]);
    }
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = Folder::new();
    std::fs::write(folder.path(), b"").unwrap();
    let mut store = folder.store();
    store.apply(&[device(1)]).unwrap();
    assert_eq!(count(&store), 1);
}
