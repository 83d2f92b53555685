//! From a state to chunks.

use std::collections::HashSet;
use std::ops::Range;

use super::assemble::check_repetition;
use super::{
    CellImage, Chunk, ChunkReference, ImageError, ImageReference, OpaqueChunk, OpaqueImage, SectionImage,
};
use crate::layout::{Layout, Matrix, Section, State, encode_section};

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
/// Attention sections that start the sequence are cut every [`CutOptions::chunk_tokens`] cells, so that a later save of
/// the grown sequence has the same chunks but the last. Window caches that have dropped cells, and recurrent state, are
/// one chunk each.
///
/// # Errors
/// When the layout cannot represent the state, or the last cell cannot be dropped.
pub fn cut(state: &State<'_>, layout: &Layout, options: CutOptions) -> Result<Cut<'static>, ImageError> {
    if options.chunk_tokens == 0 {
        return Err(ImageError::Reference { what: "chunks of no cells".to_owned() });
    }
    let mut chunks = Vec::new();
    let mut sections = Vec::new();
    for section in &state.sections {
        let whole = if options.drop_last { without_last(section, state)? } else { section.clone() };
        sections.push(cut_section(&whole, layout, options.chunk_tokens, &mut chunks)?);
    }
    let bytes = chunks.iter().map(|chunk: &Chunk<'_>| chunk.payload().len() as u64).sum();
    let (layout, shape, chunk_tokens) = (layout.id.to_owned(), state.shape(), options.chunk_tokens);
    let reference = ImageReference::Cells(CellImage { layout, shape, chunk_tokens, sections, bytes });
    check_repetition(&reference)?;
    Ok(Cut { reference, chunks })
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
    let pieces = chunks
        .iter()
        .map(|chunk| OpaqueChunk { id: chunk.id(), bytes: chunk.payload().len() as u64 })
        .collect();
    let image = OpaqueImage { chunks: pieces, bytes: blob.len() as u64, reason: reason.into() };
    Cut { reference: ImageReference::Opaque(image), chunks }
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

fn cut_section(
    section: &Section<'_>,
    layout: &Layout,
    chunk_tokens: u32,
    chunks: &mut Vec<Chunk<'static>>,
) -> Result<SectionImage, ImageError> {
    let cells = section.cell_count();
    let mut references = Vec::new();
    for range in ranges(section, chunk_tokens as usize) {
        let piece = match section {
            Section::Attention(attention) => Section::Attention(attention.slice(range.clone())),
            Section::Recurrent(_) => section.clone(),
        };
        let chunk = Chunk::new(encode_section(&piece, layout)?);
        references.push(ChunkReference {
            id: chunk.id(),
            first_cell: small(range.start)?,
            cells: small(range.len())?,
            bytes: chunk.payload().len() as u64,
        });
        chunks.push(chunk);
    }
    let (transposed, rotation, keys, values) = match section {
        Section::Attention(section) => (section.transposed, section.rotation, &section.keys, &section.values),
        Section::Recurrent(section) => (false, None, &section.rows, &section.states),
    };
    Ok(SectionImage {
        cells: small(cells)?,
        first_position: section.first_position().unwrap_or(-1),
        last_position: section.last_position().unwrap_or(-1),
        transposed,
        rotation,
        key_type: type_name(keys).unwrap_or_else(|| "none".to_owned()),
        value_type: type_name(values),
        chunks: references,
    })
}

fn ranges(section: &Section<'_>, chunk_tokens: usize) -> Vec<Range<usize>> {
    let cells = section.cell_count();
    match section {
        Section::Attention(attention) if attention.starts_the_sequence() && cells > 0 => (0..cells)
            .step_by(chunk_tokens)
            .map(|first| first..first.saturating_add(chunk_tokens).min(cells))
            .collect(),
        _ => std::iter::once(0..cells).collect(),
    }
}

fn type_name(matrices: &[Matrix<'_>]) -> Option<String> {
    matrices.first().map(|matrix| matrix.kind.to_string())
}

fn small(value: usize) -> Result<u32, ImageError> {
    u32::try_from(value).map_err(|_| ImageError::Reference { what: format!("{value} cells") })
}
