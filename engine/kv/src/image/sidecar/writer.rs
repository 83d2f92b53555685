//! Saving: one writer at a time, append, flush, compact.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::frame::{FRAME_HEADER_BYTES, Header, SIDECAR_HEADER_BYTES, sidecar_header};
use super::reader::{Scan, is_intact, scan};
use super::{Frame, SidecarError};
use crate::image::durable::{Durable, Onto, locked, permissions_of};
use crate::image::flusher::Flusher;
use crate::image::temporary::Temporary;
use crate::image::{Chunk, ChunkId};

/// A sidecar under an exclusive lock, until dropped. Hold it until the session document that refers to the new chunks has
/// been renamed into place, so that no other process compacts them away in between.
#[derive(Debug)]
pub struct SidecarWriter {
    path: PathBuf,
    file: File,
    scan: Scan,
    durable: Durable,
    /// A new file gets its name when it is sealed: under its name there is never one that is not whole.
    unplaced: Option<Temporary>,
    /// It was made by this writer and has its name.
    is_new: bool,
    /// Where what this writer wrote begins.
    start: u64,
    /// Frames at the start that were there when the file was opened, and may be damaged where they are not sealed.
    found: usize,
    /// Bytes written since the last seal.
    unsealed: u64,
    flusher: Option<Flusher>,
}

/// Bytes that are flushed in the background while more are written.
const FLUSH_BYTES: u64 = 1 << 20;

/// What an append wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Chunks that were not there yet.
    pub chunks: usize,
    /// Bytes written, with frame headers.
    pub bytes: u64,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Length of the file before.
    pub before: u64,
    /// Length of the file after.
    pub after: u64,
}

impl SidecarWriter {
    /// Opens a sidecar for writing, or makes one; waits while another process writes it; cuts off the tail that an
    /// unfinished save left.
    ///
    /// # Errors
    /// When the file system refuses, or the file is there and is not a sidecar of this version.
    pub fn open(path: impl Into<PathBuf>, durable: Durable) -> Result<Self, SidecarError> {
        Self::open_like(path.into(), None, durable)
    }

    /// The same; a new sidecar gets these permissions.
    pub fn open_like(
        path: PathBuf,
        permissions: Option<&Permissions>,
        durable: Durable,
    ) -> Result<Self, SidecarError> {
        match locked(&path, OpenOptions::new().read(true).write(true)) {
            Ok(Some(file)) => Self::over(file, path, durable),
            Ok(None) => Self::new(path, permissions, durable),
            Err(error) => Err(SidecarError::io(&path, "lock")(error)),
        }
    }

    /// One that is not there yet.
    fn new(path: PathBuf, permissions: Option<&Permissions>, durable: Durable) -> Result<Self, SidecarError> {
        let made = Temporary::create(&path, permissions, &durable);
        let (mut file, temporary) = made.map_err(SidecarError::io(&path, "create"))?;
        durable.write(&mut file, &sidecar_header()).map_err(SidecarError::io(&path, "write the header"))?;
        let start = SIDECAR_HEADER_BYTES;
        Ok(Self {
            path,
            file,
            scan: Scan::empty(),
            durable,
            unplaced: Some(temporary),
            is_new: false,
            start,
            found: 0,
            unsealed: 0,
            flusher: None,
        })
    }

    /// One that is there.
    fn over(mut file: File, path: PathBuf, durable: Durable) -> Result<Self, SidecarError> {
        let length = file.metadata().map_err(SidecarError::io(&path, "measure"))?.len();
        // A kill while the file was made, by versions that made it under its name, left it shorter than its header.
        if length < SIDECAR_HEADER_BYTES {
            restart(&mut file, length, &path, &durable)?;
        }
        let mut scan = scan(&mut file, &path)?;
        if scan.end < scan.length {
            durable
                .truncate(&file, scan.end)
                .map_err(SidecarError::io(&path, "cut off an unfinished save"))?;
            scan.damage.retain(|damage| !damage.torn_tail);
            scan.length = scan.end;
        }
        let (found, start) = (scan.frames.len(), scan.end);
        Ok(Self {
            path,
            file,
            scan,
            durable,
            unplaced: None,
            is_new: false,
            start,
            found,
            unsealed: 0,
            flusher: None,
        })
    }

