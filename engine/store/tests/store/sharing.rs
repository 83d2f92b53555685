//! Chunks are stored once, and go when nobody needs them.

use std::time::Duration;

use intact_store::{Collection, Expected, StoreError};

use crate::desk::{chunk, document, draft, id, load, memory};

const AT_ONCE: Collection = Collection { grace: Duration::ZERO, dry_run: false };

#[test]
fn sessions_that_begin_alike_share_what_they_have_in_common() {
    let store = memory();
    let chunks = |own: u8| [chunk(0, 1000), chunk(own, 10)];
    for own in 1..=5 {
        let name = format!("session {own}");
        let document = document(&name, "hello");
        let saved = store.save(&draft(&name, &document, &chunks(own)), Expected::Absent).unwrap();
        assert_eq!(saved.shared_bytes, if own == 1 { 0 } else { 1000 }, "{saved:?}");
    }
    for own in 1..=5 {
        let name = format!("session {own}");
        assert_eq!(load(&store, &name), (document(&name, "hello"), chunks(own).to_vec()));
    }
    let statistics = store.statistics().unwrap();
    assert_eq!((statistics.sessions, statistics.shared_payloads), (5, 1));
    // 5 documents, 5 chunks of their own, 1 that they share.
    assert_eq!(statistics.payloads, 11);
    assert_eq!(statistics.session_bytes - statistics.payload_bytes, 4 * 1000);
}

#[test]
fn saving_again_stores_what_is_new_and_no_more() {
    let store = memory();
    let first = document("chat", "hello");
    store.save(&draft("chat", &first, &[chunk(0, 500), chunk(1, 500)]), Expected::Absent).unwrap();
    let second = document("chat", "hello again");
    let chunks = [chunk(0, 500), chunk(2, 500)];
    let saved = store.save(&draft("chat", &second, &chunks), Expected::Anything).unwrap();
    assert_eq!((saved.new_payloads, saved.new_bytes), (2, 500 + second.len() as u64));
    assert_eq!(load(&store, "chat"), (second, chunks.to_vec()));
}

#[test]
fn garbage_goes_and_what_a_session_needs_stays() {
    let store = memory();
    for (name, own) in [("one", 1), ("two", 2)] {
        let document = document(name, "hello");
        store.save(&draft(name, &document, &[chunk(0, 100), chunk(own, 10)]), Expected::Absent).unwrap();
    }
    let one = store.session(&id("one")).unwrap();
    assert!(store.remove(&id("one"), one.generation).unwrap());
    assert!(matches!(store.session(&id("one")), Err(StoreError::SessionNotFound { .. })));

    let dry = store.collect(Collection { dry_run: true, ..AT_ONCE }).unwrap();
    let young = store.collect(Collection::default()).unwrap();
    assert_eq!((young.removed, young.young), (0, 2), "an hour's grace is the default");
    let done = store.collect(AT_ONCE).unwrap();
    assert_eq!((dry.removed, dry.removed_bytes), (done.removed, done.removed_bytes));
    assert_eq!(done.removed_bytes, 10 + document("one", "hello").len() as u64);
    assert_eq!(load(&store, "two").1, [chunk(0, 100), chunk(2, 10)]);
    assert_eq!(store.collect(AT_ONCE).unwrap().removed, 0);
}

#[test]
fn a_chunk_that_is_neither_there_nor_brought_is_no_save() {
    let store = memory();
    let document = document("chat", "hello");
    let chunks = [chunk(0, 100)];
    let mut lacking = draft("chat", &document, &chunks);
    lacking.needs.push((chunk(9, 100).id(), 100));
    assert!(matches!(store.save(&lacking, Expected::Absent), Err(StoreError::NotSupplied { .. })));
    assert!(store.sessions().unwrap().is_empty());
}
