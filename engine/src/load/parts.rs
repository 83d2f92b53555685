//! Chunks of a cache that keeps every cell, each put into the context on its own.

use intact_format::image::{self, CellImage, Chunk, ChunkReference, SectionImage};
use intact_format::layout::{BLOB_MAGIC, Container, Distances, Layout, Section, State, encode};
use intact_format::place::SessionSource;
use intact_format::route::Refusal;
use intact_format::transcode::{self, Geometry};

use super::image::{damaged, engine_failed, unlike};
use super::stream::read_all;
use crate::llama::{Context, Part, SequenceState};
use crate::probe::Understood;

/// A chunk in the form of the memory here.
struct Prepared {
    state: SequenceState,
    first_cell: u32,
    distances: Distances,
}

/// Puts the chunks of a section into an empty context, one behind the other.
pub(super) fn restore_parts(
    context: &mut Context,
    image: &CellImage,
    section: &SectionImage,
    here: &Understood,
    geometry: &Geometry<'_>,
    source: &dyn SessionSource,
) -> Result<Distances, Refusal> {
    geometry.accept(&image.shape).map_err(unlike)?;
    let wanted: Vec<_> = section.chunks.iter().map(|chunk| (chunk.id, chunk.bytes)).collect();
    // A chunk in the layout that is used here is a state of its cells, behind the prefix of that layout.
    let same = image.layout == here.layout.id && image.shape == here.shape && is_turned_alike(section, here);
    let prefix = if same { prefix(here.layout) } else { Vec::new() };
    let prepare = |at: usize, chunk: Chunk<'static>| -> Result<Prepared, Refusal> {
        let part = &section.chunks[at];
        if same && has_cells(chunk.bytes(), here, part) {
            #[expect(unsafe_code, reason = "the chunk was verified")]
            // SAFETY: its hash is the one that the document names, and it parsed as the cells of this memory.
            let state = unsafe { SequenceState::assume_verified(chunk.into_bytes()) };
            return Ok(Prepared { state, first_cell: part.first_cell, distances: Distances::default() });
        }
        let saved = image::part(image, 0, part, &chunk).map_err(damaged)?;
        let (brought, distances) = transcode::section(saved, 0, geometry).map_err(unlike)?;
        let state = State { sequence: 0, streams: here.streams, sections: vec![brought] };
        let bytes = encode(&state, here.layout, Container::Blob).map_err(unlike)?;
        if !has_cells(&bytes, here, part) {
            return Err(damaged(format!("chunk {} holds other cells than the document says", part.id)));
        }
        #[expect(unsafe_code, reason = "it was encoded here")]
        // SAFETY: what was encoded comes of a chunk with the right hash, and it parsed as the cells of this memory.
        let state = unsafe { SequenceState::assume_verified(bytes) };
        Ok(Prepared { state, first_cell: part.first_cell, distances })
    };
    let mut distances = Distances::default();
    let mut first = None;
    let mut appending = context.appending().map_err(engine_failed)?;
    let take = |Prepared { state, first_cell, distances: apart }: Prepared| {
        first.get_or_insert(state.bytes().len() as u64);
        appending.push(&state, first_cell).map_err(engine_failed)?;
        distances.join(apart);
        Ok(Some(state.into_bytes()))
    };
    read_all(source, &wanted, &prefix, prepare, take)?;
    drop(appending);
    // Every cell adds as many bytes to a state.
    let behind = section.chunks.iter().skip(1).map(|chunk| u64::from(chunk.cells)).sum::<u64>();
    let wanted = first.unwrap_or_default() + behind * here.cell_bytes();
    let arrived = context.state_size(Part::Whole) as u64;
    if arrived == wanted {
        return Ok(distances);
    }
    Err(engine_failed(format!("{wanted} bytes of state became {arrived}")))
}

/// Are K and V stored in the basis of the memory here? Their bytes do not tell before 0.6.0.
fn is_turned_alike(section: &SectionImage, here: &Understood) -> bool {
    let turned = here.sections.first().and_then(|form| form.rotation);
    section.rotation.is_none() || turned.is_none() || section.rotation == turned
}

/// Is this a state for the memory here, of exactly the cells of a chunk? A cell's position is its index.
fn has_cells(bytes: &[u8], here: &Understood, part: &ChunkReference) -> bool {
    let Ok(state) = here.parse(bytes) else { return false };
    let [Section::Attention(cache)] = state.sections.as_slice() else { return false };
    cache.is_at(part.first_cell as usize..part.first_cell.saturating_add(part.cells) as usize)
}

/// What comes before the payload of a chunk in a state of sequence 0.
fn prefix(layout: &Layout) -> Vec<u8> {
    if layout.blob_prefix { [BLOB_MAGIC.to_le_bytes(), [0; 4]].concat() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use intact_format::layout::{MemoryShape, Rotation, StreamShape};

    use super::*;
    use crate::probe::SectionForm;

    #[test]
    fn cells_in_another_basis_are_not_taken_as_they_lie() {
        let turned = Rotation { keys: 64, values: 64 };
        let here = |rotation| Understood {
            layout: Layout::of_crate(146).expect("b8783, which does not record its rotation"),
            shape: MemoryShape { sections: Vec::new() },
            streams: StreamShape::SINGLE,
            sections: vec![SectionForm { transposed: false, rotation, keys: Vec::new(), values: Vec::new() }],
        };
        let saved = |rotation| SectionImage {
            cells: 0,
            first_position: 0,
            last_position: 0,
            transposed: false,
            rotation,
            key_type: "q8_0".into(),
            value_type: None,
            chunks: Vec::new(),
        };
        let plain = Some(Rotation::default());
        for (from, to, alike) in [
            (plain, plain, true),
            (Some(turned), Some(turned), true),
            (Some(turned), plain, false),
            (plain, Some(turned), false),
            (None, Some(turned), true),
        ] {
            assert_eq!(is_turned_alike(&saved(from), &here(to)), alike, "{from:?} to {to:?}");
        }
    }
}
