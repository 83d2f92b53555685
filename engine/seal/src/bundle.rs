//! One file for a whole session, to be handed on: a tar archive of `session.json` and `chunks/<id>`.
//!
//! The document and the chunks are those of the session's place, sealed where they are sealed there, so a bundle needs no
//! key to be made or unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use intact_format::image::{Chunk, ChunkId, Durable, ImageReference, NewFile};
use intact_format::place::{Committed, PlaceError, SessionSink, SessionSource};
use intact_format::regular;
use intact_format::route::RefusalCode;
use tar::{Archive, Builder, EntryType, Header};

const DOCUMENT: &str = "session.json";
const CHUNKS: &str = "chunks/";

/// A bundle being written. Until the commit there is only a temporary file beside it.
pub struct BundleSink {
    path: PathBuf,
    /// None once it was committed.
    archive: Option<Builder<NewFile>>,
    chunks: BTreeMap<ChunkId, u64>,
}

/// A bundle to be read.
#[derive(Debug)]
pub struct BundleSource {
    path: PathBuf,
    file: Mutex<File>,
    document: (u64, u64),
    chunks: BTreeMap<ChunkId, (u64, u64)>,
}

impl BundleSink {
    /// A bundle at `path`.
    ///
    /// # Errors
    /// When no file can be made beside it.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, PlaceError> {
        let path = path.into();
        let begun = Durable::default().begin(&path);
        let file = begun.map_err(|error| PlaceError::unwritable("create", &path, error))?;
        Ok(Self { archive: Some(Builder::new(file)), chunks: BTreeMap::new(), path })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), PlaceError> {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        let archive = self.archive.as_mut().ok_or_else(|| io::Error::other("it was committed"));
        archive
            .and_then(|archive| archive.append_data(&mut header, name, bytes))
            .map_err(|error| PlaceError::unwritable("write", &self.path, error))
    }
}

impl SessionSink for BundleSink {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        Ok(self.chunks.get(&id) == Some(&bytes))
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        let bytes = chunk.payload().len() as u64;
        if self.holds(chunk.id(), bytes)? {
            return Ok(0);
        }
        self.append(&format!("{CHUNKS}{}", chunk.id()), chunk.payload())?;
        self.chunks.insert(chunk.id(), bytes);
        Ok(bytes)
    }

    fn commit(&mut self, document: &[u8], _: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        self.append(DOCUMENT, document)?;
        let error = |error| PlaceError::unwritable("write", &self.path, error);
        let archive = self.archive.take().ok_or_else(|| error(io::Error::other("it was committed")))?;
        let unflushed = archive.into_inner().and_then(NewFile::put_in_place).map_err(error)?;
        let remark = unflushed
            .map(|error| format!("the folder was not flushed, and a power cut may take it back: {error}"));
        Ok(Committed { bytes: document.len() as u64, remark })
    }
}

impl BundleSource {
    /// Finds what is in a bundle. Something else than a document and chunks makes it none.
    ///
    /// # Errors
    /// When it cannot be read or is no bundle.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, PlaceError> {
        let path = path.into();
        let unreadable = |error| PlaceError::unreadable("read", &path, error);
        // A pipe would be waited for.
        if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(no_bundle(&path, "it is not a regular file"));
        }
        let file = regular::open(&path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut archive = Archive::new(file);
        let (mut document, mut chunks) = (None, BTreeMap::new());
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(|_| no_bundle(&path, "it is not an archive, or was cut short"))?;
            let place = (entry.raw_file_position(), entry.size());
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let is_inside = place.0.checked_add(place.1).is_some_and(|end| end <= length);
            if entry.header().entry_type() != EntryType::Regular || !is_inside {
                return Err(no_bundle(&path, "it holds something else than files"));
            }
            let id = name.strip_prefix(CHUNKS).and_then(|id| id.parse::<ChunkId>().ok());
            let twice = match id {
                Some(id) => chunks.insert(id, place).is_some(),
                None if name == DOCUMENT => document.replace(place).is_some(),
                None => return Err(no_bundle(&path, "it holds something else than a session")),
            };
            if twice {
                return Err(no_bundle(&path, "it holds something twice"));
            }
        }
        let document = document.ok_or_else(|| no_bundle(&path, "it holds no session"))?;
        let file = Mutex::new(archive.into_inner());
        Ok(Self { path, file, document, chunks })
    }

    /// Every chunk that is there, in the form in which it is there.
    #[must_use]
    pub fn image(&self) -> ImageReference {
        let chunks = self.chunks.iter().map(|(&id, &(_, bytes))| (id, bytes));
        ImageReference::opaque(chunks, "as it is in the bundle")
    }

    fn read_at(&self, (start, _): (u64, u64), bytes: &mut [u8]) -> Result<(), PlaceError> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|error| PlaceError::unreadable("read", &self.path, error))
    }

    fn missing(&self, id: ChunkId) -> PlaceError {
        let mut error = no_bundle(&self.path, &format!("chunk {id} is not in it, or has another length"));
        error.code = Some(RefusalCode::ImageMissing);
        error
    }
}

impl SessionSource for BundleSource {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        // No more than the file has.
        let mut bytes = vec![0; usize::try_from(self.document.1).unwrap_or(usize::MAX)];
        self.read_at(self.document, &mut bytes)?;
        Ok(bytes)
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        let is_here = |id: &ChunkId, bytes: u64| self.chunks.get(id).is_some_and(|place| place.1 == bytes);
        match image.chunk_ids().find(|(id, bytes)| !is_here(id, *bytes)) {
            None => Ok(()),
            Some((id, _)) => Err(self.missing(id)),
        }
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        let place = self.chunks.get(&id).filter(|place| place.1 == payload.len() as u64);
        self.read_at(*place.ok_or_else(|| self.missing(id))?, payload)
    }
}

fn no_bundle(path: &Path, reason: &str) -> PlaceError {
    let message = format!("{} is not a session bundle: {reason}", path.display());
    PlaceError::new(Some(RefusalCode::NotASessionFile), io::Error::new(io::ErrorKind::InvalidData, message))
}
