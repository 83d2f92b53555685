//! From chunks back to a state that llama.cpp takes.

use std::collections::{HashMap, HashSet};

use super::{
    CellImage, Chunk, ChunkId, ChunkReference, ImageError, ImageReference, OpaqueImage, Pieces, SectionImage,
};
use crate::layout::{Container, Layout, MemoryShape, Section, State, StreamShape, encode, parse_section};

/// What the reader needs: the framing of the assembled state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Layout of the reading release.
    pub layout: &'static Layout,
    /// Raw blob for `llama_state_seq_set_data`, or the body of a sequence file.
    pub container: Container,
    /// The stream that the reader keeps the sequence in.
    pub streams: StreamShape,
    /// Sequence id to write. llama.cpp ignores it in favour of the one it is given.
    pub sequence: i32,
    /// The reader's own memory shape, where it is known: releases differ in whether the cell extension is seen.
    pub shape: Option<MemoryShape>,
}

impl Target {
    /// A raw blob for sequence 0 of a unified cache.
    #[must_use]
    pub const fn blob(layout: &'static Layout) -> Self {
        Self { layout, container: Container::Blob, streams: StreamShape::SINGLE, sequence: 0, shape: None }
    }
}

/// Bytes of chunks that an image may name more than once. Equal chunks are rare and small (sections without rows); without
/// a limit a small file could ask for any amount of memory.
const REPEATED_BYTES: u64 = 64 << 10;

/// Puts an image together as one state in the target's framing. Every chunk is parsed to its last byte on the way, so the
/// result holds nothing that was not understood.
///
/// # Errors
/// When a chunk is missing, does not parse, or is not what the reference says; when the target cannot represent the state;
/// for opaque images when the target is not a raw blob.
pub fn assemble(
    reference: &ImageReference,
    chunks: &[Chunk<'_>],
    target: &Target,
) -> Result<Vec<u8>, ImageError> {
    check_repetition(reference.chunk_ids())?;
    match reference {
        ImageReference::Cells(image) => {
            let mut state = state(image, chunks)?;
            state.sequence = target.sequence;
            state.streams = target.streams;
            if let Some(shape) = &target.shape {
                adopt_shape(&mut state, shape)?;
            }
            Ok(encode(&state, target.layout, target.container)?)
        }
        ImageReference::Opaque(image) => opaque(image, chunks, target),
    }
}

/// Reads an image as one state that borrows the chunks.
///
/// # Errors
/// When a chunk is missing, does not parse, or is not what the reference says.
pub fn state<'a>(image: &CellImage, chunks: &'a [Chunk<'_>]) -> Result<State<'a>, ImageError> {
    check_sections(image)?;
    let by_id = index(chunks);
    let sections = image
        .sections
        .iter()
        .enumerate()
        .map(|(at, section)| {
            let mut joined: Option<Section<'a>> = None;
            let mut next_cell = 0;
            for reference in &section.chunks {
                let chunk = by_id.get(&reference.id).ok_or(ImageError::Missing { id: reference.id })?;
                if reference.first_cell != next_cell {
                    return Err(reference_error("chunks that do not follow each other"));
                }
                let parsed = part(image, at, reference, chunk)?;
                if parsed.cell_count() != reference.cells as usize {
                    return Err(reference_error("a chunk with another number of cells"));
                }
                next_cell = next_cell
                    .checked_add(reference.cells)
                    .ok_or_else(|| reference_error("too many cells"))?;
                joined = Some(match joined {
                    None => parsed,
                    Some(before) => join(before, parsed)?,
                });
            }
            let joined = joined.ok_or_else(|| reference_error("a section without chunks"))?;
            check_extent(section, next_cell, joined.first_position(), joined.last_position())?;
            Ok(joined)
        })
        .collect::<Result<_, _>>()?;
    Ok(State { sequence: 0, streams: StreamShape::SINGLE, sections })
}

/// Reads a chunk of section `at` of an image, to its last byte.
///
/// # Errors
/// When it does not parse, or is not what the image says of the section.
pub fn part<'a>(
    image: &CellImage,
    at: usize,
    reference: &ChunkReference,
    chunk: &'a Chunk<'_>,
) -> Result<Section<'a>, ImageError> {
    let layout =
        Layout::by_id(&image.layout).ok_or_else(|| ImageError::UnknownLayout { id: image.layout.clone() })?;
    let (wanted, shape) = image
        .sections
        .get(at)
        .zip(image.shape.sections.get(at))
        .ok_or_else(|| reference_error("fewer sections"))?;
    if chunk.id() != reference.id {
        return Err(ImageError::Missing { id: reference.id });
    }
    if chunk.payload().len() as u64 != reference.bytes {
        return Err(reference_error("a chunk of another length"));
    }
    let mut section = parse_section(chunk.payload(), layout, shape)
        .map_err(|cause| ImageError::Chunk { id: reference.id, cause })?;
    let (transposed, rotation) = match &section {
        Section::Attention(found) => (found.transposed, found.rotation),
        Section::Recurrent(_) => (false, None),
    };
    if transposed != wanted.transposed || (rotation.is_some() && rotation != wanted.rotation) {
        return Err(reference_error("a transposition or rotation that its chunks do not have"));
    }
    if let Section::Attention(attention) = &mut section {
        attention.rotation = attention.rotation.or(wanted.rotation);
    }
    Ok(section)
}

