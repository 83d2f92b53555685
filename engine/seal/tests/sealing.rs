//! What is sealed opens again, for whom it was sealed and for nobody else; what was changed does not open.

use intact_format::image::{Chunk, ImageReference, OpaqueChunk, OpaqueImage};
use intact_seal::{
    Compression, Form, KeyError, Keys, Lock, Opened, SealError, SealOptions, Sealer, Sharing, Wrapped,
    generate,
};
use proptest::prelude::*;

const DOCUMENT: &str = r#"{"FormatVersion":"2.0","SessionId":"ada-and-the-engine","History":[]}"#;

/// An image of opaque chunks with these payloads.
fn image(payloads: &[Vec<u8>]) -> (ImageReference, Vec<Chunk<'static>>) {
    let chunks: Vec<_> = payloads.iter().cloned().map(Chunk::new).collect();
    let pieces =
        chunks.iter().map(|chunk| OpaqueChunk { id: chunk.id(), bytes: chunk.payload().len() as u64 });
    let bytes = payloads.iter().map(|payload| payload.len() as u64).sum();
    let image = OpaqueImage { chunks: pieces.collect(), bytes, reason: "a test".to_owned() };
    (ImageReference::Opaque(image), chunks)
}

fn payloads() -> Vec<Vec<u8>> {
    (0..3_u8).map(|seed| (0..2000_u32).map(|i| (i / 7) as u8 ^ seed).collect()).collect()
}

fn key() -> (Keys, Lock) {
    use age::secrecy::ExposeSecret;
    let (file, recipient) = generate();
    let keys = Keys::default().with_identities(file.expose_secret().as_bytes()).expect("a key file");
    (keys, Lock::recipients(vec![recipient]).expect("one"))
}

fn sealed_for(lock: Lock) -> SealOptions {
    SealOptions { lock: Some(lock), ..SealOptions::default() }
}

fn wrap(options: SealOptions, payloads: &[Vec<u8>]) -> Wrapped {
    let (image, chunks) = image(payloads);
    let mut sealer = Sealer::new(options).expect("a sealer");
    sealer.wrap(DOCUMENT.as_bytes().to_vec(), Some(&image), &chunks).expect("it can be wrapped")
}

/// Opens everything and compares.
fn assert_opens(wrapped: &Wrapped, keys: &Keys, payloads: &[Vec<u8>]) {
    let opened = Opened::read(wrapped.document.clone(), keys, false).expect("it opens");
    assert_eq!(opened.document(), DOCUMENT.as_bytes());
    for payload in payloads {
        let chunk = Chunk::new(payload.as_slice());
        let (stored_id, bytes) = opened.stored(chunk.id(), payload.len() as u64).expect("it is listed");
        let stored = wrapped.chunks.iter().find(|chunk| chunk.id() == stored_id).expect("it is stored");
        assert_eq!(stored.payload().len() as u64, bytes);
        let back = opened.open(chunk.id(), stored.payload().to_vec()).expect("it opens");
        assert_eq!(back.payload(), payload);
    }
}

#[test]
fn a_session_sealed_for_a_recipient_opens_with_that_key_alone() {
    let (keys, lock) = key();
    let wrapped = wrap(sealed_for(lock), &payloads());
    assert_eq!(Form::of(&wrapped.document), Form::Sealed);
    assert_opens(&wrapped, &keys, &payloads());

    let (other, _) = key();
    let refused = Opened::read(wrapped.document.clone(), &other, true).expect_err("another key");
    assert!(matches!(refused, SealError::KeyWrong { .. }), "{refused}");
    let refused = Opened::read(wrapped.document.clone(), &Keys::default(), false).expect_err("no key");
    assert!(matches!(refused, SealError::KeyMissing { .. }), "{refused}");
    let passphrase = Keys::default().with_passphrase("correct horse").expect("not empty");
    let refused = Opened::read(wrapped.document, &passphrase, true).expect_err("another kind of key");
    assert!(matches!(refused, SealError::KeyMissing { .. }), "{refused}");
}

