//! The file form: `name.json`, and the chunks in `name.kv` beside it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use super::{Committed, PlaceError, ReadParts, SessionSink, SessionSource};
use crate::image::sidecar::{Sidecar, SidecarError, SidecarWriter};
use crate::image::{Chunk, ChunkId, Durable, ImageReference};
use crate::route::RefusalCode;

/// Extension of the file beside a session file that holds its KV image.
pub const SIDECAR_EXTENSION: &str = "kv";

/// The file beside a session file that holds its KV image: `<name>.kv`.
#[must_use]
pub fn sidecar_path(session_file: &Path) -> PathBuf {
    session_file.with_extension(SIDECAR_EXTENSION)
}

/// A save into a session file and its sidecar. One process at a time has the sidecar, from the first chunk to the commit.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    durable: Durable,
    writer: Option<SidecarWriter>,
}

impl FileSink {
    /// A save to `path`. Nothing is touched before the first chunk.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, durable: Durable) -> Self {
        Self { path: path.into(), durable, writer: None }
    }

    fn writer(&mut self) -> Result<&mut SidecarWriter, PlaceError> {
        let path = sidecar_path(&self.path);
        match &mut self.writer {
            Some(writer) => Ok(writer),
            empty => {
                let opened = SidecarWriter::open(&path, self.durable.clone()).map_err(unwritten)?;
                Ok(empty.insert(opened))
            }
        }
    }
}

impl SessionSink for FileSink {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        Ok(self.writer()?.holds(id, bytes))
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        self.writer()?.put(chunk).map_err(unwritten)
    }

    /// Chunks first, then the document that refers to them, under one lock; then chunks that nothing refers to any more go.
    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        let (mut bytes, mut remark) = (document.len() as u64, None);
        if image.is_some() {
            self.writer()?;
        }
        let failed = |error: io::Error| PlaceError::unwritable("write", &self.path, error);
        // The disk takes both at once; the document gets its name when both are there.
        let prepared = match self.writer.as_mut().filter(|_| image.is_some()) {
            None => self.durable.prepare(&self.path, document).map_err(failed)?,
            Some(writer) => thread::scope(|scope| {
                let prepared = scope.spawn(|| self.durable.prepare(&self.path, document));
                let sealed = writer.seal().map_err(unwritten);
                let prepared =
                    prepared.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(failed)?;
                match sealed {
                    Ok(sealed) => {
                        bytes += sealed;
                        Ok(prepared)
                    }
                    Err(error) => {
                        prepared.discard();
                        Err(error)
                    }
                }
            })?,
        };
        prepared.put_in_place().map_err(failed)?;
        if let (Some(writer), Some(image)) = (&mut self.writer, image) {
            let needed: HashSet<ChunkId> = image.chunk_ids().map(|(id, _)| id).collect();
            // The session is saved by now; what a compaction leaves over is taken out by a later save.
            if writer.is_mostly_garbage(&needed) {
                remark = writer.compact(&needed).err().map(|error| format!("not compacted: {error}"));
            }
        }
        self.writer = None;
        Ok(Committed { bytes, remark })
    }
}

/// A session file and its sidecar, to be read.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    sidecar: Option<Sidecar>,
}

impl FileSource {
    /// The session at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), sidecar: None }
    }
}

impl SessionSource for FileSource {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        fs::read(&self.path).map_err(|error| PlaceError::unreadable("read", &self.path, error))
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        let path = sidecar_path(&self.path);
        let sidecar = Sidecar::open(&path).map_err(unread)?;
        sidecar.check(image).map_err(unread)?;
        self.sidecar = Some(sidecar);
        Ok(())
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        self.read_part(id, 0, payload)
    }

    fn parts(&self) -> Option<&dyn ReadParts> {
        Some(self)
    }
}

impl ReadParts for FileSource {
    fn read_part(&self, id: ChunkId, from: u64, part: &mut [u8]) -> Result<(), PlaceError> {
        let missing = || SidecarError::Missing { path: sidecar_path(&self.path), id };
        let sidecar = self.sidecar.as_ref().ok_or_else(missing).map_err(unread)?;
        sidecar.read_part(id, from, part).map_err(unread)
    }
}

fn unread(error: SidecarError) -> PlaceError {
    let code = match &error {
        SidecarError::NotFound { .. } => RefusalCode::ImageMissing,
        _ => RefusalCode::ImageDamaged,
    };
    PlaceError::new(Some(code), error)
}

fn unwritten(error: SidecarError) -> PlaceError {
    match error {
        // The file is made where there is none, so it is the folder that is missing.
        SidecarError::NotFound { path } => {
            let source = io::Error::from(io::ErrorKind::NotFound);
            let message = format!("write {}: its folder does not exist", path.display());
            PlaceError { code: None, message, source: source.into() }
        }
        error => PlaceError::new(None, error),
    }
}
