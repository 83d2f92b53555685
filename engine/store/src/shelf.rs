//! A store as a shelf: sessions by their ids, none replaced that somebody else has saved meanwhile.

use std::collections::HashMap;

use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{Committed, PlaceError, ReadParts, SessionSink, SessionSource, Shelf};
use intact_format::session_id::SessionId;

use crate::key::Generation;
use crate::place::{StoreSink, StoreSource};
use crate::save::Expected;
use crate::store::SessionStore;

/// The sessions of a store, for one who keeps them. A session that somebody else has saved or removed there since it was given
/// out, or taken, is not replaced; one that was neither must be new.
#[derive(Debug)]
pub struct StoreShelf {
    store: SessionStore,
    known: HashMap<SessionId, Generation>,
}

/// A save that the shelf remembers.
struct Remembered<'s> {
    sink: StoreSink<'s>,
    id: SessionId,
    known: &'s mut HashMap<SessionId, Generation>,
}

/// A session that the shelf remembers to have given out.
struct Given<'s> {
    source: StoreSource<'s>,
    id: SessionId,
    known: &'s mut HashMap<SessionId, Generation>,
}

impl StoreShelf {
    /// The sessions of this store.
    #[must_use]
    pub fn new(store: SessionStore) -> Self {
        Self { store, known: HashMap::new() }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &SessionStore {
        &self.store
    }
}

impl Shelf for StoreShelf {
    fn sink<'a>(&'a mut self, id: &SessionId) -> Result<Box<dyn SessionSink + 'a>, PlaceError> {
        let expected = self.known.get(id).map_or(Expected::Absent, |known| Expected::At(*known));
        let sink = self.store.sink(id.clone(), expected);
        Ok(Box::new(Remembered { sink, id: id.clone(), known: &mut self.known }))
    }

    fn source<'a>(&'a mut self, id: &SessionId) -> Result<Option<Box<dyn SessionSource + 'a>>, PlaceError> {
        let mut source = self.store.source(id.clone());
        if !source.find()? {
            // What comes next under that id is new.
            self.known.remove(id);
            return Ok(None);
        }
        Ok(Some(Box::new(Given { source, id: id.clone(), known: &mut self.known })))
    }
}

impl SessionSink for Remembered<'_> {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        self.sink.holds(id, bytes)
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        self.sink.put(chunk)
    }

    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        let committed = self.sink.commit(document, image)?;
        self.known.extend(self.sink.saved().map(|saved| (self.id.clone(), saved.generation)));
        Ok(committed)
    }
}

impl SessionSource for Given<'_> {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        let document = self.source.document()?;
        self.known.extend(self.source.generation().map(|read| (self.id.clone(), read)));
        Ok(document)
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        self.source.locate(image)
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        self.source.read(id, payload)
    }

    fn parts(&self) -> Option<&dyn ReadParts> {
        self.source.parts()
    }
}
