//! Any bytes as a document at rest, and the rest of them as its chunks: what opens is what its hash says, and takes no more
//! memory than there are bytes for.
#![no_main]

use intact_format::image::{Chunk, ChunkId};
use intact_format::place::{Memory, SessionSource};
use intact_format::session;
use intact_format::version::FormatVersion;
use intact_seal::{ExposeSecret, Keys, SealedSource, generate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8], bool)| {
    let (document, chunk, sealed_only) = input;
    let (file, _) = generate();
    let keys = Keys::default().with_identities(file.expose_secret().as_bytes()).expect("a key");
    let keys = keys.with_passphrase("x").expect("a passphrase");
    let stored = Chunk::new(chunk.to_vec());
    let memory = Memory {
        document: document.to_vec(),
        chunks: [(stored.id(), chunk.to_vec())].into_iter().collect(),
    };
    let Ok(mut source) = SealedSource::open(memory, &keys, sealed_only) else { return };
    let _ = source.origin();
    let document = source.document().expect("it is open");
    let Ok(read) = session::read(&document, FormatVersion::CURRENT) else { return };
    let Some(image) = read.document.image else { return };
    if source.locate(&image).is_err() {
        return;
    }
    for (id, bytes) in image.distinct_chunks() {
        let mut payload = vec![0; usize::try_from(bytes).expect("no more than is there")];
        if source.read(id, &mut payload).is_ok() {
            assert_eq!(ChunkId::of(&payload), id);
        }
    }
});
