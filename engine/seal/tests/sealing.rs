//! What is sealed opens again, for whom it was sealed and for nobody else; what was changed does not open.

use std::collections::BTreeMap;

use age::secrecy::ExposeSecret;
use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{Memory, PlaceError, SessionSink, SessionSource};
use intact_format::route::RefusalCode;
use intact_seal::{
    Compression, Form, KeyError, Keys, Lock, Opened, SealError, SealOptions, SealedSink, SealedSource,
    Sealer, Sharing, generate,
};
use proptest::prelude::*;

const DOCUMENT: &str = r#"{"FormatVersion":"2.0","SessionId":"ada-and-the-engine","History":[]}"#;

/// An image of opaque chunks with these payloads.
fn image(payloads: &[Vec<u8>]) -> (ImageReference, Vec<Chunk<'static>>) {
    let chunks: Vec<_> = payloads.iter().cloned().map(Chunk::new).collect();
    (ImageReference::opaque(chunks.iter().map(Chunk::entry), "a test"), chunks)
}

fn payloads() -> Vec<Vec<u8>> {
    let byte = |seed: u8| move |i: u32| (i / 7).to_le_bytes()[0] ^ seed;
    (0..3).map(|seed| (0..2000).map(byte(seed)).collect()).collect()
}

fn key() -> (Keys, Lock) {
    let (file, recipient) = generate();
    (keys(file.expose_secret()), Lock::recipients(vec![recipient]).expect("one"))
}

fn keys(file: &str) -> Keys {
    Keys::default().with_identities(file.as_bytes()).expect("a key file")
}

fn sealed_for(lock: Lock) -> SealOptions {
    SealOptions { lock: Some(lock), ..SealOptions::default() }
}

fn compressed() -> SealOptions {
    SealOptions { compression: Compression::Zstd, ..SealOptions::default() }
}

/// Saves; gives how many chunks were stored.
fn save(sealer: &mut Sealer, shelf: &mut Memory, payloads: &[Vec<u8>]) -> usize {
    let (image, chunks) = image(payloads);
    let before = shelf.chunks.len();
    let mut sink = SealedSink::new(sealer, &mut *shelf);
    for chunk in &chunks {
        sink.put(chunk).expect("it can be put");
    }
    sink.commit(DOCUMENT.as_bytes(), Some(&image)).expect("it can be committed");
    shelf.chunks.len() - before
}

fn saved(options: SealOptions, payloads: &[Vec<u8>]) -> Memory {
    let mut shelf = Memory::default();
    save(&mut Sealer::new(options).expect("a sealer"), &mut shelf, payloads);
    shelf
}

fn read(shelf: &Memory, keys: &Keys, payloads: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, PlaceError> {
    let mut shelf = shelf.clone();
    let mut source = SealedSource::open(&mut shelf, keys, false)?;
    assert_eq!(source.document()?, DOCUMENT.as_bytes());
    let (image, chunks) = image(payloads);
    source.locate(&image)?;
    let read = chunks.iter().map(|chunk| {
        let mut payload = vec![0; chunk.payload().len()];
        source.read(chunk.id(), &mut payload).map(|()| payload)
    });
    read.collect()
}

fn assert_opens(shelf: &Memory, keys: &Keys, payloads: &[Vec<u8>]) {
    assert_eq!(read(shelf, keys, payloads).expect("it opens"), payloads);
}

fn refusal(shelf: &Memory, keys: &Keys, sealed_only: bool) -> SealError {
    Opened::read(shelf.document.clone(), keys, sealed_only).expect_err("it must not open")
}

#[test]
fn a_session_sealed_for_a_recipient_opens_with_that_key_alone() {
    let (own, lock) = key();
    let shelf = saved(sealed_for(lock), &payloads());
    assert_eq!(Form::of(&shelf.document), Form::Sealed);
    assert_opens(&shelf, &own, &payloads());

    let (other, _) = key();
    assert!(matches!(refusal(&shelf, &other, true), SealError::KeyWrong { .. }));
    assert!(matches!(refusal(&shelf, &Keys::default(), false), SealError::KeyMissing { .. }));
    let passphrase = Keys::default().with_passphrase("correct horse").expect("not empty");
    assert!(matches!(refusal(&shelf, &passphrase, true), SealError::KeyMissing { .. }));
}

#[test]
fn a_session_sealed_with_a_passphrase_opens_with_it() {
    let lock = Lock::passphrase("correct horse").expect("not empty");
    let shelf = saved(sealed_for(lock), &payloads());
    let keys = Keys::default().with_passphrase("battery staple").expect("not empty");
    assert!(matches!(refusal(&shelf, &keys, true), SealError::KeyWrong { .. }));
    let keys = keys.with_passphrase("correct horse").expect("not empty");
    assert_opens(&shelf, &keys, &payloads());
}

#[test]
fn every_recipient_can_open_it() {
    let ((one, first), (two, second)) = (generate(), generate());
    let shelf = saved(sealed_for(Lock::recipients(vec![first, second]).expect("two")), &payloads());
    assert_opens(&shelf, &keys(one.expose_secret()), &payloads());
    assert_opens(&shelf, &keys(two.expose_secret()), &payloads());
}

#[test]
fn a_sealed_session_shows_nothing_of_its_content() {
    let (_, lock) = key();
    let text = b"The secret ingredient is love, and the session is called ada-and-the-engine.".repeat(30);
    let shelf = saved(sealed_for(lock), std::slice::from_ref(&text));
    for bytes in shelf.chunks.values().chain([&shelf.document]) {
        for word in [&b"ada-and"[..], b"secret ingredient", b"FormatVersion", b"History"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word));
        }
    }
    // Not even to somebody who can guess a chunk: its own hash is nowhere.
    assert!(!shelf.chunks.contains_key(&Chunk::new(text).id()));
}

