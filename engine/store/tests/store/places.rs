//! The store as a place for the engine, and the way between it and files.

use std::fs;
use std::time::Duration;

use intact_format::image::sidecar::SidecarWriter;
use intact_format::image::{Chunk, Durable, ImageReference};
use intact_format::message::{Message, Role};
use intact_format::place::{Replaces, SessionSink, SessionSource, Shelf};
use intact_format::route::RefusalCode;
use intact_format::session::{self, SessionDocument};
use intact_format::version::FormatVersion;
use intact_seal::{Keys, Lock, SealOptions, SealedShelf};
use intact_store::{Collection, Expected, StoreError, StoreShelf, plain};

use crate::desk::{chunk, folder, id, load, memory};

fn image(chunks: &[Chunk<'_>]) -> ImageReference {
    ImageReference::opaque(chunks.iter().map(Chunk::entry), "a test")
}

/// A document that refers to these chunks.
fn document(said: &str) -> Vec<u8> {
    let mut document = SessionDocument::new(id("chat"));
    document.history.push(Message::new(0, Role::User, said));
    session::write(&document, FormatVersion::CURRENT).expect("written").bytes
}

#[test]
fn a_place_keeps_a_save_and_asks_for_nothing_twice() {
    let store = memory();
    let chunks = [chunk(1, 100), chunk(2, 200)];
    let mut sink = store.sink(id("chat"), Expected::Absent);
    for chunk in &chunks {
        assert!(!sink.holds(chunk.id(), chunk.payload().len() as u64).unwrap());
        sink.put(chunk).unwrap();
    }
    assert!(store.session(&id("chat")).is_err(), "nothing is there before the commit");
    sink.commit(&document("one"), Some(&image(&chunks))).unwrap();
    let first = sink.saved().unwrap();

    let more = [chunk(1, 100), chunk(2, 200), chunk(3, 300)];
    let mut sink = store.sink(id("chat"), Expected::At(first.generation));
    let missing: Vec<_> =
        more.iter().filter(|chunk| !sink.holds(chunk.id(), chunk.payload().len() as u64).unwrap()).collect();
    assert_eq!(missing, [&more[2]]);
    sink.put(missing[0]).unwrap();
    let second = document("two");
    let committed = sink.commit(&second, Some(&image(&more))).unwrap();
    assert_eq!(committed.bytes, 300 + second.len() as u64);

    let mut source = store.source(id("chat"));
    assert_eq!(source.document().unwrap(), second);
    source.locate(&image(&more)).unwrap();
    let mut payload = vec![0; 300];
    source.read(more[2].id(), &mut payload).unwrap();
    assert_eq!(payload, more[2].payload());
    assert!(source.locate(&image(&[chunk(9, 10)])).is_err());
}

#[test]
fn of_a_large_image_some_chunks_are_in_memory_and_the_others_are_stored_ahead() {
    let store = memory();
    let chunks: Vec<_> = (0..40).map(|number| chunk(number, 1 << 20)).collect();
    let put = |sink: &mut dyn SessionSink| {
        for chunk in &chunks {
            sink.put(chunk).unwrap();
            assert_eq!(sink.put(chunk).unwrap(), 0, "a second time");
        }
    };
    let mut sink = store.sink(id("chat"), Expected::Absent);
    put(&mut sink);
    let ahead = store.statistics().unwrap().unused_bytes >> 20;
    assert!((20..40).contains(&ahead), "{ahead} MiB are stored before the commit");
    let now = Collection { grace: Duration::ZERO, dry_run: false };
    assert_eq!(store.collect(now).unwrap().removed, 0, "they are relied on");
    sink.commit(&document("one"), Some(&image(&chunks))).unwrap();
    let saved = sink.saved().unwrap();
    assert_eq!((saved.new_payloads, saved.shared_payloads), (41, 0));
    drop(sink);
    let mut source = store.source(id("chat"));
    source.document().unwrap();
    source.locate(&image(&chunks)).unwrap();
    assert_eq!(store.collect(now).unwrap().removed, 0);

    let mut sink = store.sink(id("other"), Expected::Absent);
    chunks.iter().for_each(|one| drop(sink.put(&Chunk::new([one.payload(), b"x"].concat()))));
    drop(sink);
    assert!(store.collect(now).unwrap().removed > 20, "what was given up is garbage");
    assert_eq!(store.sessions().unwrap().len(), 1);
}

#[test]
fn a_save_that_is_given_up_leaves_no_trace() {
    let store = memory();
    let before = {
        let mut sink = store.sink(id("chat"), Expected::Absent);
        sink.put(&chunk(1, 100)).unwrap();
        sink.commit(&document("one"), Some(&image(&[chunk(1, 100)]))).unwrap();
        store.statistics().unwrap()
    };
    let mut sink = store.sink(id("chat"), Expected::Anything);
    assert!(sink.holds(chunk(1, 100).id(), 100).unwrap());
    assert_ne!(store.statistics().unwrap(), before, "what it relies on is announced");
    drop(sink);
    assert_eq!(store.statistics().unwrap(), before);
}

#[test]
fn a_session_goes_from_files_into_a_store_and_back_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    let chunks = [chunk(1, 3000), chunk(2, 500)];
    let mut document = SessionDocument::new(id("chat"));
    document.image = None;
    document.history.push(Message::new(0, Role::User, "hello"));
    let bytes = session::write(&document, FormatVersion::CURRENT).unwrap().bytes;
    let file = folder.path().join("chat.json");
    fs::write(&file, &bytes).unwrap();
    SidecarWriter::open(folder.path().join("chat.kv"), Durable::default()).unwrap().append(&chunks).unwrap();

    let store = memory();
    let (session, _) = store.import(&file, Expected::Absent, &plain).unwrap();
    assert_eq!((session, load(&store, "chat").0), (id("chat"), bytes.clone()));
    let error = store.import(&file, Expected::Absent, &plain).unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");

    let back = folder.path().join("back.json");
    let exported = store.export(&id("chat"), &back, Replaces::Nothing, &plain).unwrap();
    assert_eq!(exported.files, std::slice::from_ref(&back));
    assert_eq!(fs::read(back).unwrap(), bytes);
}

