//! From chunks to a state, one at a time: each goes into its place and is not needed afterwards, so that no more than the
//! state and some chunks are in memory.

use super::assemble::{check_extent, check_repetition, check_sections, part, reference_error};
use super::{CellImage, Chunk, ChunkId, ChunkReference, ImageError, OpaqueImage, SectionImage, Target};
use crate::layout::{Attention, Frame, Section, StreamShape, append_section, state_prefix};

/// How many times as many bytes a conversion can make: 32-bit floats of q4_0 take seven times as many.
const WIDEST: u64 = 8;
/// Bytes of words that a section may have in one framing and not in another: a count for every stream, and a few more.
const WORDS: u64 = 2 << 10;

/// An image of cells on its way to a state in a target's framing. Its chunks are given in order.
///
/// The place that they come from must have confirmed the lengths that the image says: memory is allocated by them.
#[derive(Debug)]
pub struct Gathering<'i> {
    image: &'i CellImage,
    target: &'i Target,
    /// What is before `settled` is final.
    state: Vec<u8>,
    settled: usize,
    /// Section and chunk that come next.
    next: (usize, usize),
    open: Option<Open<'i>>,
}

/// A section of which some chunks are there.
#[derive(Debug)]
struct Open<'i> {
    /// None for a recurrent section.
    cache: Option<Cache<'i>>,
    cells: u32,
    first_position: Option<i32>,
    last_position: Option<i32>,
}

#[derive(Debug)]
struct Cache<'i> {
    frame: Frame<'i>,
    /// The cache without cells, as it was saved.
    saved: Attention<'static>,
}

impl<'i> Gathering<'i> {
    /// A state without sections. [`Target::shape`] is not looked at: sections are given in the target's form.
    ///
    /// # Errors
    /// When the image contradicts itself, or the target has no words for the sequence or its stream.
    pub fn new(image: &'i CellImage, target: &'i Target) -> Result<Self, ImageError> {
        Self::new_in(image, target, |bytes| vec![0; bytes])
    }

    /// The same in memory that `zeroed` gives.
    ///
    /// # Errors
    /// As [`Gathering::new`].
    pub fn new_in(
        image: &'i CellImage,
        target: &'i Target,
        zeroed: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<Self, ImageError> {
        check_sections(image)?;
        let chunks = || image.sections.iter().flat_map(|section| &section.chunks);
        check_repetition(chunks().map(|chunk| (chunk.id, chunk.bytes)))?;
        let prefix = state_prefix(target.layout, target.container, target.sequence, target.streams)?;
        let bytes = chunks().map(|chunk| chunk.bytes).chain(image.sections.iter().map(|_| WORDS));
        let mut state = zeroed(size(bytes.fold(prefix.len() as u64, u64::saturating_add)));
        state[..prefix.len()].copy_from_slice(&prefix);
        Ok(Self { image, target, state, settled: prefix.len(), next: (0, 0), open: None })
    }

    /// Puts the next chunk into its place. `saved` is what [`part`] reads in it, with or without its cells, and `section` the
    /// same in the target's form.
    ///
    /// # Errors
    /// When the chunk is not what the image says, or not of one cache with those before it, or when the target has no words
    /// for it.
    pub fn place(&mut self, saved: &Section<'_>, section: &Section<'_>) -> Result<(), ImageError> {
        let (whole, part) = self.expected()?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::of(self.target, whole, saved, section)?,
        };
        open.note(part, section)?;
        match (&open.cache, saved, section) {
            (Some(cache), Section::Attention(saved), Section::Attention(section)) => {
                cache.saved.matches(saved)?;
                let end = self.settled + cache.frame.bytes();
                if part.first_cell == 0 {
                    self.reach(end);
                    cache.frame.start(&mut self.state[self.settled..end])?;
                }
                let room = &mut self.state[self.settled..end];
                cache.frame.place(room, part.first_cell as usize, section)?;
            }
            (None, _, Section::Recurrent(_)) => {
                self.state.truncate(self.settled);
                append_section(&mut self.state, section, self.target.layout)?;
            }
            _ => return Err(reference_error("chunks of different kinds")),
        }
        self.go_on(open)
    }