#[test]
fn a_session_that_is_not_sealed_is_refused_where_only_sealed_ones_are_accepted() {
    let plain = Memory { document: DOCUMENT.as_bytes().to_vec(), chunks: BTreeMap::new() };
    assert!(matches!(refusal(&plain, &Keys::default(), true), SealError::NotSealed));
    let compressed = saved(compressed(), &payloads());
    assert!(matches!(refusal(&compressed, &Keys::default(), true), SealError::NotSealed));
}

#[test]
fn chunks_cannot_be_swapped_changed_or_taken_from_another_session() {
    let (keys, lock) = key();
    let shelf = saved(sealed_for(lock.clone()), &payloads());
    let stranger = saved(sealed_for(lock), &payloads());
    let stored: Vec<ChunkId> = shelf.chunks.keys().copied().collect();
    let mut flipped = shelf.chunks[&stored[0]].clone();
    flipped[40] ^= 1;
    let another = shelf.chunks[&stored[1]].clone();
    let strange = stranger.chunks.values().next().expect("a chunk").clone();
    let zeros = vec![0; another.len()];
    for wrong in [another, flipped, strange, zeros] {
        let mut shelf = shelf.clone();
        shelf.chunks.insert(stored[0], wrong);
        let refused = read(&shelf, &keys, &payloads()).expect_err("not this chunk");
        assert_eq!(refused.code, Some(RefusalCode::ImageDamaged), "{refused}");
    }
}

#[test]
fn sessions_share_chunks_only_where_they_are_told_to() {
    let (keys, lock) = key();
    let ids = |shelf: &Memory| shelf.chunks.keys().copied().collect::<Vec<_>>();
    let shared =
        SealOptions { sharing: Sharing::store(b"a secret of this store"), ..sealed_for(lock.clone()) };
    let (one, two) = (saved(shared.clone(), &payloads()), saved(shared, &payloads()));
    assert_eq!(ids(&one), ids(&two));
    assert_opens(&two, &keys, &payloads());
    let (one, two) = (saved(sealed_for(lock.clone()), &payloads()), saved(sealed_for(lock), &payloads()));
    assert!(ids(&one).iter().all(|id| !ids(&two).contains(id)));
}

#[test]
fn a_second_save_stores_only_what_is_new() {
    let (keys, lock) = key();
    let mut shelf = Memory::default();
    let mut sealer = Sealer::new(sealed_for(lock.clone())).expect("a sealer");
    assert_eq!(save(&mut sealer, &mut shelf, &payloads()[..1]), 1);
    assert_eq!(save(&mut sealer, &mut shelf, &payloads()[..2]), 1);

    // Whoever opens it goes on with the same secret.
    let opened = Opened::read(shelf.document.clone(), &keys, true).expect("it opens");
    let mut sealer = Sealer::resume(&opened).renew(sealed_for(lock)).expect("a sealer");
    assert_eq!(save(&mut sealer, &mut shelf, &payloads()), 1);
    assert_opens(&shelf, &keys, &payloads());
}

#[test]
fn a_session_that_goes_on_keeps_its_form() {
    let lock = Lock::passphrase("correct horse").expect("not empty");
    let keys = Keys::default().with_passphrase("correct horse").expect("not empty");
    for options in [compressed(), sealed_for(lock.clone()), SealOptions { lock: Some(lock), ..compressed() }]
    {
        let mut shelf = saved(options, &payloads()[..1]);
        let form = Form::of(&shelf.document);
        let mut sealer =
            Sealer::resume(&Opened::read(shelf.document.clone(), &keys, false).expect("it opens"));
        assert_eq!(save(&mut sealer, &mut shelf, &payloads()[..2]), 1);
        assert_eq!((Form::of(&shelf.document), sealer.is_sealing()), (form, form == Form::Sealed));
        assert_opens(&shelf, &keys, &payloads()[..2]);
    }
}

