//! An image for a memory that takes whole states only: windows, recurrent state, several caches. Its chunks go into their
//! places in one state while others are read, so that no more than the state and some chunks are in memory.
//!
//! What has to be converted is converted chunk by chunk. So a section in a single chunk, which elsewhere is read into its place,
//! is in memory once more as it was read and twice as it will be, for as long as its conversion takes: recurrent state of
//! another release, and windows in files of versions that did not cut them.

use intact_format::image::{
    CellImage, Chunk, Gathering, ImageReference, OpaqueImage, Pieces, SectionImage, Target, part,
};
use intact_format::layout::{Distances, GgmlType, Order, Section, encode_section, parse_section};
use intact_format::place::SessionSource;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::transcode::{self, Geometry};

use super::image::{damaged, geometry, unlike};
use super::stream::{read_all, unreadable};
use crate::llama::{SequenceState, Token, zeroed};
use crate::probe::{Probe, SectionForm, Understood};

/// Reads an image as a state for a context: every chunk is hashed, parsed to its last byte, and brought into the form of the
/// context's memory. The state must hold all `tokens` but the last. Gives it with its distance from what was saved.
pub(super) fn state_of(
    probe: &Probe,
    reference: &ImageReference,
    source: &dyn SessionSource,
    tokens: &[Token],
) -> Result<(SequenceState, Distances), Refusal> {
    match (reference, probe.understood()) {
        (ImageReference::Cells(image), Some(here)) => {
            let formats = here.cache_formats();
            let (bytes, distances) = gather(image, here, &geometry(here, &formats, tokens), source)?;
            let state = here.parse(&bytes).map_err(damaged)?;
            let positions = tokens.len().saturating_sub(1);
            let last = state.last_position().and_then(|last| usize::try_from(last).ok());
            if last.map(|last| last + 1) != Some(positions) {
                return Err(damaged(format!("it ends at another position than {positions} tokens do")));
            }
            #[expect(unsafe_code, reason = "it was verified")]
            // SAFETY: every chunk of it has the hash that the document names, and the whole parsed as a state of this memory.
            let state = unsafe { SequenceState::assume_verified(bytes) };
            Ok((state, distances))
        }
        // The passports say that the release and every setting are the same, so the bytes go back as they were.
        (ImageReference::Opaque(image), None) => {
            let bytes = blob(image, source)?;
            #[expect(unsafe_code, reason = "its hashes are right, and no more can be known of it")]
            // SAFETY: every piece has the hash that the document names, whose passport says that a context of the same
            // release, model and settings wrote it.
            let state = unsafe { SequenceState::assume_verified(bytes) };
            Ok((state, Distances::default()))
        }
        _ => Err(Refusal::new(RefusalCode::LayoutDiffers, "the layout is known on one side only")),
    }
}

/// A chunk on its way to its place.
enum Prepared {
    /// It has the form of the memory here.
    AsSaved { at: usize, chunk: Chunk<'static> },
    /// It was converted.
    Converted { saved: Section<'static>, payload: Vec<u8>, distances: Distances },
}

fn gather(
    image: &CellImage,
    here: &Understood,
    geometry: &Geometry<'_>,
    source: &dyn SessionSource,
) -> Result<(Vec<u8>, Distances), Refusal> {
    geometry.accept(&image.shape).map_err(unlike)?;
    let target = Target { streams: here.streams, ..Target::blob(here.layout) };
    let mut gathering = Gathering::new_in(image, &target, zeroed).map_err(damaged)?;
    let mut distances = Distances::default();
    let forms = here.sections.iter().zip(&here.shape.sections);
    for (cache, (section, (form, shape))) in image.sections.iter().zip(forms).enumerate() {
        let same = image.layout == here.layout.id && image.shape == here.shape && is_of_form(section, form);
        if same && let Some((id, room)) = gathering.room() {
            source.read(id, room).map_err(unreadable)?;
            gathering.settle().map_err(damaged)?;
            continue;
        }
        let prepare = |at: usize, chunk: Chunk<'static>| {
            if same {
                return Ok(Prepared::AsSaved { at, chunk });
            }
            let saved = part(image, cache, &section.chunks[at], &chunk).map_err(damaged)?;
            let emptied = saved.emptied();
            let (brought, distances) = transcode::section(saved, cache, geometry).map_err(unlike)?;
            let payload = encode_section(&brought, here.layout).map_err(unlike)?;
            Ok(Prepared::Converted { saved: emptied, payload, distances })
        };
        let take = |prepared| match prepared {
            Prepared::AsSaved { at, chunk } => {
                let saved = part(image, cache, &section.chunks[at], &chunk).map_err(damaged)?;
                gathering.place(&saved, &saved).map_err(damaged)?;
                Ok(Some(chunk.into_bytes()))
            }
            Prepared::Converted { saved, payload, distances: apart } => {
                let brought = parse_section(&payload, here.layout, shape).map_err(damaged)?;
                gathering.place(&saved, &brought).map_err(damaged)?;
                distances.join(apart);
                Ok(Some(payload))
            }
        };
        let wanted: Vec<_> = section.chunks.iter().map(|chunk| (chunk.id, chunk.bytes)).collect();
        read_all(source, &wanted, &[], prepare, take)?;
    }
    Ok((gathering.finish().map_err(damaged)?, distances))
}

/// Does an image say of a section that it has the form of a cache here? Whether that is so shows when the state is read.
fn is_of_form(section: &SectionImage, form: &SectionForm) -> bool {
    let kind = |matrices: &[(i32, Order)]| matrices.first().map(|(kind, _)| GgmlType(*kind).to_string());
    section.transposed == form.transposed
        && section.rotation == form.rotation
        && Some(&section.key_type) == kind(&form.keys).as_ref()
        && section.value_type == kind(&form.values)
}

fn blob(image: &OpaqueImage, source: &dyn SessionSource) -> Result<Vec<u8>, Refusal> {
    let mut pieces = Pieces::new_in(image, zeroed).map_err(damaged)?;
    if let ([_], Some((id, room))) = (image.chunks.as_slice(), pieces.room()) {
        source.read(id, room).map_err(unreadable)?;
        pieces.settle().map_err(damaged)?;
    } else {
        let wanted: Vec<_> = image.chunks.iter().map(|piece| (piece.id, piece.bytes)).collect();
        let take = |chunk: Chunk<'static>| {
            pieces.place(&chunk).map_err(damaged)?;
            Ok(Some(chunk.into_bytes()))
        };
        read_all(source, &wanted, &[], |_, chunk| Ok(chunk), take)?;
    }
    pieces.finish().map_err(damaged)
}
