use super::*;
use otaseal::format::digest::sha256;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn folder() -> (TempDir, Folder) {
    let directory = tempfile::tempdir().unwrap();
    let folder = Folder::open(directory.path()).unwrap();
    (directory, folder)
}

fn depot() -> (TempDir, Arc<Depot>) {
    let (directory, folder) = folder();
    (directory, Depot::new(folder, 1 << 20))
}

fn put(folder: &Folder, bytes: &[u8]) -> Object {
    let incoming = incoming(folder, bytes);
    let object = incoming.object();
    folder.put(incoming).unwrap();
    object
}

fn incoming(folder: &dyn Objects, bytes: &[u8]) -> Incoming {
    let mut incoming = folder.begin(1 << 20).unwrap();
    bytes.chunks(7).for_each(|chunk| incoming.write(chunk).unwrap());
    incoming
}

fn keep(depot: &Arc<Depot>, bytes: &[u8]) -> Kept {
    let mut incoming = depot.begin(1 << 20).unwrap();
    incoming.write(bytes).unwrap();
    depot.keep(incoming).unwrap()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.file_name().unwrap().to_string_lossy().into_owned()),
        }
    }
    found
}

fn path(directory: &TempDir, object: &Object) -> PathBuf {
    let name = object.sha256.to_string();
    directory.path().join(&name[..2]).join(&name[2..])
}

#[test]
fn an_object_lies_under_its_digest() {
    let (directory, folder) = folder();
    let object = put(&folder, b"the image");
    assert_eq!(object, Object { sha256: sha256(b"the image"), bytes: 9 });
    assert_eq!(fs::read(path(&directory, &object)).unwrap(), b"the image");
    assert!(folder.exists(&object.sha256).unwrap());
    assert_eq!(folder.list().unwrap(), [object]);
    assert!(folder.remove(&object.sha256).unwrap());
    assert!(!folder.remove(&object.sha256).unwrap());
    assert!(!folder.exists(&object.sha256).unwrap());
    assert!(matches!(folder.open(&object.sha256), Err(ObjectError::Missing(_))));
}

#[test]
fn the_same_bytes_twice_are_one_object() {
    let (directory, folder) = folder();
    assert!(folder.put(incoming(&folder, b"the image")).unwrap());
    assert!(!folder.put(incoming(&folder, b"the image")).unwrap());
    assert!(folder.put(incoming(&folder, b"")).unwrap());
    assert_eq!(files(directory.path()).len(), 2);
}

#[test]
fn what_is_too_large_or_dropped_leaves_nothing() {
    let (directory, folder) = folder();
    let mut incoming = folder.begin(10).unwrap();
    incoming.write(b"0123456789").unwrap();
    assert!(matches!(incoming.write(b"0"), Err(ObjectError::TooLarge { limit: 10 })));
    assert_eq!(incoming.object().bytes, 10);
    assert_eq!(incoming.read().unwrap(), b"0123456789");
    assert_eq!(files(directory.path()).len(), 1);
    drop(incoming);
    assert_eq!(files(directory.path()).len(), 0);
}

#[test]
fn leftovers_of_a_crash_go_at_the_start_and_nothing_else() {
    let (directory, folder) = folder();
    let object = put(&folder, b"the image");
    fs::write(directory.path().join(".incoming-Ab12Cd"), b"half of an ima").unwrap();
    fs::write(directory.path().join("note.txt"), b"a person's").unwrap();
    fs::create_dir(directory.path().join(".incoming-directory")).unwrap();
    let folder = Folder::open(directory.path()).unwrap();
    assert_eq!(folder.list().unwrap(), [object]);
    assert!(!directory.path().join(".incoming-Ab12Cd").exists());
    assert!(directory.path().join("note.txt").exists());
}

#[test]
fn what_is_no_object_is_not_listed() {
    let (directory, folder) = folder();
    let object = put(&folder, b"the image");
    let upper = object.sha256.to_string().to_uppercase();
    fs::create_dir_all(directory.path().join("AB")).unwrap();
    fs::write(directory.path().join("AB").join(&upper[2..]), b"").unwrap();
    fs::create_dir_all(directory.path().join("abc")).unwrap();
    fs::write(directory.path().join("abc").join(upper[3..].to_lowercase()), b"").unwrap();
    fs::write(path(&directory, &object).with_extension("bak"), b"").unwrap();
    assert_eq!(folder.list().unwrap(), [object]);
}