#[test]
fn a_session_sealed_for_recipients_is_not_saved_until_it_is_said_for_whom() {
    let (keys, lock) = key();
    let mut shelf = saved(sealed_for(lock.clone()), &payloads()[..1]);
    let before = shelf.clone();
    let opened = Opened::read(shelf.document.clone(), &keys, true).expect("it opens");
    let mut sealer = Sealer::resume(&opened);
    let (image, chunks) = image(&payloads());
    let mut sink = SealedSink::new(&mut sealer, &mut shelf);
    let refused = [
        sink.holds(chunks[0].id(), 2000).map(drop),
        sink.put(&chunks[1]).map(drop),
        sink.commit(DOCUMENT.as_bytes(), Some(&image)).map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("for whom?").code, Some(RefusalCode::KeyMissing));
    }
    assert_eq!(shelf, before);
    assert_eq!(save(&mut sealer.renew(sealed_for(lock)).expect("a sealer"), &mut shelf, &payloads()), 2);
    assert_opens(&shelf, &keys, &payloads());
}

#[test]
fn a_chunk_that_the_place_has_lost_is_stored_again() {
    let (keys, lock) = key();
    let mut shelf = Memory::default();
    let mut sealer = Sealer::new(sealed_for(lock)).expect("a sealer");
    save(&mut sealer, &mut shelf, &payloads());
    shelf.chunks.clear();
    assert_eq!(save(&mut sealer, &mut shelf, &payloads()), 3);
    assert_opens(&shelf, &keys, &payloads());
}

#[test]
fn compressed_chunks_come_back_and_are_shorter() {
    let shelf = saved(compressed(), &payloads());
    assert_eq!(Form::of(&shelf.document), Form::Wrapped);
    assert!(shelf.chunks.values().all(|stored| stored.len() < 2000));
    assert_opens(&shelf, &Keys::default(), &payloads());
}

#[test]
fn a_chunk_that_would_become_much_longer_is_refused_before_it_does() {
    let mut shelf = saved(compressed(), &payloads());
    let text = String::from_utf8(shelf.document).expect("text");
    let bomb = text.replace("\"Bytes\":2000", "\"Bytes\":2000000000000");
    assert_ne!(bomb, text);
    shelf.document = bomb.into_bytes();
    let (_, chunks) = image(&payloads());
    let source = SealedSource::open(&mut shelf, &Keys::default(), false).expect("it opens");
    let refused = source.read(chunks[0].id(), &mut [0; 2000]).expect_err("a bomb");
    assert_eq!(refused.code, Some(RefusalCode::ImageDamaged));
    assert!(refused.to_string().contains("2000000000000"), "{refused}");
}

#[test]
fn zeros_come_back_too() {
    // They compress more than a reader would believe, so they are stored as they are.
    let zeros = vec![vec![0; 1 << 20]];
    assert_opens(&saved(compressed(), &zeros), &Keys::default(), &zeros);
}

#[test]
fn a_newer_envelope_is_refused_for_being_newer() {
    let mut shelf = saved(compressed(), &payloads());
    shelf.document = String::from_utf8(shelf.document).expect("text").replacen("1.0", "1.2", 1).into_bytes();
    let refused = refusal(&shelf, &Keys::default(), false);
    assert!(matches!(&refused, SealError::TooNew { found, .. } if found == "1.2"), "{refused}");
}

#[test]
fn keys_are_not_shown() {
    let lock = Lock::passphrase("correct horse").expect("not empty");
    let keys = Keys::default().with_passphrase("correct horse").expect("not empty");
    let shown = format!("{lock:?} {keys:?} {:?}", Sharing::store(b"battery staple"));
    assert!(!shown.contains("horse") && !shown.contains("battery"), "{shown}");
    let error = Keys::default().with_identities(&b"AGE-SECRET-KEY-1NOTREALLY\n"[..]).expect_err("no key");
    assert!(matches!(error, KeyError::Identity) && !error.to_string().contains("NOTREALLY"), "{error}");
    assert!("age1nobody".parse::<intact_seal::Recipient>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_saved_opens_as_what_it_was(
        payloads in prop::collection::hash_set(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        compress: bool,
        seal: bool,
    ) {
        let (keys, lock) = key();
        let options = SealOptions {
            lock: seal.then_some(lock),
            compression: if compress { Compression::Zstd } else { Compression::None },
            ..SealOptions::default()
        };
        let payloads: Vec<_> = payloads.into_iter().collect();
        assert_opens(&saved(options, &payloads), &keys, &payloads);
    }

    #[test]
    fn a_changed_document_does_not_open_as_something_else(at in 0..10_000_usize, bit in 0..8_u8, cut: bool) {
        let (keys, lock) = key();
        let mut document = saved(sealed_for(lock), &payloads()).document;
        let at = at % document.len();
        if cut { document.truncate(at) } else { document[at] ^= 1 << bit }
        // What no longer looks sealed is refused as plain.
        prop_assert!(Opened::read(document, &keys, true).is_err());
    }
}