#[test]
fn a_store_is_a_shelf_for_plain_sessions_and_for_sealed_ones() {
    let lock = Lock::passphrase("correct horse").unwrap();
    let options = SealOptions { lock: Some(lock), ..SealOptions::default() };
    let keys = Keys::default().with_passphrase("correct horse").unwrap();
    let mut sealed = SealedShelf::new(StoreShelf::new(memory()), options, keys);
    let mut plain = StoreShelf::new(memory());
    let shelves: [&mut dyn Shelf; 2] = [&mut plain, &mut sealed];
    for shelf in shelves {
        assert!(shelf.source(&id("chat")).unwrap().is_none());
        let chunks = [chunk(1, 100), chunk(2, 200)];
        let mut sink = shelf.sink(&id("chat")).unwrap();
        for chunk in &chunks {
            sink.put(chunk).unwrap();
        }
        sink.commit(&document("one"), Some(&image(&chunks))).unwrap();
        drop(sink);
        let mut sink = shelf.sink(&id("chat")).unwrap();
        assert!(sink.holds(chunks[1].id(), 200).unwrap());
        drop(sink);
        let mut source = shelf.source(&id("chat")).unwrap().unwrap();
        assert_eq!(source.document().unwrap(), document("one"));
        source.locate(&image(&chunks)).unwrap();
        let mut payload = vec![0; 200];
        source.read(chunks[1].id(), &mut payload).unwrap();
        assert_eq!(payload, chunks[1].payload());
    }
}

#[test]
fn two_who_keep_one_session_on_a_shelf_do_not_lose_each_others_saves() {
    let lock = Lock::passphrase("correct horse").unwrap();
    let options = SealOptions { lock: Some(lock), ..SealOptions::default() };
    let keys = Keys::default().with_passphrase("correct horse").unwrap();
    for is_sealed in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let [mut one, mut other] = [(); 2].map(|()| -> Box<dyn Shelf> {
            let shelf = StoreShelf::new(folder(place.path()));
            match is_sealed {
                true => Box::new(SealedShelf::new(shelf, options.clone(), keys.clone())),
                false => Box::new(shelf),
            }
        });
        let save = |shelf: &mut dyn Shelf, said: &str| {
            let committed = shelf.sink(&id("chat")).unwrap().commit(&document(said), None);
            committed.map(drop).map_err(|error| (error.code, error.to_string()))
        };
        let read = |shelf: &mut dyn Shelf| shelf.source(&id("chat")).unwrap().unwrap().document().unwrap();
        save(&mut *one, "first").unwrap();
        let (code, said) = save(&mut *other, "lost").unwrap_err();
        assert!(code == Some(RefusalCode::FileExists) && said.contains("`chat`"), "{code:?} {said}");
        assert_eq!(read(&mut *other), document("first"));
        save(&mut *other, "second").unwrap();
        save(&mut *other, "third").unwrap();
        let (code, said) = save(&mut *one, "lost").unwrap_err();
        assert!(code == Some(RefusalCode::FileChanged) && said.contains("somebody else"), "{code:?} {said}");
        assert_eq!(read(&mut *one), document("third"));

        let third = folder(place.path()).session(&id("chat")).unwrap().generation;
        assert!(folder(place.path()).remove(&id("chat"), third).unwrap());
        let (code, _) = save(&mut *one, "lost").unwrap_err();
        assert_eq!(code, Some(RefusalCode::FileChanged), "what was removed stays so");
        assert!(one.source(&id("chat")).unwrap().is_none());
        save(&mut *one, "anew").unwrap();
    }
}