#[test]
fn a_session_sealed_with_a_passphrase_opens_with_it() {
    let lock = Lock::passphrase("correct horse").expect("not empty");
    let wrapped = wrap(sealed_for(lock), &payloads());
    let keys = Keys::default().with_passphrase("battery staple").expect("not empty");
    let refused = Opened::read(wrapped.document.clone(), &keys, true).expect_err("another passphrase");
    assert!(matches!(refused, SealError::KeyWrong { .. }), "{refused}");
    let keys = keys.with_passphrase("correct horse").expect("not empty");
    assert_opens(&wrapped, &keys, &payloads());
}

#[test]
fn every_recipient_can_open_it() {
    use age::secrecy::ExposeSecret;
    let ((one, first), (two, second)) = (generate(), generate());
    let wrapped = wrap(sealed_for(Lock::recipients(vec![first, second]).expect("two")), &payloads());
    for file in [one, two] {
        let keys = Keys::default().with_identities(file.expose_secret().as_bytes()).expect("a key file");
        assert_opens(&wrapped, &keys, &payloads());
    }
}

#[test]
fn a_sealed_session_shows_nothing_of_its_content() {
    let (_, lock) = key();
    let text = b"The secret ingredient is love, and the session is called ada-and-the-engine.".repeat(30);
    let wrapped = wrap(sealed_for(lock), std::slice::from_ref(&text));
    let everything = wrapped.chunks.iter().map(Chunk::payload).chain([wrapped.document.as_slice()]);
    for bytes in everything {
        for word in [&b"ada-and"[..], b"secret ingredient", b"FormatVersion", b"History"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word));
        }
    }
    // Not even to somebody who can guess a chunk: its own hash is nowhere.
    assert!(wrapped.chunks.iter().all(|stored| stored.id() != Chunk::new(text.as_slice()).id()));
}

#[test]
fn a_plain_session_is_refused_where_only_sealed_ones_are_accepted() {
    let refused = Opened::read(DOCUMENT.as_bytes().to_vec(), &Keys::default(), true).expect_err("plain");
    assert!(matches!(refused, SealError::NotSealed), "{refused}");
    let compressed = SealOptions { compression: Compression::Zstd, ..SealOptions::default() };
    let wrapped = wrap(compressed, &payloads());
    let refused = Opened::read(wrapped.document, &Keys::default(), true).expect_err("only compressed");
    assert!(matches!(refused, SealError::NotSealed), "{refused}");
}

#[test]
fn chunks_cannot_be_swapped_changed_or_taken_from_another_session() {
    let (keys, lock) = key();
    let wrapped = wrap(sealed_for(lock.clone()), &payloads());
    let opened = Opened::read(wrapped.document.clone(), &keys, true).expect("it opens");
    let stranger = wrap(sealed_for(lock), &payloads());
    let first = Chunk::new(payloads().swap_remove(0)).id();
    let bytes = |index: usize| wrapped.chunks[index].payload().to_vec();
    let mut flipped = bytes(0);
    flipped[40] ^= 1;
    for wrong in
        [bytes(1), flipped, bytes(0)[..47].to_vec(), Vec::new(), stranger.chunks[0].payload().to_vec()]
    {
        let refused = opened.open(first, wrong).expect_err("not this chunk");
        assert!(matches!(refused, SealError::Chunk { .. } | SealError::Mismatch(_)), "{refused}");
    }
}

#[test]
fn sessions_share_chunks_only_where_they_are_told_to() {
    let (keys, lock) = key();
    let shared =
        SealOptions { sharing: Sharing::store(b"a secret of this store"), ..sealed_for(lock.clone()) };
    let ids = |wrapped: &Wrapped| wrapped.chunks.iter().map(Chunk::id).collect::<Vec<_>>();
    let (one, two) = (wrap(shared.clone(), &payloads()), wrap(shared, &payloads()));
    assert_eq!(ids(&one), ids(&two));
    assert_opens(&two, &keys, &payloads());
    let (one, two) = (wrap(sealed_for(lock.clone()), &payloads()), wrap(sealed_for(lock), &payloads()));
    assert!(ids(&one).iter().all(|id| !ids(&two).contains(id)));
}

