//! Reading chunks, by their id, from a file that is not trusted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::frame::{
    FRAME_HEADER_BYTES, Header, HeaderBytes, SIDECAR_HEADER_BYTES, SIDECAR_MAGIC, SIDECAR_VERSION,
};
use super::{Frame, SidecarError};
use crate::image::{Chunk, ChunkId, ImageReference};
use crate::regular;

/// An open sidecar: where every chunk is. Payloads are read, and hashed, on demand.
#[derive(Debug)]
pub struct Sidecar {
    path: PathBuf,
    file: File,
    scan: Scan,
}

/// Bytes of a sidecar that are not frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where they are.
    pub bytes: Range<u64>,
    /// They reach to the end of the file: an unfinished save, or a truncated file.
    pub torn_tail: bool,
}

/// What a pass over the frame headers found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) frames: Vec<Frame>,
    pub(super) damage: Vec<Damage>,
    /// End of the last whole frame: where the next one goes.
    pub(super) end: u64,
    /// Length of the file.
    pub(super) length: u64,
    by_id: HashMap<ChunkId, usize>,
}

impl Scan {
    /// Of a file that has its header and nothing else.
    pub(super) fn empty() -> Self {
        Self { end: SIDECAR_HEADER_BYTES, length: SIDECAR_HEADER_BYTES, ..Self::default() }
    }
}

impl Sidecar {
    /// Opens a sidecar and scans its frame headers.
    ///
    /// # Errors
    /// When the file is missing, cannot be read, is not a sidecar, or is of a later version. Damage behind the file header
    /// is not an error here: see [`Sidecar::damage`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SidecarError> {
        let path = path.into();
        let mut file = regular::open(&path).map_err(SidecarError::io(&path, "open"))?;
        let scan = scan(&mut file, &path)?;
        Ok(Self { path, file, scan })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All chunks, in file order. An id can occur again where an earlier copy was damaged.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.scan.frames
    }

    /// Bytes that are not frames.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.scan.damage
    }

    /// Length of the file.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.scan.length
    }

    /// The frame of a chunk.
    #[must_use]
    pub fn frame(&self, id: &ChunkId) -> Option<&Frame> {
        self.scan.frame(id)
    }

    /// Reads a chunk and checks its hash.
    ///
    /// # Errors
    /// When the chunk is not there, cannot be read, or its bytes are not what its id says.
    pub fn read(&mut self, id: ChunkId) -> Result<Chunk<'static>, SidecarError> {
        self.scan.read(&mut self.file, &self.path, id)
    }

    /// Makes sure, by the frame headers alone, that every chunk of an image is there in the length that the image says.
    ///
    /// # Errors
    /// When one is not.
    pub fn check(&self, image: &ImageReference) -> Result<(), SidecarError> {
        for (id, expected) in image.chunk_ids() {
            let path = || self.path.clone();
            let frame = self.frame(&id).ok_or_else(|| SidecarError::Missing { path: path(), id })?;
            if frame.bytes != expected {
                return Err(SidecarError::Length { path: path(), id, expected, found: frame.bytes });
            }
        }
        Ok(())
    }

    /// Reads a part of a chunk's payload, from byte `from` on, and leaves hashing it to the caller. Several threads can do so
    /// at a time.
    ///
    /// # Errors
    /// When the chunk is not there or does not reach so far, or cannot be read.
    pub fn read_part(&self, id: ChunkId, from: u64, part: &mut [u8]) -> Result<(), SidecarError> {
        let path = || self.path.clone();
        let frame = self.frame(&id).ok_or_else(|| SidecarError::Missing { path: path(), id })?;
        let expected = from.saturating_add(part.len() as u64);
        if frame.bytes < expected {
            return Err(SidecarError::Length { path: path(), id, expected, found: frame.bytes });
        }
        read_exact_at(&self.file, part, frame.offset + from)
            .map_err(SidecarError::io(&self.path, "read a chunk"))
    }

    /// Reads every chunk of an image, each once, in the image's order.
    ///
    /// # Errors
    /// As [`Sidecar::read`], and when a chunk has another length than the image says.
    pub fn read_image(&mut self, image: &ImageReference) -> Result<Vec<Chunk<'static>>, SidecarError> {
        self.check(image)?;
        image.distinct_chunks().map(|(id, _)| self.read(id)).collect()
    }
}

impl Scan {
    /// The last frame of that id: a copy is only ever appended when the earlier one turned out damaged.
    pub(super) fn frame(&self, id: &ChunkId) -> Option<&Frame> {
        self.by_id.get(id).map(|index| &self.frames[*index])
    }

    pub(super) fn read(
        &self,
        file: &mut File,
        path: &Path,
        id: ChunkId,
    ) -> Result<Chunk<'static>, SidecarError> {
        let frame = self.frame(&id).ok_or_else(|| SidecarError::Missing { path: path.to_owned(), id })?;
        let payload = read_payload(file, frame).map_err(SidecarError::io(path, "read a chunk"))?;
        Chunk::verified(id, payload).map_err(|cause| SidecarError::Damaged { path: path.to_owned(), cause })
    }

    pub(super) fn add(&mut self, frame: Frame) {
        self.by_id.insert(frame.id, self.frames.len());
        self.frames.push(frame);
    }

    pub(super) fn seal(&mut self) {
        for frame in &mut self.frames {
            frame.sealed = true;
        }
    }
}

