//! Sealed and compressed sessions and bundles that were damaged: none makes a reader panic, hang, or take what was not saved.
//!
//! `INTACT_MUTATIONS=10000` sets the number of mutations per test; the default is small.

#[path = "../../format/tests/kv/generated.rs"]
#[expect(dead_code, reason = "its numbers are enough here")]
mod generated;
#[path = "../../format/tests/mutations/mutate.rs"]
#[expect(dead_code, reason = "what is sealed is damaged without knowing its format")]
mod mutate;

use std::fs;
use std::path::Path;

use age::secrecy::ExposeSecret;
use intact_format::image::ImageReference;
use intact_format::place::{FileSource, Memory, SessionSource, copy, read_chunk};
use intact_format::session::{self, SessionDocument};
use intact_format::version::FormatVersion;
use intact_seal::{
    BundleSink, BundleSource, Compression, Keys, Lock, SealOptions, SealedSink, SealedSource, Sealer,
    generate,
};

use generated::Noise;
use mutate::{json, raw};

fn mutations() -> impl Iterator<Item = Noise> {
    let count = std::env::var("INTACT_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    (1..=count).map(Noise)
}

/// A session with its image, as it was saved.
fn golden() -> (Vec<u8>, Option<ImageReference>, FileSource) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/releases/b5686");
    let mut source = FileSource::new(folder.join("q8_0.json"));
    let document = source.document().expect("a golden session");
    let image = session::read(&document, FormatVersion::CURRENT).expect("sound").document.image;
    (document, image, source)
}

/// All that a reader gets of a session; none where something is refused.
fn content(source: &mut dyn SessionSource) -> Option<(SessionDocument, Vec<Vec<u8>>)> {
    let document = source.document().ok()?;
    let document = session::read(&document, FormatVersion::CURRENT).ok()?.document;
    let image = document.image.as_ref()?;
    source.locate(image).ok()?;
    let read = |(id, bytes)| Some(read_chunk(source, id, bytes).ok()?.payload().to_vec());
    let chunks = image.distinct_chunks().map(read).collect::<Option<_>>()?;
    Some((document, chunks))
}

fn saved(options: SealOptions) -> Memory {
    let (document, image, mut source) = golden();
    let mut memory = Memory::default();
    let mut sealer = Sealer::new(options).expect("a sealer");
    copy(&mut source, &document, image.as_ref(), &mut SealedSink::new(&mut sealer, &mut memory))
        .expect("saved");
    memory
}

/// Damages a place; every outcome is a refusal, or what was saved.
fn damage(memory: &Memory, keys: &Keys) {
    let open = |memory: Memory| {
        let mut source = SealedSource::open(memory, keys, false).ok()?;
        content(&mut source)
    };
    let expected = open(memory.clone());
    assert!(expected.is_some(), "what was saved opens");
    let (mut refused, mut total) = (0, 0);
    for mut noise in mutations() {
        let mut damaged = memory.clone();
        match noise.below(3) {
            0 => damaged.document = raw(&memory.document, &memory.document, &mut noise),
            1 => damaged.document = json(&memory.document, &mut noise),
            _ => {
                let at = noise.below(memory.chunks.len());
                let (id, chunk) = memory.chunks.iter().nth(at).expect("a chunk");
                damaged.chunks.insert(*id, raw(chunk, &memory.document, &mut noise));
            }
        }
        let outcome = open(damaged);
        assert!(outcome.is_none() || outcome == expected, "other content was accepted");
        total += 1;
        refused += usize::from(outcome.is_none());
    }
    println!("{refused} of {total} mutations refused");
}

#[test]
fn a_sealed_session_that_was_damaged_is_refused_or_the_same() {
    let (file, recipient) = generate();
    let keys = Keys::default().with_identities(file.expose_secret().as_bytes()).expect("a key");
    let lock = Some(Lock::recipients(vec![recipient]).expect("one"));
    damage(&saved(SealOptions { lock, compression: Compression::Zstd, ..SealOptions::default() }), &keys);
}

#[test]
fn a_compressed_session_that_was_damaged_is_refused_or_the_same() {
    let compressed = SealOptions { compression: Compression::Zstd, ..SealOptions::default() };
    damage(&saved(compressed), &Keys::default());
}

#[test]
fn a_bundle_that_was_damaged_is_refused_or_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("it.intact");
    let (document, image, mut source) = golden();
    let mut sink = BundleSink::create(&path).expect("a bundle");
    copy(&mut source, &document, image.as_ref(), &mut sink).expect("packed");
    let bytes = fs::read(&path).expect("packed");
    let open = || content(&mut BundleSource::open(&path).ok()?);
    let expected = open();
    assert!(expected.is_some(), "what was packed opens");
    for mut noise in mutations() {
        fs::write(&path, raw(&bytes, &document, &mut noise)).expect("written");
        let outcome = open();
        assert!(outcome.is_none() || outcome == expected, "other content was accepted");
    }
}
