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

fn rows(store: &SledStore, prefix: &str) -> Vec<(String, String)> {
    let mut rows = vec![];
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    store.scan(prefix.as_bytes(), &mut |key, value| rows.push((text(key), text(value)))).unwrap();
    rows
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn rows_and_checkpoint_are_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let store = SledStore::open(&path).unwrap();
    assert_eq!(store.checkpoint().unwrap(), None);
    store.commit(vec![put("b", "2"), put("a", "1")], &checkpoint(5)).unwrap();
    store.commit(vec![(b"a".to_vec(), None), put("c", "")], &checkpoint(6)).unwrap();
    drop(store);
    let (store, moved) = SledStore::open_or_move_aside(&path).unwrap();
    assert_eq!(moved, None);
    assert_eq!(store.checkpoint().unwrap(), Some(checkpoint(6)));
    assert_eq!(rows(&store, ""), [pair("b", "2"), pair("c", "")]);
}

#[test]
fn a_scan_gives_only_the_rows_under_its_prefix_in_key_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let writes = vec![put("ab", "2"), put("b", "3"), put("aa", "1"), put("checkpoint", "4")];
    store.commit(writes, &checkpoint(1)).unwrap();
    assert_eq!(rows(&store, "a"), [pair("aa", "1"), pair("ab", "2")]);
    assert_eq!(rows(&store, "c"), [pair("checkpoint", "4")]);
    assert_eq!(store.checkpoint().unwrap(), Some(checkpoint(1)));
}

#[test]
fn a_cleared_store_is_empty_after_a_reopen_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    store.commit(vec![put("a", "1")], &checkpoint(1)).unwrap();
    store.clear().unwrap();
    drop(store);
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!((store.checkpoint().unwrap(), rows(&store, "")), (None, vec![]));
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
fn a_row_that_does_not_verify_is_an_error_and_the_store_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let store = SledStore::open(&path).unwrap();
    store.commit(vec![put("a", "1")], &checkpoint(1)).unwrap();
    store.db.insert(b"ra", b"\0\0\0\0altered").unwrap();
    let error = store.scan(b"", &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("`ra` does not verify"), "{error}");
    drop(store);
    let (store, moved) = SledStore::open_or_move_aside(&path).unwrap();
    assert_eq!(moved, Some(dir.path().join("read.damaged-1")));
    assert_eq!(store.checkpoint().unwrap(), None);
}

#[test]
fn a_byte_flipped_in_the_file_is_never_served_as_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read");
    let value = "a value that is long enough to be found in the file again".repeat(8);
    let store = SledStore::open(&path).unwrap();
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
    let (store, _) = SledStore::open_or_move_aside(&path).unwrap();
    let found = rows(&store, "");
    assert!(found.is_empty() || found == [pair("a", &value)], "{found:?}");
    assert_eq!(found.is_empty(), store.checkpoint().unwrap().is_none());
}
