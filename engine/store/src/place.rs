//! A session of the store as a place that the engine saves to and loads from.

use std::collections::{HashMap, HashSet};

use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{Committed, PlaceError, SessionSink, SessionSource};
use intact_format::route::RefusalCode;
use intact_format::session_id::SessionId;

use crate::bring::Brought;
use crate::error::StoreError;
use crate::head::{BlobReference, Summary};
use crate::hold::Held;
use crate::key::Generation;
use crate::read::Opened;
use crate::save::{Draft, Expected, Saved};
use crate::store::SessionStore;

/// Bytes of chunks that are kept in memory for the commit. What is more is stored before.
const KEPT: usize = 16 << 20;

/// A save into a store. Some chunks are kept in memory until the commit, which stores those that are missing; of a large
/// image, the others are stored ahead of it.
#[derive(Debug)]
pub struct StoreSink<'s> {
    store: &'s SessionStore,
    session: SessionId,
    expected: Expected,
    held: Option<Held>,
    /// Lengths of the chunks that are held.
    lengths: HashMap<ChunkId, u64>,
    /// Chunks that were stored ahead.
    brought: Brought,
    /// Chunks that wait for the commit, their ids, and their bytes.
    chunks: Vec<Chunk<'static>>,
    waiting: HashSet<ChunkId>,
    kept: usize,
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
        Self {
            store,
            session,
            expected,
            held: None,
            lengths: HashMap::new(),
            brought: Brought::default(),
            chunks: Vec::new(),
            waiting: HashSet::new(),
            kept: 0,
            saved: None,
        }
    }

    /// What the commit did, once it did.
    #[must_use]
    pub const fn saved(&self) -> Option<Saved> {
        self.saved
    }

    /// The last save's chunks, which stay until this save is committed or given up.
    fn hold(&mut self) -> Result<(), StoreError> {
        if self.held.is_none() {
            let held = self.held.insert(self.store.hold(&self.session)?);
            self.lengths = held.chunks.iter().map(|chunk| (chunk.id, chunk.bytes)).collect();
        }
        Ok(())
    }

    /// Stores the chunks that wait.
    fn bring(&mut self) -> Result<(), StoreError> {
        self.store.bring(&self.chunks, &mut self.brought)?;
        self.chunks.clear();
        self.waiting.clear();
        self.kept = 0;
        Ok(())
    }

    fn let_go(&mut self) {
        let (held, brought) = (self.held.take(), std::mem::take(&mut self.brought));
        if held.is_some() || !brought.is_empty() {
            self.store.release(held.unwrap_or_default(), brought);
        }
    }
}

impl SessionSink for StoreSink<'_> {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        self.hold().map_err(unwritten)?;
        Ok(self.lengths.get(&id) == Some(&bytes))
    }

    /// Keeps the chunk, or stores it with those that are kept; the commit says what was written.
    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        if self.brought.chunks.contains_key(&chunk.id()) || !self.waiting.insert(chunk.id()) {
            return Ok(0);
        }
        self.kept += chunk.payload().len();
        self.chunks.push(chunk.to_static());
        if self.kept > KEPT {
            self.bring().map_err(unwritten)?;
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
        let saved = self.store.save_brought(&draft, self.expected, &self.brought);
        self.let_go();
        let saved = saved.map_err(unwritten)?;
        self.chunks.clear();
        self.waiting.clear();
        self.saved = Some(saved);
        Ok(Committed { bytes: saved.new_bytes, remark: None })
    }
}

impl Drop for StoreSink<'_> {
    fn drop(&mut self) {
        self.let_go();
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

    /// Reads the session ahead of its document. Whether there is one.
    pub(crate) fn find(&mut self) -> Result<bool, PlaceError> {
        match self.open() {
            Ok(_) => Ok(true),
            Err(StoreError::SessionNotFound { .. }) => Ok(false),
            Err(error) => Err(unopened(error)),
        }
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
    let code = match &error {
        StoreError::Conflict { expected, .. } if *expected == Generation::default() => {
            Some(RefusalCode::FileExists)
        }
        StoreError::Conflict { .. } => Some(RefusalCode::FileChanged),
        _ => None,
    };
    PlaceError::new(code, error)
}
