//! A session of the store as a place that the engine saves to and loads from.

use std::collections::HashMap;

use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{Committed, PlaceError, SessionSink, SessionSource, Shelf};
use intact_format::route::RefusalCode;
use intact_format::session_id::SessionId;

use crate::error::StoreError;
use crate::head::{BlobReference, Summary};
use crate::hold::Held;
use crate::key::Generation;
use crate::read::Opened;
use crate::save::{Draft, Expected, Saved};
use crate::store::SessionStore;

/// A save into a store. Chunks are kept in memory until the commit, which stores those that are missing.
#[derive(Debug)]
pub struct StoreSink<'s> {
    store: &'s SessionStore,
    session: SessionId,
    expected: Expected,
    held: Option<Held>,
    chunks: Vec<Chunk<'static>>,
    saved: Option<Saved>,
}

/// A session of a store, to be read.
#[derive(Debug)]
pub struct StoreSource<'s> {
    store: &'s SessionStore,
    session: SessionId,
    opened: Option<Opened>,
    located: HashMap<ChunkId, BlobReference>,
}

impl<'s> StoreSink<'s> {
    pub(crate) fn new(store: &'s SessionStore, session: SessionId, expected: Expected) -> Self {
        Self { store, session, expected, held: None, chunks: Vec::new(), saved: None }
    }

    /// What the commit did, once it did.
    #[must_use]
    pub const fn saved(&self) -> Option<Saved> {
        self.saved
    }

    /// The last save's chunks, which stay until this save is committed or given up.
    fn held(&mut self) -> Result<&Held, StoreError> {
        match &mut self.held {
            Some(held) => Ok(held),
            empty => Ok(empty.insert(self.store.hold(&self.session)?)),
        }
    }

    fn give_up(&mut self) {
        if let Some(held) = self.held.take() {
            self.store.release(held);
        }
    }
}

impl SessionSink for StoreSink<'_> {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        let held = self.held().map_err(unwritten)?;
        Ok(held.chunks.iter().any(|chunk| chunk.id == id && chunk.bytes == bytes))
    }

    /// Keeps the chunk for the commit, which says what was written.
    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        if !self.chunks.iter().any(|kept| kept.id() == chunk.id()) {
            self.chunks.push(Chunk::new(chunk.payload().to_vec()));
        }
        Ok(0)
    }

    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        let needs = image.into_iter().flat_map(ImageReference::chunk_ids).collect();
        let draft = Draft {
            session: self.session.clone(),
            summary: Summary::of_bytes(document),
            document,
            needs,
            chunks: &self.chunks,
        };
        let saved = self.store.save(&draft, self.expected);
        self.give_up();
        let saved = saved.map_err(unwritten)?;
        self.chunks.clear();
        self.saved = Some(saved);
        Ok(Committed { bytes: saved.new_bytes, remark: None })
    }
}

impl Drop for StoreSink<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<'s> StoreSource<'s> {
    pub(crate) fn new(store: &'s SessionStore, session: SessionId) -> Self {
        Self { store, session, opened: None, located: HashMap::new() }
    }

    /// A session that is open already.
    pub(crate) fn of(store: &'s SessionStore, opened: Opened) -> Self {
        Self { store, session: opened.session.clone(), opened: Some(opened), located: HashMap::new() }
    }

    /// Reads the session anew, unless it was opened and its document not yet taken.
    fn open(&mut self) -> Result<&mut Opened, StoreError> {
        let untaken = self.opened.take_if(|opened| !opened.document.is_empty());
        let opened = match untaken {
            Some(opened) => opened,
            None => self.store.session(&self.session)?,
        };
        Ok(self.opened.insert(opened))
    }

    /// Which save was read, once the document was.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.opened.as_ref().map(|opened| opened.generation)
    }

    fn missing(&self, id: ChunkId) -> PlaceError {
        unread(StoreError::Missing { session: self.session.clone(), id })
    }
}

impl SessionSource for StoreSource<'_> {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        Ok(std::mem::take(&mut self.open().map_err(unopened)?.document))
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        let held: HashMap<_, _> =
            self.opened.iter().flat_map(|opened| &opened.chunks).map(|chunk| (chunk.id, *chunk)).collect();
        if let Some((id, _)) =
            image.chunk_ids().find(|(id, bytes)| held.get(id).is_none_or(|chunk| chunk.bytes != *bytes))
        {
            return Err(self.missing(id));
        }
        self.located = held;
        Ok(())
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        let (Some(opened), true) = (&self.opened, self.located.contains_key(&id)) else {
            return Err(self.missing(id));
        };
        let chunks = self.store.chunks(opened, &[id]).map_err(unread)?;
        match chunks.first().filter(|chunk| chunk.payload().len() == payload.len()) {
            Some(chunk) => payload.copy_from_slice(chunk.payload()),
            None => return Err(self.missing(id)),
        }
        Ok(())
    }
}

/// Sessions by their ids; whoever saves last wins.
impl Shelf for SessionStore {
    fn sink<'a>(&'a mut self, id: &SessionId) -> Result<Box<dyn SessionSink + 'a>, PlaceError> {
        Ok(Box::new(StoreSink::new(self, id.clone(), Expected::Anything)))
    }

    fn source<'a>(&'a mut self, id: &SessionId) -> Result<Option<Box<dyn SessionSource + 'a>>, PlaceError> {
        let mut source = StoreSource::new(self, id.clone());
        match source.open() {
            Ok(_) => Ok(Some(Box::new(source))),
            Err(StoreError::SessionNotFound { .. }) => Ok(None),
            Err(error) => Err(unopened(error)),
        }
    }
}

fn unopened(error: StoreError) -> PlaceError {
    let code = match &error {
        StoreError::SessionNotFound { .. } => RefusalCode::FileNotFound,
        _ => RefusalCode::FileUnreadable,
    };
    PlaceError::new(Some(code), error)
}

fn unread(error: StoreError) -> PlaceError {
    let code = match &error {
        StoreError::Missing { .. } | StoreError::Superseded { .. } => RefusalCode::ImageMissing,
        _ => RefusalCode::ImageDamaged,
    };
    PlaceError::new(Some(code), error)
}

fn unwritten(error: StoreError) -> PlaceError {
    PlaceError::new(None, error)
}