    /// Appends the chunks that are not there yet and flushes them to the disk: [`SidecarWriter::put`] for each, then
    /// [`SidecarWriter::seal`].
    ///
    /// # Errors
    /// When the file system refuses. The chunks that were there before stay readable.
    pub fn append<'c>(
        &mut self,
        chunks: impl IntoIterator<Item = &'c Chunk<'c>>,
    ) -> Result<Appended, SidecarError> {
        let mut appended = Appended::default();
        for chunk in chunks {
            let bytes = self.put(chunk)?;
            appended.chunks += usize::from(bytes > 0);
            appended.bytes += bytes;
        }
        appended.bytes += self.seal()?;
        Ok(appended)
    }

    /// Is this chunk there, with the content that it is named for? One that may not have reached the disk is hashed.
    #[must_use]
    pub fn holds(&mut self, id: ChunkId, bytes: u64) -> bool {
        match self.scan.frame(&id) {
            Some(frame) if frame.bytes != bytes => false,
            Some(Frame { sealed: true, .. }) => true,
            Some(_) => self.scan.read(&mut self.file, &self.path, id).is_ok(),
            None => false,
        }
    }

    /// Appends a chunk that is not there yet. Gives the bytes written.
    ///
    /// # Errors
    /// When the file system refuses. The chunks that were there before stay readable.
    pub fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, SidecarError> {
        let start = self.scan.end;
        if !self.holds(chunk.id(), chunk.payload().len() as u64) {
            self.write_chunk(chunk)?;
        }
        Ok(self.scan.end - start)
    }

    /// Flushes what was put to the disk. Gives the bytes written.
    ///
    /// # Errors
    /// When the file system refuses. The chunks that were there before stay readable.
    pub fn seal(&mut self) -> Result<u64, SidecarError> {
        let start = self.scan.end;
        let is_unsealed = self.scan.frames.iter().any(|frame| !frame.sealed);
        if is_unsealed || self.unplaced.is_some() {
            let struck = self.strike_out_damaged()?;
            self.flush().map_err(SidecarError::io(&self.path, "flush"))?;
            if is_unsealed {
                self.write_seal()?;
            }
            if struck {
                self.scan = scan(&mut self.file, &self.path)?;
            }
        }
        let written = self.scan.end - start;
        self.place()?;
        Ok(written)
    }

    /// Has this writer made the file? Then its name may not have reached the disk yet.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Takes back what this writer has written, as far as the file system lets it. Nothing may refer to it yet.
    pub fn give_up(mut self) {
        // It ends before the file is cut, and its errors are about what is given up.
        drop(self.flusher.take());
        if self.is_new {
            self.durable.discard(&self.path);
        } else if self.unplaced.is_none() && self.scan.end > self.start {
            let _ = self.durable.truncate(&self.file, self.start);
        }
    }

    /// Whether more than half of the file is not in `keep`.
    #[must_use]
    pub fn is_mostly_garbage(&self, keep: &HashSet<ChunkId>) -> bool {
        let mut counted = HashSet::new();
        let kept: u64 = self
            .scan
            .frames
            .iter()
            .filter(|frame| keep.contains(&frame.id) && counted.insert(frame.id))
            .map(|frame| FRAME_HEADER_BYTES + frame.bytes)
            .sum();
        self.scan.length.saturating_sub(SIDECAR_HEADER_BYTES) > kept.saturating_mul(2).saturating_add(4096)
    }

    /// Gives a new file its name. Where another process has made one meanwhile, the chunks go there.
    fn place(&mut self) -> Result<(), SidecarError> {
        let Some(mut temporary) = self.unplaced.take() else { return Ok(()) };
        match temporary.put_at(&self.path, Onto::Nothing) {
            Ok(()) => self.is_new = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let theirs = Self::open(&self.path, self.durable.clone())?;
                let mut mine = std::mem::replace(self, theirs);
                let ids: Vec<_> = mine.scan.frames.iter().map(|frame| frame.id).collect();
                for id in ids {
                    self.put(&mine.scan.read(&mut mine.file, &mine.path, id)?)?;
                }
                self.seal()?;
            }
            Err(error) => return Err(SidecarError::io(&self.path, "name")(error)),
        }
        Ok(())
    }

    /// Writes a new file with the chunks of `keep` alone and renames it into place. Only after the document that refers to
    /// exactly these chunks is on the disk.
    ///
    /// # Errors
    /// When the file system refuses or a chunk of `keep` is damaged; then the old file stays.
    pub fn compact(&mut self, keep: &HashSet<ChunkId>) -> Result<Compacted, SidecarError> {
        let before = self.scan.length;
        let (file, scan, mut temporary) = self.copy_kept(keep)?;
        temporary.put_at(&self.path, Onto::Anything).map_err(SidecarError::io(&self.path, "replace"))?;
        let after = scan.length;
        // Every frame was read when it was copied.
        (self.file, self.scan, self.found) = (file, scan, 0);
        self.start = self.scan.end;
        // A power cut may bring the old file back, which has these chunks too. What comes later is flushed with the folder of
        // the document that refers to it.
        Ok(Compacted { before, after })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), SidecarError> {
        let bytes = chunk.payload().len() as u64;
        let header = Header::Chunk { id: chunk.id(), bytes }.encode();
        let offset = self.scan.end + FRAME_HEADER_BYTES;
        self.write_at(self.scan.end, &header)?;
        self.write_at(offset, chunk.payload())?;
        self.scan.add(Frame { id: chunk.id(), offset, bytes, sealed: false });
        self.scan.end = offset + bytes;
        self.scan.length = self.scan.end;
        self.unsealed += bytes;
        if self.flusher.is_none() && self.unsealed >= FLUSH_BYTES {
            self.flusher = self.durable.flusher(&self.file);
        }
        if let Some(flusher) = &self.flusher {
            flusher.note();
        }
        Ok(())
    }

    /// A seal vouches for everything before it, and what an unfinished save left there may have its length without its
    /// content. Such a frame loses its header, and with it its chunk. Says whether there was one.
    fn strike_out_damaged(&mut self) -> Result<bool, SidecarError> {
        let found = std::mem::take(&mut self.found);
        let doubtful: Vec<_> =
            self.scan.frames.iter().take(found).filter(|frame| !frame.sealed).copied().collect();
        let mut struck = false;
        for frame in doubtful {
            if !is_intact(&mut self.file, &frame).map_err(SidecarError::io(&self.path, "read a chunk"))? {
                self.write_at(frame.offset - FRAME_HEADER_BYTES, &[0; FRAME_HEADER_BYTES as usize])?;
                struck = true;
            }
        }
        Ok(struck)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unsealed = 0;
        match self.flusher.take() {
            Some(flusher) => flusher.finish(),
            None => self.durable.sync(&self.file),
        }
    }

    /// Says that what is there was flushed, where it was.
    fn write_seal(&mut self) -> Result<(), SidecarError> {
        if !self.durable.flushes() {
            return Ok(());
        }
        self.write_at(self.scan.end, &Header::Seal.encode())?;
        self.scan.seal();
        self.scan.end += FRAME_HEADER_BYTES;
        self.scan.length = self.scan.end;
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SidecarError> {
        self.file.seek(SeekFrom::Start(offset)).map_err(SidecarError::io(&self.path, "seek"))?;
        self.durable.write(&mut self.file, bytes).map_err(SidecarError::io(&self.path, "append"))
    }

    fn copy_kept(&mut self, keep: &HashSet<ChunkId>) -> Result<(File, Scan, Temporary), SidecarError> {
        let io = |what| SidecarError::io(&self.path, what);
        // The lock moves with the name: whoever waits for the old file finds that it was replaced.
        let made = Temporary::create(&self.path, permissions_of(&self.path).as_ref(), &self.durable);
        let (file, temporary) = made.map_err(io("make a copy of"))?;
        let mut copy = Self {
            path: self.path.clone(),
            file,
            scan: Scan::empty(),
            durable: self.durable.clone(),
            unplaced: None,
            is_new: false,
            start: SIDECAR_HEADER_BYTES,
            found: 0,
            unsealed: 0,
            flusher: None,
        };
        self.durable.write(&mut copy.file, &sidecar_header()).map_err(io("write the header"))?;
        let ids: Vec<_> =
            self.scan.frames.iter().map(|frame| frame.id).filter(|id| keep.contains(id)).collect();
        for id in ids {
            if copy.scan.frame(&id).is_none() {
                let chunk = self.scan.read(&mut self.file, &self.path, id)?;
                copy.write_chunk(&chunk)?;
            }
        }
        copy.flush().map_err(SidecarError::io(&self.path, "flush"))?;
        copy.write_seal()?;
        Ok((copy.file, copy.scan, temporary))
    }
}

/// Begins a file anew that is shorter than its header, where what it has is the beginning of one.
fn restart(file: &mut File, length: u64, path: &Path, durable: &Durable) -> Result<(), SidecarError> {
    let mut there = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut there))
        .map_err(SidecarError::io(path, "read the header"))?;
    if !sidecar_header().starts_with(&there) {
        return Err(SidecarError::NotASidecar { path: path.to_owned() });
    }
    // A file that was cut once is flushed by some file systems when it is closed.
    if length > 0 {
        durable.truncate(file, 0).map_err(SidecarError::io(path, "empty"))?;
    }
    file.seek(SeekFrom::Start(0)).map_err(SidecarError::io(path, "seek"))?;
    // The document's new name is flushed with the folder that both are in, and until then nothing refers to this file.
    durable.write(file, &sidecar_header()).map_err(SidecarError::io(path, "write the header"))
}
