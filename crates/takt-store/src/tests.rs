//! The contract of a read store, held by sled, and what happens when the disk lies.

use super::*;

fn checkpoint(seq: u64) -> Checkpoint {
    Checkpoint {
        log: Uuid::from_u128(7),
        version: 3,
        seq,
        id: Uuid::from_u128(u128::from(seq)),
        digest: [9; 32],
    }
}

fn put(key: &str, value: &str) -> Write {
    (key.into(), Some(value.into()))
}

fn rows(store: &SledStore) -> Vec<(String, String)> {
    let mut rows = vec![];
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    store.load(&mut |key, value| rows.push((text(key), text(value)))).unwrap();
    rows
}

fn open(dir: &Path) -> SledStore {
    SledStore::open(dir).unwrap().0
}

/// Changes the database behind the store's back.
fn db(store: &SledStore) -> sled::Db {
    store.lock().as_ref().unwrap().db.clone()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn rows_and_checkpoint_are_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let store = open(&path);
    assert_eq!(store.checkpoint().unwrap(), None);
    store.commit(vec![put("b", "2"), put("a", "1")], &checkpoint(5)).unwrap();
    store.commit(vec![(b"a".to_vec(), None), put("c", ""), put("b", "3")], &checkpoint(6)).unwrap();
    drop(store);
    let (store, moved) = SledStore::open(&path).unwrap();
    assert_eq!(moved, None);
    assert_eq!(store.checkpoint().unwrap(), Some(checkpoint(6)));
    assert_eq!(rows(&store), [pair("b", "3"), pair("c", "")]);
}

#[test]
fn a_row_that_is_called_checkpoint_does_not_take_the_checkpoints_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("read"));
    store.commit(vec![put("checkpoint", "4"), put("a", "1")], &checkpoint(1)).unwrap();
    assert_eq!(rows(&store), [pair("a", "1"), pair("checkpoint", "4")]);
    assert_eq!(store.checkpoint().unwrap(), Some(checkpoint(1)));
}

#[test]
fn a_store_that_was_reset_is_empty_and_works_and_what_is_damaged_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let store = open(&path);
    for damaged in [false, true] {
        store.commit(vec![put("a", "1")], &checkpoint(1)).unwrap();
        let aside = damaged.then(|| dir.path().join("read.damaged-1"));
        assert_eq!(store.reset(damaged).unwrap(), aside);
        assert_eq!((store.checkpoint().unwrap(), rows(&store)), (None, vec![]));
    }
    store.commit(vec![put("b", "2")], &checkpoint(2)).unwrap();
    drop(store);
    assert_eq!(rows(&open(&path)), [pair("b", "2")]);
    assert_eq!(rows(&open(&dir.path().join("read.damaged-1"))), [pair("a", "1")]);
}

#[test]
fn a_value_under_another_name_or_altered_does_not_verify() {
    let sealed = seal(b"a", b"value");
    assert_eq!(open_value(b"a", &sealed).unwrap(), b"value");
    assert!(open_value(b"b", &sealed).is_err());
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        assert!(open_value(b"a", &altered).is_err(), "byte {place}");
    }
}

#[test]
fn rows_that_are_altered_lost_or_older_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let store = open(&path);
    store.commit(vec![put("a", "1"), put("b", "2")], &checkpoint(1)).unwrap();
    let older = db(&store).get(b"ra").unwrap().unwrap();
    store.commit(vec![put("a", "3")], &checkpoint(2)).unwrap();
    let newer = db(&store).get(b"ra").unwrap().unwrap();
    let fault = |store: &SledStore| store.load(&mut |_, _| {}).unwrap_err().to_string();

    db(&store).insert(b"ra", b"\0\0\0\0altered").unwrap();
    assert!(fault(&store).contains("`ra` does not verify"), "{}", fault(&store));
    db(&store).insert(b"ra", older).unwrap();
    assert!(fault(&store).contains("2 rows are not the 2"), "{}", fault(&store));
    db(&store).remove(b"ra").unwrap();
    assert!(fault(&store).contains("1 rows are not the 2"), "{}", fault(&store));
    db(&store).insert(b"ra", newer).unwrap();
    assert_eq!(rows(&store), [pair("a", "3"), pair("b", "2")]);
}

#[test]
fn a_byte_flipped_in_the_file_is_never_served_as_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let value = "a value that is long enough to be found in the file again".repeat(8);
    let store = open(&path);
    store.commit(vec![put("a", &value)], &checkpoint(1)).unwrap();
    drop(store);
    let file = path.join("db");
    let mut bytes = std::fs::read(&file).unwrap();
    let needle = b"long enough";
    let places: Vec<usize> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at] ^= 0x20);
    std::fs::write(&file, bytes).unwrap();
    let (store, _) = SledStore::open(&path).unwrap();
    let mut found = vec![];
    let loaded = store.load(&mut |_, value| found.push(value.to_vec()));
    let none = store.checkpoint().unwrap().is_none() && found.is_empty();
    assert!(loaded.is_err() || none, "{found:?}");
}