    /// The next chunk and the place for its bytes, where the target has them as they are: the chunk is all of its section, and
    /// a section of sequence 0 in a single stream. [`Gathering::settle`] comes next.
    pub fn room(&mut self) -> Option<(ChunkId, &mut [u8])> {
        let target = self.target;
        let (whole, part) = self.expected().ok()?;
        let as_it_is = self.image.layout == target.layout.id
            && (target.sequence, target.streams) == (0, StreamShape::SINGLE)
            && whole.chunks.len() == 1;
        if !as_it_is {
            return None;
        }
        let end = self.settled.saturating_add(size(part.bytes));
        self.reach(end);
        Some((part.id, &mut self.state[self.settled..end]))
    }

    /// Takes the bytes in the place that [`Gathering::room`] gave for the next chunk.
    ///
    /// # Errors
    /// When they have another hash, or are not what the image says.
    pub fn settle(&mut self) -> Result<(), ImageError> {
        let (whole, reference) = self.expected()?;
        let end = self.settled.saturating_add(size(reference.bytes));
        let bytes = self.state.get(self.settled..end).unwrap_or_default();
        let chunk = Chunk::verified(reference.id, bytes)?;
        let section = part(self.image, self.next.0, reference, &chunk)?;
        let mut open = Open { cache: None, cells: 0, first_position: None, last_position: None };
        open.note(reference, &section)?;
        check_extent(whole, open.cells, open.first_position, open.last_position)?;
        (self.settled, self.next) = (end, (self.next.0 + 1, 0));
        Ok(())
    }

    /// The state, when all chunks are in their places.
    ///
    /// # Errors
    /// When some are missing.
    pub fn finish(mut self) -> Result<Vec<u8>, ImageError> {
        match self.expected() {
            Ok((_, missing)) => Err(ImageError::Missing { id: missing.id }),
            Err(_) => {
                self.state.truncate(self.settled);
                Ok(self.state)
            }
        }
    }

    fn expected(&self) -> Result<(&'i SectionImage, &'i ChunkReference), ImageError> {
        let (section, chunk) = self.next;
        let section = self.image.sections.get(section);
        section
            .and_then(|section| Some((section, section.chunks.get(chunk)?)))
            .ok_or_else(|| reference_error("fewer chunks"))
    }

    fn go_on(&mut self, open: Open<'i>) -> Result<(), ImageError> {
        let (whole, _) = self.expected()?;
        let (section, chunk) = self.next;
        if chunk + 1 < whole.chunks.len() {
            (self.next, self.open) = ((section, chunk + 1), Some(open));
            return Ok(());
        }
        check_extent(whole, open.cells, open.first_position, open.last_position)?;
        self.settled = open.cache.map_or(self.state.len(), |cache| self.settled + cache.frame.bytes());
        self.next = (section + 1, 0);
        Ok(())
    }

    fn reach(&mut self, end: usize) {
        if self.state.len() < end {
            self.state.reserve_exact(end - self.state.len());
            self.state.resize(end, 0);
        }
    }
}

impl<'i> Open<'i> {
    fn of(
        target: &'i Target,
        whole: &SectionImage,
        saved: &Section<'_>,
        section: &Section<'_>,
    ) -> Result<Self, ImageError> {
        let cache = match (saved, section) {
            (Section::Attention(saved), Section::Attention(section)) => {
                let Target { layout, sequence, streams, .. } = *target;
                let frame = Frame::of(section, whole.cells as usize, layout, sequence, streams)?;
                let chunks = whole.chunks.iter().fold(0_u64, |sum, chunk| sum.saturating_add(chunk.bytes));
                if frame.bytes() as u64 > chunks.saturating_mul(WIDEST).saturating_add(WORDS) {
                    return Err(reference_error("more cells than its chunks have room for"));
                }
                Some(Cache { frame, saved: saved.emptied() })
            }
            _ => None,
        };
        Ok(Self { cache, cells: 0, first_position: None, last_position: None })
    }