/// Fails for an image that has not one entry with chunks for every section.
pub(super) fn check_sections(image: &CellImage) -> Result<(), ImageError> {
    if image.sections.len() != image.shape.sections.len() {
        return Err(reference_error("a section list and a shape of different lengths"));
    }
    if image.sections.iter().any(|section| section.chunks.is_empty()) {
        return Err(reference_error("a section without chunks"));
    }
    Ok(())
}

fn join<'a>(before: Section<'a>, next: Section<'a>) -> Result<Section<'a>, ImageError> {
    match (before, next) {
        (Section::Attention(mut before), Section::Attention(next)) => {
            before.join(next)?;
            Ok(Section::Attention(before))
        }
        _ => Err(reference_error("a recurrent section in several chunks")),
    }
}

/// Fails for a section whose chunks have other cells together than the image says.
pub(super) fn check_extent(
    wanted: &SectionImage,
    cells: u32,
    first_position: Option<i32>,
    last_position: Option<i32>,
) -> Result<(), ImageError> {
    if cells != wanted.cells
        || first_position.unwrap_or(-1) != wanted.first_position
        || last_position.unwrap_or(-1) != wanted.last_position
    {
        return Err(reference_error("cells or positions that its chunks do not have"));
    }
    Ok(())
}

fn adopt_shape(state: &mut State<'_>, shape: &MemoryShape) -> Result<(), ImageError> {
    use crate::layout::SectionShape;
    let differs = || ImageError::Shape { saved: state.shape(), here: shape.clone() };
    let mine = state.shape();
    if mine.sections.len() != shape.sections.len() {
        return Err(differs());
    }
    for (section, wanted) in mine.sections.iter().zip(&shape.sections) {
        let same = match (section, wanted) {
            (SectionShape::Attention(mine), SectionShape::Attention(wanted)) => mine.values == wanted.values,
            (mine, wanted) => mine == wanted,
        };
        if !same {
            return Err(differs());
        }
    }
    for (section, wanted) in state.sections.iter_mut().zip(&shape.sections) {
        if let (Section::Attention(section), SectionShape::Attention(wanted)) = (section, wanted) {
            section.shape = *wanted;
        }
    }
    Ok(())
}

fn opaque(image: &OpaqueImage, chunks: &[Chunk<'_>], target: &Target) -> Result<Vec<u8>, ImageError> {
    if target.container != Container::Blob {
        return Err(ImageError::Opaque);
    }
    let by_id = index(chunks);
    let mut pieces = Pieces::new(image)?;
    for piece in &image.chunks {
        pieces.place(by_id.get(&piece.id).ok_or(ImageError::Missing { id: piece.id })?)?;
    }
    pieces.finish()
}

/// Fails for an image that names so many chunks repeatedly that its size has nothing to do with that of its file.
pub(super) fn check_repetition(chunks: impl Iterator<Item = (ChunkId, u64)>) -> Result<(), ImageError> {
    let mut seen = HashSet::new();
    let repeated = chunks.filter(|(id, _)| !seen.insert(*id));
    let bytes = repeated.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(bytes));
    if bytes > REPEATED_BYTES { Err(reference_error("the same chunk many times")) } else { Ok(()) }
}

fn index<'a, 'c>(chunks: &'a [Chunk<'c>]) -> HashMap<ChunkId, &'a Chunk<'c>> {
    chunks.iter().map(|chunk| (chunk.id(), chunk)).collect()
}

pub(super) fn reference_error(what: &str) -> ImageError {
    ImageError::Reference { what: what.to_owned() }
}
