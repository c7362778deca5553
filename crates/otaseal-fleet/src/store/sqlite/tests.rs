use super::*;
use crate::filter::Filter;
use crate::store::conformance::{Place, suite};
use crate::store::rows::{DeviceId, EventRow};
use crate::store::{MAX_PAGE, Page};

mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod faults;
mod schema;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("fleet.db")
    }

    fn store(&self) -> Sqlite {
        Sqlite::open(&self.path()).unwrap()
    }

    /// The names of the files.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Place for Folder {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Sqlite::open(&self.path())?))
    }

    fn open_backup(&self, backup: &Path) -> Box<dyn Store> {
        Box::new(Sqlite::open(backup).unwrap())
    }
}

suite!(Folder::new());

/// A device with a long note.
fn device(id: u32) -> Write {
    let note = "x".repeat(500);
    Write::Device(Box::new(DeviceRow { id: DeviceId(id), note, ..DeviceRow::default() }))
}

fn count(store: &Sqlite) -> u64 {
    store.reader().unwrap().count(&Filter::default(), 0).unwrap()
}

#[test]
fn each_filter_reads_an_index() {
    let folder = Folder::new();
    let store = folder.store();
    let connection = store.connection.as_ref().unwrap();
    let wide = bits::Window { after: 0, to: 1 << 20 };
    let terms = "site:a tag:a board:a family:esp32 standing:pending source:pull firmware:a version:a version<1 \
        release:1 release:none state:held rollout:1 seen<1d mac:5C";
    let filter = Filter::parse(terms).unwrap();
    let crate::filter::Expr::And(parts) = filter.expr() else { panic!() };
    for part in parts {
        let crate::filter::Expr::Term(term) = part else { panic!() };
        let leaf::Leaf { sql, values } = leaf::leaf(term, wide, 1);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let bound = [0, 1].map(rusqlite::types::Value::Integer).into_iter().chain(values);
        let plan: String =
            statement.query_row(rusqlite::params_from_iter(bound), |row| row.get("detail")).unwrap();
        assert!(plan.contains("SEARCH") && plan.contains("COVERING INDEX"), "{term}: {plan}");
    }
}

#[test]
#[cfg(unix)]
fn the_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let mut store = folder.store();
    store.apply(&[device(1)]).unwrap();
    for name in folder.names() {
        let mode = std::fs::metadata(folder.0.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(folder.names(), ["fleet.db", "fleet.db-shm", "fleet.db-wal", "fleet.db.lock"]);
    drop(store);
    assert_eq!(folder.names(), ["fleet.db", "fleet.db.lock"]);
}

#[test]
fn a_path_is_no_uri() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file:fleet.db?mode=memory");
    drop(Sqlite::open(&path).unwrap());
    assert!(path.exists());
}
