//! From a state to chunks.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::assemble::check_repetition;
use super::{CellImage, Chunk, ChunkId, ChunkReference, ImageError, ImageReference, SectionImage};
use crate::layout::{Layout, Matrix, MemoryShape, Section, State, append_section};

/// Cells per chunk unless told otherwise.
pub const DEFAULT_CHUNK_TOKENS: u32 = 256;
/// Bytes per chunk of an opaque image.
const OPAQUE_CHUNK_BYTES: usize = 8 << 20;

/// How to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOptions {
    /// Cells per chunk, at least 1.
    pub chunk_tokens: u32,
    /// Leave out the last cell, so that its token can be evaluated again after a load. Only for states of attention
    /// caches whose last cell is the sequence's last position.
    pub drop_last: bool,
}

/// A cut state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// For the session document.
    pub reference: ImageReference,
    /// For the sidecar: every chunk of the reference, in its order.
    pub chunks: Vec<Chunk<'a>>,
}

impl Default for CutOptions {
    fn default() -> Self {
        Self { chunk_tokens: DEFAULT_CHUNK_TOKENS, drop_last: false }
    }
}

/// Cuts a state into chunks in the framing of `layout`, for sequence 0 in a single stream.
///
/// Attention sections are cut at every [`CutOptions::chunk_tokens`]th position of the sequence, so that a later save of the
/// grown sequence has the same chunks but the last, and a window that has dropped its first cells has those between.
/// Recurrent state is one chunk.
///
/// # Errors
/// When the layout cannot represent the state, or the last cell cannot be dropped.
pub fn cut(state: &State<'_>, layout: &Layout, options: CutOptions) -> Result<Cut<'static>, ImageError> {
    let plan = CutPlan::of(state, layout, options)?;
    let payload = |at| plan.payload(at).map(|payload| Chunk::new(payload.into_owned()));
    let chunks = (0..plan.chunks()).map(payload).collect::<Result<Vec<_>, _>>()?;
    let reference = plan.reference(&named(&chunks))?;
    Ok(Cut { reference, chunks })
}

/// Where a state will be cut, so that its chunks can be made one at a time.
#[derive(Clone, Debug)]
pub struct CutPlan<'a> {
    layout: &'a Layout,
    chunk_tokens: u32,
    sections: Vec<Section<'a>>,
    /// Section and cells of every chunk.
    pieces: Vec<(usize, Range<usize>)>,
    /// Chunks of an earlier cut that come before the first section's.
    kept: Vec<ChunkReference>,
    /// Sections whose payload lies somewhere as it is.
    payloads: HashMap<usize, &'a [u8]>,
}

impl<'a> CutPlan<'a> {
    /// As [`cut`] would.
    ///
    /// # Errors
    /// When the last cell cannot be dropped.
    pub fn of(state: &State<'a>, layout: &'a Layout, options: CutOptions) -> Result<Self, ImageError> {
        if options.chunk_tokens == 0 {
            return Err(ImageError::Reference { what: "chunks of no cells".to_owned() });
        }
        let sections = state.sections.iter().map(|section| {
            if options.drop_last { without_last(section, state) } else { Ok(section.clone()) }
        });
        let sections = sections.collect::<Result<Vec<_>, _>>()?;
        let pieces = sections
            .iter()
            .enumerate()
            .flat_map(|(at, section)| {
                ranges(section, options.chunk_tokens as usize).into_iter().map(move |cells| (at, cells))
            })
            .collect();
        let (kept, payloads) = (Vec::new(), HashMap::new());
        Ok(Self { layout, chunk_tokens: options.chunk_tokens, sections, pieces, kept, payloads })
    }

    /// The cells of the first section go on where these chunks of an earlier cut end, with the positions that follow.
    #[must_use]
    pub fn behind(self, kept: &[ChunkReference]) -> Self {
        Self { kept: kept.to_vec(), ..self }
    }

    /// Recurrent sections are not copied: `places` says where in `bytes`, which the state was read from, each section lies.
    #[must_use]
    pub fn lying_in(mut self, bytes: &'a [u8], places: &[Range<usize>]) -> Self {
        for (at, (section, place)) in self.sections.iter().zip(places).enumerate() {
            if let (Section::Recurrent(_), Some(payload)) = (section, bytes.get(place.clone())) {
                self.payloads.insert(at, payload);
            }
        }
        self
    }