#[test]
fn a_second_save_stores_only_what_is_new() {
    let (keys, lock) = key();
    let mut all = payloads();
    let (before, chunks) = image(&all[..2]);
    let mut sealer = Sealer::new(sealed_for(lock.clone())).expect("a sealer");
    let first = sealer.wrap(DOCUMENT.as_bytes().to_vec(), Some(&before), &chunks).expect("wrapped");

    // Whoever opens it goes on with the same secret.
    let opened = Opened::read(first.document.clone(), &keys, true).expect("it opens");
    let mut sealer = Sealer::resume(sealed_for(lock), &opened).expect("a sealer");
    let (after, chunks) = image(&all);
    let second = sealer.wrap(DOCUMENT.as_bytes().to_vec(), Some(&after), &chunks).expect("wrapped");
    assert_eq!(second.chunks.len(), 1);
    assert_eq!(second.needed.len(), 3);

    let both = Wrapped { chunks: [first.chunks, second.chunks].concat(), ..second };
    assert_opens(&both, &keys, &all);
    all.clear();
}

#[test]
fn compressed_chunks_come_back_and_are_shorter() {
    let options = SealOptions { compression: Compression::Zstd, ..SealOptions::default() };
    let wrapped = wrap(options, &payloads());
    assert_eq!(Form::of(&wrapped.document), Form::Wrapped);
    assert!(wrapped.chunks.iter().all(|chunk| chunk.payload().len() < 2000));
    assert_opens(&wrapped, &Keys::default(), &payloads());
}

#[test]
fn a_chunk_that_would_become_much_longer_is_refused_before_it_does() {
    let options = SealOptions { compression: Compression::Zstd, ..SealOptions::default() };
    let wrapped = wrap(options, &payloads());
    let text = String::from_utf8(wrapped.document).expect("text");
    let bomb = text.replace("\"Bytes\":2000", "\"Bytes\":2000000000000");
    assert_ne!(bomb, text);
    let opened = Opened::read(bomb.into_bytes(), &Keys::default(), false).expect("it opens");
    let id = Chunk::new(payloads().swap_remove(0)).id();
    let refused = opened.open(id, wrapped.chunks[0].payload().to_vec()).expect_err("a bomb");
    assert!(matches!(refused, SealError::Bomb { .. }), "{refused}");
}

#[test]
fn zeros_come_back_too() {
    // They compress more than a reader would believe, so they are stored as they are.
    let options = SealOptions { compression: Compression::Zstd, ..SealOptions::default() };
    let zeros = vec![vec![0; 1 << 20]];
    assert_opens(&wrap(options, &zeros), &Keys::default(), &zeros);
}

#[test]
fn a_newer_envelope_is_refused_for_being_newer() {
    let wrapped = wrap(SealOptions { compression: Compression::Zstd, ..SealOptions::default() }, &payloads());
    let text = String::from_utf8(wrapped.document).expect("text").replacen("1.0", "1.1", 1);
    let refused = Opened::read(text.into_bytes(), &Keys::default(), false).expect_err("newer");
    assert!(matches!(&refused, SealError::TooNew { found, .. } if found == "1.1"), "{refused}");
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
    fn what_is_wrapped_opens_as_what_it_was(
        payloads in prop::collection::hash_set(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        compress: bool,
        seal: bool,
    ) {
        let (keys, lock) = key();
        let options = SealOptions {
            lock: seal.then_some(lock),
            sharing: Sharing::Session,
            compression: if compress { Compression::Zstd } else { Compression::None },
        };
        let payloads: Vec<_> = payloads.into_iter().collect();
        assert_opens(&wrap(options, &payloads), &keys, &payloads);
    }

    #[test]
    fn a_changed_document_does_not_open_as_something_else(at in 0..10_000_usize, bit in 0..8_u8, cut: bool) {
        let (keys, lock) = key();
        let mut document = wrap(sealed_for(lock), &payloads()).document;
        let at = at % document.len();
        if cut { document.truncate(at) } else { document[at] ^= 1 << bit }
        // What no longer looks sealed is refused as plain.
        prop_assert!(Opened::read(document, &keys, true).is_err());
    }
}
