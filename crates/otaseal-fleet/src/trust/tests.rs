use super::*;
use crate::intake::tests::row;
use crate::testing::signed::{key, other, public};
use otaseal::policy::published_keys::published_at;
use tempfile::TempDir;

fn list() -> (TempDir, TrustList) {
    let directory = tempfile::tempdir().unwrap();
    let list = TrustList::open(directory.path().join("keys")).unwrap();
    (directory, list)
}

fn again(directory: &TempDir) -> TrustList {
    TrustList::open(directory.path().join("keys")).unwrap()
}

fn ids(list: &TrustList) -> Vec<KeyId> {
    list.keys().map(PublicKey::id).collect()
}

fn release(id: u32, key: KeyId, offered: Offered) -> ReleaseRow {
    ReleaseRow { id: ReleaseId(id), key_id: Some(key.to_string()), offered, ..row() }
}

#[test]
fn a_key_is_trusted_until_it_is_removed() {
    let (directory, mut list) = list();
    assert!(matches!(list.trust(Unsigned::Refuse), Trust::Keys(keys) if keys.is_empty()));
    let key = other();
    let id = list.add(key.to_spki_pem().as_bytes(), Faults::Refuse).unwrap();
    assert_eq!(list.add(key.to_spki_der(), Faults::Refuse).unwrap(), id);
    assert_eq!((ids(&list), ids(&again(&directory))), (vec![id], vec![id]));
    let file = directory.path().join(format!("keys/{id}.pem"));
    assert_eq!(fs::read_to_string(&file).unwrap(), key.to_spki_pem());
    assert!(matches!(list.trust(Unsigned::Allow), Trust::Unsigned(keys) if keys == [key]));
    list.remove(id, Removal::UnlessUsed(&[])).unwrap();
    assert!(ids(&list).is_empty() && ids(&again(&directory)).is_empty() && !file.exists());
    assert!(matches!(list.remove(id, Removal::Anyway), Err(TrustError::Unknown(_))));
}

#[test]
fn what_is_no_public_key_is_refused() {
    let (directory, mut list) = list();
    let private = key().to_pkcs8_pem().unwrap();
    for bytes in [&private[..], b"", b"no key", &[0x30, 0x82][..], &vec![b'A'; MAX_KEY]] {
        assert!(matches!(list.add(bytes, Faults::Accept), Err(TrustError::Key(_))));
    }
    assert_eq!(fs::read_dir(directory.path().join("keys")).unwrap().count(), 0);
}

#[test]
fn a_published_key_is_trusted_only_on_purpose() {
    let (_directory, mut list) = list();
    assert!(published_at(public().id()).is_some());
    let pem = public().to_spki_pem();
    let error = list.add(pem.as_bytes(), Faults::Refuse).unwrap_err();
    assert!(matches!(error, TrustError::Faulty { .. }), "{error}");
    assert!(ids(&list).is_empty());
    list.add(pem.as_bytes(), Faults::Accept).unwrap();
    assert_eq!(ids(&list), [public().id()]);
}

#[test]
fn a_key_that_releases_depend_on_stays() {
    let (_directory, mut list) = list();
    let (one, two) = (other(), other());
    list.add(one.to_spki_der(), Faults::Refuse).unwrap();
    let rows = [
        release(1, one.id(), Offered::Withdrawn),
        release(2, two.id(), Offered::Yes),
        release(3, one.id(), Offered::Yes),
        row(),
    ];
    let error = list.remove(one.id(), Removal::UnlessUsed(&rows)).unwrap_err();
    assert!(matches!(&error, TrustError::Used { releases, .. } if *releases == [ReleaseId(3)]), "{error}");
    assert_eq!(ids(&list), [one.id()]);
    // Who finds that a key is stolen does not wait.
    list.remove(one.id(), Removal::Anyway).unwrap();
    assert!(ids(&list).is_empty());
    list.add(one.to_spki_der(), Faults::Refuse).unwrap();
    list.remove(one.id(), Removal::UnlessUsed(&rows[..2])).unwrap();
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_not_trusted() {
    let (directory, mut list) = list();
    let (mine, stranger) = (other(), other());
    list.add(mine.to_spki_der(), Faults::Refuse).unwrap();
    let keys = directory.path().join("keys");
    let path = keys.join(format!("{}.pem", mine.id()));
    // Somebody puts another key in place of ours.
    fs::write(&path, stranger.to_spki_pem()).unwrap();
    fs::write(keys.join("mine.pem"), stranger.to_spki_pem()).unwrap();
    fs::write(keys.join("README"), "what this is\x1b[2J").unwrap();
    fs::write(keys.join("large.pem"), vec![b'x'; MAX_KEY + 1]).unwrap();
    fs::create_dir(keys.join(format!("{}.pem", stranger.id()))).unwrap();
    let mut list = again(&directory);
    assert_eq!(ids(&list), []);
    assert_eq!(list.ignored().len(), 5, "{:?}", list.ignored());
    assert!(!list.ignored().iter().any(|ignored| ignored.why.chars().any(char::is_control)));
    // Adding the key again mends its file.
    list.add(mine.to_spki_der(), Faults::Refuse).unwrap();
    assert_eq!(list.ignored().len(), 4);
    assert_eq!(ids(&again(&directory)), [mine.id()]);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_folder_stops_nothing() {
    let (directory, _) = list();
    let made = std::process::Command::new("mkfifo").arg(directory.path().join("keys/a.pem")).status();
    assert!(made.unwrap().success());
    assert_eq!(again(&directory).ignored().len(), 1);
}