#[cfg(unix)]
#[test]
fn links_pipes_and_directories_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (directory, folder) = folder();
    let secret = directory.path().join("secret");
    fs::write(&secret, b"the image").unwrap();
    let object = Object { sha256: sha256(b"the image"), bytes: 9 };
    let place = path(&directory, &object);
    let odd = |what: &str| {
        for error in [
            folder.open(&object.sha256).err().unwrap(),
            folder.exists(&object.sha256).unwrap_err(),
            folder.remove(&object.sha256).unwrap_err(),
            folder.put(incoming(&folder, b"the image")).unwrap_err(),
        ] {
            assert!(matches!(&error, ObjectError::Odd { what: is, .. } if *is == what), "{error}");
        }
        assert_eq!(folder.list().unwrap(), []);
    };
    // A link to a file with just these bytes.
    fs::create_dir(place.parent().unwrap()).unwrap();
    symlink(&secret, &place).unwrap();
    odd("a symbolic link");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    odd("a directory");
    fs::remove_dir(&place).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&place).status().unwrap();
    assert!(made.success());
    odd("a pipe or a device");
    fs::remove_file(&place).unwrap();
    // A link in place of the directory.
    fs::remove_dir(place.parent().unwrap()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join(place.file_name().unwrap()), b"the image").unwrap();
    symlink(elsewhere.path(), place.parent().unwrap()).unwrap();
    odd("a symbolic link");
    assert_eq!(fs::read(&secret).unwrap(), b"the image");
}

#[test]
fn damaged_bytes_are_not_given_out() {
    let (directory, depot) = depot();
    let kept = keep(&depot, b"the image");
    let object = kept.object();
    let contents = depot.contents(object);
    for damaged in [&b"the imagf"[..], b"the imag", b"the images", b""] {
        fs::write(path(&directory, &object), damaged).unwrap();
        assert!(matches!(depot.read(&object), Err(ObjectError::Damaged(sha256)) if sha256 == object.sha256));
        let error = contents.load().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(&object.sha256.to_string()), "{error}");
    }
    fs::remove_file(path(&directory, &object)).unwrap();
    assert_eq!(contents.load().unwrap_err().kind(), io::ErrorKind::NotFound);
    // The same upload again mends it.
    fs::write(path(&directory, &object), b"the imagf").unwrap();
    let again = keep(&depot, b"the image");
    assert_eq!(contents.load().unwrap(), "the image");
    drop((kept, again));
}

#[test]
fn bytes_in_memory_were_compared() {
    let (directory, depot) = depot();
    let kept = keep(&depot, b"the image");
    let contents = depot.contents(kept.object());
    assert!(contents.held().is_none());
    assert_eq!(contents.load().unwrap(), "the image");
    assert_eq!(contents.held().unwrap(), "the image");
    // A size that is not the object's own is damage, whatever the digest.
    let other = Object { bytes: 8, ..kept.object() };
    assert!(matches!(depot.read(&other), Err(ObjectError::Damaged(_))));
    drop(directory);
}

#[test]
fn a_failed_upload_takes_its_objects_along_and_no_others() {
    let (directory, depot) = depot();
    drop(keep(&depot, b"failed"));
    assert_eq!(files(directory.path()).len(), 0);
    keep(&depot, b"stored").stored();
    // Another upload of the same bytes fails later.
    drop(keep(&depot, b"stored"));
    assert_eq!(files(directory.path()).len(), 1);
}

#[test]
fn an_upload_that_fails_leaves_what_another_stored_meanwhile() {
    let (directory, depot) = depot();
    let (first, second) = (keep(&depot, b"image"), keep(&depot, b"image"));
    second.stored();
    drop(first);
    assert_eq!(files(directory.path()).len(), 1);
    // If both fail, nothing stays.
    let (first, second) = (keep(&depot, b"other"), keep(&depot, b"other"));
    drop(first);
    assert_eq!(files(directory.path()).len(), 2);
    drop(second);
    assert_eq!(files(directory.path()).len(), 1);
}

#[test]
fn a_sweep_removes_only_what_nothing_refers_to() {
    let (directory, depot) = depot();
    let [lost, used] = [&b"lost"[..], b"used"].map(|bytes| {
        let kept = keep(&depot, bytes);
        let object = kept.object();
        kept.stored();
        object
    });
    let uploading = keep(&depot, b"uploading");
    let swept = depot.sweep(|sha256| *sha256 == used.sha256).unwrap();
    assert_eq!(swept, Swept { objects: 1, bytes: 4 });
    assert!(matches!(depot.read(&lost), Err(ObjectError::Missing(_))));
    assert_eq!(depot.read(&used).unwrap(), b"used");
    assert_eq!(depot.read(&uploading.object()).unwrap(), b"uploading");
    drop(directory);
}

#[test]
fn the_cache_holds_no_more_than_it_may() {
    let cache = Cache::new(10);
    let load = |bytes: &[u8]| cache.load(&sha256(bytes), || Ok(bytes.to_vec())).unwrap();
    load(b"aaaa");
    load(b"bbbb");
    load(b"aaaa");
    load(b"cccc");
    assert!(cache.get(&sha256(b"bbbb")).is_none(), "it was not asked for longest");
    assert!(cache.get(&sha256(b"aaaa")).is_some());
    load(b"more than ten bytes");
    assert!(cache.get(&sha256(b"more than ten bytes")).is_none());
    assert!(cache.get(&sha256(b"cccc")).is_some());
    let error = cache.load(&sha256(b"right"), || Ok(b"wrong".to_vec())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