    /// How many chunks there will be.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.pieces.len()
    }

    /// The payload of a chunk.
    ///
    /// # Errors
    /// When the layout cannot represent it.
    pub fn payload(&self, at: usize) -> Result<Cow<'a, [u8]>, ImageError> {
        self.payload_in(at, Vec::new())
    }

    /// The same, in a buffer that held something else.
    ///
    /// # Errors
    /// As [`CutPlan::payload`].
    pub fn payload_in(&self, at: usize, mut buffer: Vec<u8>) -> Result<Cow<'a, [u8]>, ImageError> {
        let no_chunk = || ImageError::Reference { what: format!("no chunk {at}") };
        let (section, cells) = self.pieces.get(at).ok_or_else(no_chunk)?;
        buffer.clear();
        match (&self.sections[*section], self.payloads.get(section)) {
            (Section::Attention(attention), _) => {
                let piece = Section::Attention(attention.slice(cells.clone()));
                append_section(&mut buffer, &piece, self.layout)?;
            }
            (Section::Recurrent(_), Some(payload)) => return Ok(Cow::Borrowed(payload)),
            (recurrent, None) => append_section(&mut buffer, recurrent, self.layout)?,
        }
        Ok(Cow::Owned(buffer))
    }

    /// The image that these chunks, by id and length, are when they are put together in order, behind those that were kept.
    ///
    /// # Errors
    /// When there is another number of them, or too many are the same.
    pub fn reference(&self, chunks: &[(ChunkId, u64)]) -> Result<ImageReference, ImageError> {
        if chunks.len() != self.pieces.len() {
            return Err(ImageError::Reference { what: format!("{} chunks", chunks.len()) });
        }
        let mut sections: Vec<_> = self.sections.iter().map(SectionImage::of).collect::<Result<_, _>>()?;
        let behind = match (self.kept.last(), sections.first_mut()) {
            (Some(last), Some(first)) => {
                let behind = last.first_cell + last.cells;
                first.cells += behind;
                first.first_position = first.first_position.saturating_sub_unsigned(behind);
                first.chunks.clone_from(&self.kept);
                behind
            }
            _ => 0,
        };
        for ((at, cells), &(id, bytes)) in self.pieces.iter().zip(chunks) {
            let behind = if *at == 0 { behind } else { 0 };
            let (first_cell, cells) = (behind + small(cells.start)?, small(cells.len())?);
            sections[*at].chunks.push(ChunkReference { id, first_cell, cells, bytes });
        }
        let shape = MemoryShape { sections: self.sections.iter().map(Section::shape).collect() };
        let reference = ImageReference::Cells(CellImage {
            layout: self.layout.id.to_owned(),
            shape,
            chunk_tokens: self.chunk_tokens,
            bytes: sections.iter().flat_map(|section| &section.chunks).map(|chunk| chunk.bytes).sum(),
            sections,
        });
        check_repetition(reference.chunk_ids())?;
        Ok(reference)
    }
}

/// Stores a blob that was not understood: it can only go back to where it came from.
#[must_use]
pub fn cut_opaque(blob: &[u8], reason: impl Into<String>) -> Cut<'_> {
    let mut chunks: Vec<_> = blob.chunks(OPAQUE_CHUNK_BYTES).map(Chunk::new).collect();
    let distinct: HashSet<_> = chunks.iter().map(Chunk::id).collect();
    if distinct.len() < chunks.len() {
        // An image names each chunk once.
        chunks = vec![Chunk::new(blob)];
    }
    let reference = ImageReference::opaque(chunks.iter().map(Chunk::entry), reason);
    Cut { reference, chunks }
}

fn without_last<'a>(section: &Section<'a>, state: &State<'_>) -> Result<Section<'a>, ImageError> {
    let Section::Attention(attention) = section else { return Err(ImageError::Untrimmable) };
    let Some(last) = attention.cells.last() else { return Ok(section.clone()) };
    let alone = attention.cells.iter().filter(|cell| cell.position >= last.position).count() == 1;
    if !alone || state.last_position() != Some(last.position) {
        return Err(ImageError::Untrimmable);
    }
    Ok(Section::Attention(attention.slice(0..attention.cells.len() - 1)))
}

fn named(chunks: &[Chunk<'_>]) -> Vec<(ChunkId, u64)> {
    chunks.iter().map(Chunk::entry).collect()
}

impl SectionImage {
    /// What an image says of a section, before it has chunks.
    ///
    /// # Errors
    /// When it has more cells than an image can count.
    pub fn of(section: &Section<'_>) -> Result<Self, ImageError> {
        let (transposed, rotation, keys, values) = match section {
            Section::Attention(section) => {
                (section.transposed, section.rotation, &section.keys, &section.values)
            }
            Section::Recurrent(section) => (false, None, &section.rows, &section.states),
        };
        Ok(Self {
            cells: small(section.cell_count())?,
            first_position: section.first_position().unwrap_or(-1),
            last_position: section.last_position().unwrap_or(-1),
            transposed,
            rotation,
            key_type: type_name(keys).unwrap_or_else(|| "none".to_owned()),
            value_type: type_name(values),
            chunks: Vec::new(),
        })
    }
}

fn ranges(section: &Section<'_>, chunk_tokens: usize) -> Vec<Range<usize>> {
    let cells = section.cell_count();
    let first = match section {
        Section::Attention(attention) => attention.cells.first(),
        Section::Recurrent(_) => None,
    };
    let Some(first) = first else { return std::iter::once(0..cells).collect() };
    let passed = usize::try_from(first.position).unwrap_or(0) % chunk_tokens;
    let borders = (0..cells.saturating_add(passed)).step_by(chunk_tokens);
    borders
        .map(|border| border.saturating_sub(passed)..border.saturating_add(chunk_tokens - passed).min(cells))
        .collect()
}

fn type_name(matrices: &[Matrix<'_>]) -> Option<String> {
    matrices.first().map(|matrix| matrix.kind.to_string())
}

fn small(value: usize) -> Result<u32, ImageError> {
    u32::try_from(value).map_err(|_| ImageError::Reference { what: format!("{value} cells") })
}
