//! What a disk does to a store: damage, missing files, no permission, no room.

use std::fs;
use std::path::{Path, PathBuf};

use intact_store::{Expected, SessionStore, StoreError, plain};

use crate::desk::{chunk, document, draft, folder, id, load};

/// The file of a chunk.
fn file_of(root: &Path, chunk: &intact_format::image::Chunk<'_>) -> PathBuf {
    let name = chunk.id().to_string();
    root.join("chunks").join(&name[..2]).join(name)
}

#[test]
fn a_damaged_chunk_is_found_named_and_repaired_by_the_next_save() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(root.path());
    let chunks = [chunk(1, 1000), chunk(2, 1000)];
    let document = document("chat", "hello");
    store.save(&draft("chat", &document, &chunks), Expected::Absent).unwrap();
    assert!(store.verify(false, &plain).unwrap().is_sound());

    fs::write(file_of(root.path(), &chunks[1]), vec![9; 1000]).unwrap();
    let opened = store.session(&id("chat")).unwrap();
    let error = store.chunks(&opened, &[chunks[1].id()]).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

    let found = store.verify(true, &plain).unwrap();
    assert_eq!((found.damaged.len(), found.broken.len(), found.repaired), (1, 1, true));
    assert!(
        !store.verify(false, &plain).unwrap().is_sound(),
        "the session lacks a chunk until it is saved again"
    );
    store.save(&draft("chat", &document, &chunks), Expected::Anything).unwrap();
    assert!(store.verify(false, &plain).unwrap().is_sound());
    assert_eq!(load(&store, "chat").1, chunks);
}

#[test]
fn a_folder_without_a_store_is_no_store_and_a_newer_store_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_str().unwrap();
    let error = SessionStore::open(path).unwrap_err();
    assert!(matches!(error, StoreError::NoStore { .. }), "{error}");
    fs::write(root.path().join("store.json"), br#"{"version": 2, "new": true}"#).unwrap();
    for outcome in [SessionStore::open(path), SessionStore::create(path)] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("version 2") && error.contains("use a newer intact"), "{error}");
    }
}

#[test]
fn no_store_is_made_where_somebody_keeps_something_else() {
    let payload = "ab".repeat(32);
    for name in ["notes.txt", &format!("chunks/ab/{payload}"), "sessions/x/1.json", "a/b/c"] {
        let root = tempfile::tempdir().unwrap();
        let (path, file) = (root.path().to_str().unwrap(), root.path().join(name));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "somebody's").unwrap();
        let error = SessionStore::create(path).unwrap_err();
        assert!(matches!(&error, StoreError::Occupied { found, .. } if found == name), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"somebody's");
        assert!(!root.path().join("store.json").exists());
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("store.json#1"), "{").unwrap();
    SessionStore::create(root.path().to_str().unwrap())
        .expect("a process was killed while it made this store");
}

#[test]
fn a_store_goes_on_past_what_others_put_in_its_folder() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(root.path());
    let document = document("chat", "hello");
    store.save(&draft("chat", &document, &[chunk(1, 10)]), Expected::Absent).unwrap();
    for name in ["notes.txt", "chunks/README", "chunks/zz/file", "sessions/x/1.json", "intents/.DS_Store"] {
        let file = root.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, b"not the store's").unwrap();
    }
    assert_eq!(store.sessions().unwrap().len(), 1);
    assert!(store.verify(false, &plain).unwrap().is_sound());
    store.collect(intact_store::Collection { grace: std::time::Duration::ZERO, dry_run: false }).unwrap();
    assert_eq!(load(&store, "chat").0, document);
    assert!(root.path().join("chunks/README").exists());
}

#[test]
fn of_a_session_that_cannot_be_read_nothing_is_removed_that_may_be_its_own() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(root.path());
    for name in ["one", "two"] {
        let document = document(name, "hello");
        store.save(&draft(name, &document, &[chunk(1, 100)]), Expected::Absent).unwrap();
    }
    let head = fs::read_dir(root.path().join("sessions")).unwrap().next().unwrap().unwrap().path();
    fs::write(head.join("000000000001.json"), b"{}").unwrap();
    let everything = intact_store::Collection { grace: std::time::Duration::ZERO, dry_run: false };
    let collected = store.collect(everything).unwrap();
    assert_eq!((collected.removed, collected.unreadable.len()), (0, 1), "{collected:?}");
    assert!(collected.unreadable[0].why.contains("000000000001.json cannot be read: it is damaged"));
    assert_eq!(fs::read_dir(root.path().join("sweeps")).unwrap().count(), 0, "it announces nothing any more");

    // What was stored afterwards is not its own.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let later = chunk(2, 100);
    let document = document("three", "hello");
    store.save(&draft("three", &document, std::slice::from_ref(&later)), Expected::Absent).unwrap();
    store.save(&draft("three", &document, &[]), Expected::Anything).unwrap();
    assert_eq!(store.collect(everything).unwrap().removed, 1);
    assert!(!file_of(root.path(), &later).exists());

    // Of a newer program's session nobody knows what it needs and how it says so.
    fs::write(head.join("000000000001.json"), br#"{"version": 2}"#).unwrap();
    let error = store.collect(everything).unwrap_err();
    assert!(matches!(error, StoreError::Document { .. }), "{error}");
}
