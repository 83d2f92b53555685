//! Sealed sessions in a store: kept, listed, checked and taken out without a key, opened with it.

use std::fs;
use std::time::Duration;

use intact_format::image::{Chunk, Durable, ImageReference};
use intact_format::place::{FileSink, PlaceError, Replaces, SessionSink};
use intact_format::session;
use intact_format::version::FormatVersion;
use intact_seal::{Keys, Lock, Opened, SealOptions, SealedSink, Sealer};
use intact_store::{
    Collection, Contents, Expected, ReadContents, Retention, SessionStore, StoreError, Summary, plain,
};

use crate::desk::{chunk, id, load, memory};

/// A session of the newest format, with everything that a session has.
const GOLDEN: &[u8] = include_bytes!("../../../../fixtures/golden/session-2.0.json");
const PASSPHRASE: &str = "correct horse";

/// Saves a sealed session under a name, which is its id where all is right.
fn save(sink: impl SessionSink, session: &str, chunks: &[Chunk<'_>]) {
    let lock = Some(Lock::passphrase(PASSPHRASE).expect("not empty"));
    let mut sealer = Sealer::new(SealOptions { lock, ..SealOptions::default() }).expect("a sealer");
    let mut document = session::read(GOLDEN, FormatVersion::CURRENT).expect("a session").document;
    document.session_id = id(session);
    let image = ImageReference::opaque(chunks.iter().map(Chunk::entry), "a test");
    document.image = Some(image.clone());
    let document = session::write(&document, FormatVersion::CURRENT).expect("written").bytes;
    let mut sink = SealedSink::new(&mut sealer, sink);
    chunks.iter().for_each(|chunk| {
        sink.put(chunk).expect("put");
    });
    sink.commit(&document, Some(&image)).expect("saved");
}

/// Opens documents with a passphrase, and nothing that is not sealed.
fn with(passphrase: &str) -> impl Fn(&[u8]) -> Result<Contents, PlaceError> + Sync {
    let keys = Keys::default().with_passphrase(passphrase).expect("not empty");
    move |document| {
        let opened = Opened::read(document.to_vec(), &keys, true)?;
        let contents = plain(opened.document())?;
        let image = contents.image.map(|image| opened.stored_image(&image)).transpose()?;
        Ok(Contents { image, summary: Summary::default(), ..contents })
    }
}

fn closed(document: &[u8]) -> Result<Contents, PlaceError> {
    Err(Opened::read(document.to_vec(), &Keys::default(), false).expect_err("no key opens it").into())
}

fn store() -> SessionStore {
    let store = memory();
    save(store.sink(id("chat"), Expected::Absent), "chat", &[chunk(1, 100), chunk(2, 200)]);
    store
}

#[test]
fn hashes_are_checked_without_a_key_and_documents_with_it() {
    let store = store();
    let keyless: [&ReadContents<'_>; 2] = [&closed, &with("battery staple")];
    for contents_of in keyless {
        let found = store.verify(false, contents_of).unwrap();
        assert!(found.is_sound(), "{found:?}");
        assert_eq!((found.sessions, found.payloads, found.closed), (1, 3, [id("chat")].into()));
    }
    let found = store.verify(false, &with(PASSPHRASE)).unwrap();
    assert!(found.is_sound() && found.closed.is_empty(), "{found:?}");
}

#[test]
fn a_session_in_the_place_of_another_is_found_with_the_key() {
    let store = store();
    save(store.sink(id("ada"), Expected::Absent), "chat", &[chunk(1, 100)]);
    let found = store.verify(false, &with(PASSPHRASE)).unwrap();
    let broken: Vec<_> = found.broken.into_iter().collect();
    assert_eq!(broken, [(id("ada"), "its document is of session `chat`".to_owned())]);
    let folder = tempfile::tempdir().unwrap();
    let refused = store
        .export(&id("ada"), &folder.path().join("ada.json"), Replaces::Nothing, &with(PASSPHRASE))
        .unwrap_err();
    assert!(matches!(refused, StoreError::OtherSession { .. }), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_session_whose_encryption_was_removed_is_broken_where_only_sealed_ones_are_accepted() {
    let store = store();
    let plain_one = crate::desk::document("ada", "hello");
    store.save(&crate::desk::draft("ada", &plain_one, &[]), Expected::Absent).unwrap();
    let found = store.verify(false, &with(PASSPHRASE)).unwrap();
    assert!(found.broken[&id("ada")].contains("not encrypted"), "{found:?}");
}

#[test]
fn a_session_comes_out_as_it_is_stored_with_and_without_a_key_and_goes_in_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.json");
    save(
        FileSink::new(&file, Replaces::Nothing, Durable::default()),
        "chat",
        &[chunk(1, 100), chunk(2, 200)],
    );
    let store = memory();
    let refused = store.import(&file, Expected::Absent, &closed).unwrap_err();
    assert!(matches!(refused, StoreError::SessionFile { .. }), "{refused}");
    let (session, saved) = store.import(&file, Expected::Absent, &with(PASSPHRASE)).unwrap();
    assert_eq!((session, saved.new_payloads), (id("chat"), 3));
    assert_eq!(load(&store, "chat").0, fs::read(&file).unwrap());

    let (keyless, keyed): (&ReadContents<'_>, _) = (&closed, with(PASSPHRASE));
    for (name, contents_of) in [("a", keyless), ("b", &keyed)] {
        let out = folder.path().join(name).with_extension("json");
        assert_eq!(store.export(&id("chat"), &out, Replaces::Session, contents_of).unwrap().files.len(), 2);
        for extension in ["json", "kv"] {
            let [one, other] = [&file, &out].map(|file| fs::read(file.with_extension(extension)).unwrap());
            assert_eq!(one.len(), other.len(), "{name}.{extension}");
        }
        assert_eq!(fs::read(&file).unwrap(), fs::read(&out).unwrap());
    }
}

#[test]
fn sealed_sessions_are_listed_by_the_time_of_their_save_and_pruned_and_collected_without_a_key() {
    let store = memory();
    let old = crate::desk::document("old", "hello");
    let then = Summary { saved_at: Some("2001-01-01T00:00:00Z".parse().unwrap()), ..Summary::default() };
    let draft = intact_store::Draft { summary: then, ..crate::desk::draft("old", &old, &[]) };
    store.save(&draft, Expected::Absent).unwrap();
    save(store.sink(id("sealed"), Expected::Absent), "sealed", &[chunk(1, 100)]);
    let listed: Vec<_> = store.sessions().unwrap().into_iter().map(|entry| entry.session).collect();
    assert_eq!(listed, [id("sealed"), id("old")]);
    let summary = store.session(&id("sealed")).unwrap().summary;
    assert_eq!(
        (summary.messages, summary.tokens, summary.model),
        (None, None, None),
        "nothing of its content"
    );

    let latest = Retention { sessions: Some(1), ..Retention::default() };
    assert_eq!(store.prune(&latest, false).unwrap().removed[0].session, id("old"));
    let none = Retention { sessions: Some(0), ..Retention::default() };
    store.prune(&none, false).unwrap();
    store.collect(Collection { grace: Duration::ZERO, dry_run: false }).unwrap();
    assert_eq!(store.statistics().unwrap().payloads + store.statistics().unwrap().unused_payloads, 0);
}