    fn note(&mut self, part: &ChunkReference, section: &Section<'_>) -> Result<(), ImageError> {
        if part.first_cell != self.cells {
            return Err(reference_error("chunks that do not follow each other"));
        }
        if section.cell_count() != part.cells as usize {
            return Err(reference_error("a chunk with another number of cells"));
        }
        self.cells = self.cells.checked_add(part.cells).ok_or_else(|| reference_error("too many cells"))?;
        let first = [self.first_position, section.first_position()];
        self.first_position = first.into_iter().flatten().min();
        self.last_position = self.last_position.max(section.last_position());
        Ok(())
    }
}

/// An opaque image on its way to the blob that it was cut from. Its pieces are given in order.
///
/// The place that they come from must have confirmed the lengths that the image says: memory is allocated by them.
#[derive(Debug)]
pub struct Pieces<'i> {
    image: &'i OpaqueImage,
    blob: Vec<u8>,
    settled: usize,
    next: usize,
}

impl<'i> Pieces<'i> {
    /// A blob without pieces.
    ///
    /// # Errors
    /// When the image contradicts itself.
    pub fn new(image: &'i OpaqueImage) -> Result<Self, ImageError> {
        Self::new_in(image, |bytes| vec![0; bytes])
    }

    /// The same in memory that `zeroed` gives.
    ///
    /// # Errors
    /// As [`Pieces::new`].
    pub fn new_in(image: &'i OpaqueImage, zeroed: impl FnOnce(usize) -> Vec<u8>) -> Result<Self, ImageError> {
        let pieces = || image.chunks.iter().map(|piece| (piece.id, piece.bytes));
        check_repetition(pieces())?;
        let bytes = pieces().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(bytes));
        if bytes != image.bytes {
            return Err(reference_error("another total length"));
        }
        Ok(Self { image, blob: zeroed(size(bytes)), settled: 0, next: 0 })
    }

    /// Puts the next piece into its place.
    ///
    /// # Errors
    /// When the image says another one.
    pub fn place(&mut self, chunk: &Chunk<'_>) -> Result<(), ImageError> {
        let (id, room) = self.room().ok_or_else(|| reference_error("fewer chunks"))?;
        if chunk.id() != id {
            return Err(ImageError::Missing { id });
        }
        if chunk.payload().len() != room.len() {
            return Err(reference_error("a chunk of another length"));
        }
        room.copy_from_slice(chunk.payload());
        self.settled += chunk.payload().len();
        self.next += 1;
        Ok(())
    }

    /// The next piece and the place for its bytes. [`Pieces::settle`] comes next.
    pub fn room(&mut self) -> Option<(ChunkId, &mut [u8])> {
        let piece = self.image.chunks.get(self.next)?;
        let room = self.blob.get_mut(self.settled..)?.get_mut(..size(piece.bytes))?;
        Some((piece.id, room))
    }

    /// Takes the bytes in the place that [`Pieces::room`] gave for the next piece.
    ///
    /// # Errors
    /// When they have another hash.
    pub fn settle(&mut self) -> Result<(), ImageError> {
        let (id, room) = self.room().ok_or_else(|| reference_error("fewer chunks"))?;
        let length = Chunk::verified(id, &*room)?.payload().len();
        self.settled += length;
        self.next += 1;
        Ok(())
    }

    /// The blob, when all pieces are in their places.
    ///
    /// # Errors
    /// When some are missing.
    pub fn finish(self) -> Result<Vec<u8>, ImageError> {
        match self.image.chunks.get(self.next) {
            Some(missing) => Err(ImageError::Missing { id: missing.id }),
            None => Ok(self.blob),
        }
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