/// Does a frame have the payload that it was made with?
pub(super) fn is_intact(file: &mut File, frame: &Frame) -> std::io::Result<bool> {
    Ok(ChunkId::of(&read_payload(file, frame)?) == frame.id)
}

fn read_payload(file: &mut File, frame: &Frame) -> std::io::Result<Vec<u8>> {
    // The scan has checked that the payload lies inside the file, so its length is no larger than what is there to read.
    file.seek(SeekFrom::Start(frame.offset))?;
    let mut payload = Vec::with_capacity(usize::try_from(frame.bytes).unwrap_or(0));
    file.by_ref().take(frame.bytes).read_to_end(&mut payload)?;
    Ok(payload)
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Scans the frame headers of a file whose header is sound.
pub(super) fn scan(file: &mut File, path: &Path) -> Result<Scan, SidecarError> {
    let io = |what| SidecarError::io(path, what);
    let length = file.seek(SeekFrom::End(0)).map_err(io("seek"))?;
    let header =
        read_at::<{ SIDECAR_HEADER_BYTES as usize }>(file, 0, length).map_err(io("read the header"))?;
    let header = header.ok_or_else(|| SidecarError::NotASidecar { path: path.to_owned() })?;
    let (magic, version) = (&header[..8], &header[8..12]);
    if magic != SIDECAR_MAGIC {
        return Err(SidecarError::NotASidecar { path: path.to_owned() });
    }
    let found = u32::from_le_bytes([version[0], version[1], version[2], version[3]]);
    if found != SIDECAR_VERSION {
        return Err(SidecarError::Version { path: path.to_owned(), found, known: SIDECAR_VERSION });
    }
    scan_frames(file, length).map_err(io("scan the frames"))
}

fn scan_frames(file: &mut File, length: u64) -> std::io::Result<Scan> {
    let mut scan = Scan { length, ..Scan::empty() };
    let mut at = SIDECAR_HEADER_BYTES;
    while at < length {
        let header = read_at::<{ FRAME_HEADER_BYTES as usize }>(file, at, length)?;
        let end = match header.as_ref().and_then(Header::decode) {
            Some(Header::Seal) => {
                scan.seal();
                Some(at + FRAME_HEADER_BYTES)
            }
            Some(Header::Chunk { id, bytes }) => {
                let offset = at + FRAME_HEADER_BYTES;
                let end = offset.checked_add(bytes).filter(|end| *end <= length);
                if end.is_some() {
                    scan.add(Frame { id, offset, bytes, sealed: false });
                }
                end
            }
            None => None,
        };
        match end {
            Some(end) => {
                at = end;
                scan.end = end;
            }
            None => {
                let next = next_header(file, at + 1, length)?;
                scan.damage.push(Damage { bytes: at..next.unwrap_or(length), torn_tail: next.is_none() });
                at = next.unwrap_or(length);
            }
        }
    }
    Ok(scan)
}

/// Where the next sound frame header is. Reads the rest of the file at most once, in pieces.
fn next_header(file: &mut File, from: u64, length: u64) -> std::io::Result<Option<u64>> {
    const PIECE: u64 = 1 << 20;
    let mut start = from;
    while start < length {
        let piece = read_range(file, start, (PIECE + FRAME_HEADER_BYTES).min(length - start))?;
        let limit = piece.len().min(usize::try_from(PIECE).unwrap_or(usize::MAX));
        for index in 0..limit {
            let rest = &piece[index..];
            if rest[0] == b'k'
                && Header::could_start(rest)
                && let Some(header) = rest.first_chunk::<{ FRAME_HEADER_BYTES as usize }>()
                && is_whole(header, start + index as u64, length)
            {
                return Ok(Some(start + index as u64));
            }
        }
        start += PIECE;
    }
    Ok(None)
}

fn is_whole(header: &HeaderBytes, at: u64, length: u64) -> bool {
    match Header::decode(header) {
        Some(Header::Seal) => true,
        Some(Header::Chunk { bytes, .. }) => at
            .checked_add(FRAME_HEADER_BYTES + bytes.min(length))
            .is_some_and(|end| end <= length && bytes <= length),
        None => false,
    }
}

fn read_at<const N: usize>(file: &File, at: u64, length: u64) -> std::io::Result<Option<[u8; N]>> {
    if at.checked_add(N as u64).is_none_or(|end| end > length) {
        return Ok(None);
    }
    let mut bytes = [0; N];
    read_exact_at(file, &mut bytes, at)?;
    Ok(Some(bytes))
}

fn read_range(file: &mut File, at: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.by_ref().take(bytes).read_to_end(&mut piece)?;
    Ok(piece)
}
