//! The file form: `name.json`, and the chunks in `name.kv` beside it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use super::output::{admit, begins_with, claim};
use super::{Committed, OutputError, PlaceError, ReadParts, Replaces, SessionSink, SessionSource};
use crate::digest::Digest;
use crate::image::sidecar::{SIDECAR_MAGIC, Sidecar, SidecarError, SidecarWriter};
use crate::image::{Chunk, ChunkId, Durable, ImageReference, Onto, Prepared, permissions_of, sweep};
use crate::regular;
use crate::route::RefusalCode;

/// Extension of the file beside a session file that holds its KV image.
pub const SIDECAR_EXTENSION: &str = "kv";

/// The file beside a session file that holds its KV image: `<name>.kv` for `<name>.json`, and for a file of any other name
/// the whole of it and `..kv`. No two session files share one.
#[must_use]
pub fn sidecar_path(session_file: &Path) -> PathBuf {
    let is_json = session_file.extension().is_some_and(|extension| extension == "json");
    let stem = session_file.file_stem().filter(|stem| is_json && !stem.as_encoded_bytes().ends_with(b"."));
    let mut name = stem.or(session_file.file_name()).unwrap_or_default().to_owned();
    name.push(if stem.is_some() { "." } else { ".." });
    name.push(SIDECAR_EXTENSION);
    session_file.with_file_name(name)
}

/// Where versions before 0.2 kept the image of a session file: two session files could share one.
fn former_sidecar_path(session_file: &Path) -> PathBuf {
    session_file.with_extension(SIDECAR_EXTENSION)
}

/// Where the image of a session file may be: beside it, beside the file that it is a link to, under today's name or a former
/// one.
fn sidecar_paths(session_file: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let real = fs::canonicalize(session_file).ok().filter(|_| session_file.is_symlink());
    for file in real.iter().map(PathBuf::as_path).chain([session_file]) {
        for path in [sidecar_path(file), former_sidecar_path(file)] {
            if path != session_file && !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// The image of a session file: where it is, or where one would be looked for.
#[must_use]
pub fn find_sidecar(session_file: &Path) -> PathBuf {
    let paths = sidecar_paths(session_file);
    let is_there = |path: &&PathBuf| begins_with(path, &SIDECAR_MAGIC).unwrap_or(false);
    paths.iter().find(is_there).or(paths.first()).cloned().unwrap_or_else(|| sidecar_path(session_file))
}

/// A save into a session file and its sidecar. One process at a time has the sidecar, from the first chunk to the commit.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    replaces: Replaces,
    durable: Durable,
    /// The file that `path` stands for, once it was looked at.
    file: Option<PathBuf>,
    writer: Option<SidecarWriter>,
    saved: Option<Digest>,
}

impl FileSink {
    /// A save to `path`. Nothing is touched before the first chunk.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, replaces: Replaces, durable: Durable) -> Self {
        Self { path: path.into(), replaces, durable, file: None, writer: None, saved: None }
    }

    /// The session file that is written, once the first chunk or the document was taken: where a link leads.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.file.as_ref().unwrap_or(&self.path)
    }

    /// What was saved, once it was.
    #[must_use]
    pub const fn saved(&self) -> Option<Digest> {
        self.saved
    }

    /// Makes sure, before anything is written, that the file may be.
    fn admit(&mut self) -> Result<PathBuf, PlaceError> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = admit(&self.path, self.replaces)?;
        sweep([&file, &sidecar_path(&file)], &self.durable);
        Ok(self.file.insert(file).clone())
    }

    fn writer(&mut self) -> Result<&mut SidecarWriter, PlaceError> {
        let file = self.admit()?;
        match &mut self.writer {
            Some(writer) => Ok(writer),
            empty => {
                // The KV tells as much as the document does.
                let permissions = permissions_of(&file);
                let opened =
                    SidecarWriter::open_like(sidecar_path(&file), permissions.as_ref(), self.durable.clone());
                Ok(empty.insert(opened.map_err(unwritten)?))
            }
        }
    }

    /// Puts document and chunks on the disk, the document under a name of its own.
    fn prepare<'p>(
        &mut self,
        file: &'p Path,
        document: &[u8],
        bytes: &mut u64,
    ) -> Result<Prepared<'p>, PlaceError> {
        let durable = &self.durable;
        let failed = |error: io::Error| PlaceError::unwritable("write", file, error);
        // The disk takes both at once; the document gets its name when both are there.
        let Some(writer) = &mut self.writer else { return durable.prepare(file, document).map_err(failed) };
        let prepared = thread::scope(|scope| {
            let prepared = scope.spawn(|| durable.prepare(file, document));
            let sealed = writer.seal().map_err(unwritten);
            let prepared = prepared.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(failed);
            *bytes += sealed?;
            prepared
        })?;
        // A new image has its name on the disk before a document refers to it. Some file systems flush no folders.
        let unflushed = |error: &io::Error| {
            !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
        };
        if writer.is_new()
            && let Some(error) = durable.sync_folder_of(file).err().filter(unflushed)
        {
            return Err(PlaceError::unwritable("flush the folder of", file, error));
        }
        Ok(prepared)
    }
}

