//! Sessions in a place of one's own: the engine only needs a document and chunks.

use std::collections::BTreeMap;

use intact_engine::{EngineError, LoadOptions, SaveOptions};
use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{Committed, PlaceError, SessionSink, SessionSource};
use intact_format::route::{LoadPolicy, RefusalCode, Route};

use crate::support::{TURNS, converse, engine, per_family, say, score, uninterrupted};

/// A place in memory that counts what it is given.
#[derive(Default)]
struct Shelf {
    document: Vec<u8>,
    chunks: BTreeMap<ChunkId, Vec<u8>>,
    puts: usize,
    full: bool,
}

impl SessionSink for Shelf {
    fn holds(&mut self, id: ChunkId, _: u64) -> Result<bool, PlaceError> {
        Ok(self.chunks.contains_key(&id))
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        if self.full {
            return Err(PlaceError::new(None, std::io::Error::other("the shelf is full")));
        }
        self.puts += 1;
        self.chunks.insert(chunk.id(), chunk.payload().to_vec());
        Ok(chunk.payload().len() as u64)
    }

    fn commit(&mut self, document: &[u8], _: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        self.document = document.to_vec();
        Ok(Committed { bytes: document.len() as u64, remark: None })
    }
}

impl SessionSource for Shelf {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        Ok(self.document.clone())
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        match image.chunk_ids().find(|(id, _)| !self.chunks.contains_key(id)) {
            None => Ok(()),
            Some(_) => Err(PlaceError::new(
                Some(RefusalCode::ImageMissing),
                std::io::Error::other("not on the shelf"),
            )),
        }
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        payload.copy_from_slice(&self.chunks[&id]);
        Ok(())
    }
}

fn a_session_comes_back_from_any_place(model: &str) {
    let mut shelf = Shelf::default();
    let mut writer = engine(model);
    converse(&mut writer, "it");
    let saved = writer.save_to("it", &mut shelf, &SaveOptions::default()).expect("saved");
    assert!(shelf.puts > 0 && saved.files.is_empty(), "{model}: {saved:?}");
    let mut reader = engine(model);
    let receipt = reader.load_from(&mut shelf, &LoadOptions::default()).expect("loaded").receipt;
    assert_eq!(receipt.route, Route::Direct, "{model}: {receipt:?}");
    assert!(score(&mut reader, "it") == uninterrupted(model), "{model}");
}

per_family!(a_session_comes_back_from_any_place);

fn a_place_that_gives_other_bytes_is_not_believed(model: &str) {
    let mut shelf = Shelf::default();
    let mut writer = engine(model);
    converse(&mut writer, "it");
    writer.save_to("it", &mut shelf, &SaveOptions::default()).expect("saved");
    for at in 0..shelf.chunks.len() {
        let damage = |shelf: &mut Shelf| {
            let payload = shelf.chunks.values_mut().nth(at).expect("a chunk");
            let middle = payload.len() / 2;
            payload[middle] ^= 1;
        };
        damage(&mut shelf);
        let mut reader = engine(model);
        let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
        let refused = reader.load_from(&mut shelf, &strict).expect_err("damaged");
        assert_eq!(refused.code(), Some("image-damaged"), "{model}, chunk {at}: {refused}");
        let receipt = reader.load_from(&mut shelf, &LoadOptions::default()).expect("loaded").receipt;
        assert_eq!(receipt.route, Route::Reprefilled, "{model}, chunk {at}: {receipt:?}");
        damage(&mut shelf);
    }
}

per_family!(a_place_that_gives_other_bytes_is_not_believed);

#[test]
fn a_place_that_fails_fails_the_save_and_the_session_lives_on() {
    let mut shelf = Shelf { full: true, ..Shelf::default() };
    let mut engine = engine("llama");
    converse(&mut engine, "it");
    let failed = engine.save_to("it", &mut shelf, &SaveOptions::default()).expect_err("full");
    assert!(matches!(failed, EngineError::Place(_)), "{failed}");
    assert_eq!((failed.to_string().as_str(), shelf.document.len()), ("the shelf is full", 0));
    shelf.full = false;
    engine.save_to("it", &mut shelf, &SaveOptions::default()).expect("saved");
    say(&mut engine, "it", TURNS[0]);
}