/// What a save that came to nothing has written goes.
impl Drop for FileSink {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.give_up();
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
        let file = self.admit()?;
        if image.is_some() {
            self.writer()?;
        } else if let Some(writer) = self.writer.take() {
            writer.give_up();
        }
        let mut bytes = document.len() as u64;
        let prepared = self.prepare(&file, document, &mut bytes)?;
        let there = claim(&file, self.replaces)?;
        let onto = if there.is_some() { Onto::Anything } else { Onto::Nothing };
        let unflushed = prepared.put_in_place(onto).map_err(|error| match error.kind() {
            // Somebody was faster.
            io::ErrorKind::AlreadyExists => OutputError::Changed { path: file.clone() }.into(),
            _ => PlaceError::unwritable("write", &file, error),
        })?;
        drop(there);
        // The session is saved by now: whatever fails from here on is a remark.
        self.saved = Some(Digest::of(document));
        let mut remarks = Vec::new();
        remarks.extend(unflushed.map(|error| {
            format!("the folder was not flushed, and a power cut may bring the old session back: {error}")
        }));
        if let (Some(mut writer), Some(image)) = (self.writer.take(), image) {
            let needed: HashSet<ChunkId> = image.chunk_ids().map(|(id, _)| id).collect();
            // What a compaction leaves over is taken out by a later save.
            if writer.is_mostly_garbage(&needed) {
                remarks.extend(writer.compact(&needed).err().map(|error| format!("not compacted: {error}")));
            }
        }
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        Ok(Committed { bytes, remark })
    }
}

/// A session file and its sidecar, to be read.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    sidecar: Option<Sidecar>,
    read: Option<Digest>,
}

impl FileSource {
    /// The session at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), sidecar: None, read: None }
    }

    /// Which document was read, once it was.
    #[must_use]
    pub const fn document_read(&self) -> Option<Digest> {
        self.read
    }
}

impl SessionSource for FileSource {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        let unreadable = |error| PlaceError::unreadable("read", &self.path, error);
        let bytes = regular::read(&self.path).map_err(unreadable)?;
        self.read = Some(Digest::of(&bytes));
        Ok(bytes)
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        let mut first = None;
        for path in sidecar_paths(&self.path) {
            let opened = Sidecar::open(&path).and_then(|sidecar| sidecar.check(image).map(|()| sidecar));
            match opened {
                Ok(sidecar) => {
                    self.sidecar = Some(sidecar);
                    return Ok(());
                }
                // An image that is there and not whole says more than one that is not.
                Err(SidecarError::NotFound { .. }) if first.is_some() => {}
                Err(error) if matches!(first, None | Some(SidecarError::NotFound { .. })) => {
                    first = Some(error);
                }
                Err(_) => {}
            }
        }
        first.map_or(Ok(()), |error| Err(unread(error)))
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
        let missing = || SidecarError::Missing { path: find_sidecar(&self.path), id };
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
            let cause = io::Error::from(io::ErrorKind::NotFound).into();
            let message = format!("write {}: its folder does not exist", path.display());
            PlaceError { code: None, message, cause }
        }
        error => PlaceError::new(None, error),
    }
}
