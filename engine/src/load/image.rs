//! An image on its way into a context: nothing reaches llama.cpp that was not understood.

use intact_format::image::{self, CellImage, Chunk, ImageReference, Target, assemble};
use intact_format::layout::{Container, Layout, Section, SectionShape, encode};
use intact_format::route::{Refusal, RefusalCode};

use crate::llama::{Context, Part, SequenceState};
use crate::probe::{Probe, Understood};

/// The image as a state for a context: its chunks were hashed when they were read; here they are parsed to the last byte,
/// brought into the form of the context's memory, and compared with it. The state must hold `positions` positions.
pub(super) fn state_for(
    probe: &Probe,
    reference: &ImageReference,
    chunks: &[Chunk<'_>],
    positions: usize,
) -> Result<SequenceState, Refusal> {
    match (reference, probe.understood()) {
        (ImageReference::Cells(image), Some(here)) => {
            let bytes = encoded(image, chunks, here)?;
            let state = here.parse(&bytes).map_err(damaged)?;
            let last = state.last_position().and_then(|last| usize::try_from(last).ok());
            if last.map(|last| last + 1) != Some(positions) {
                return Err(damaged(format!("it ends at another position than {positions} tokens do")));
            }
            Ok(SequenceState::verified(bytes))
        }
        // The passports say that the release and every setting are the same, so the bytes go back as they were.
        (ImageReference::Opaque(_), None) => {
            let target = Target::blob(Layout::newest());
            Ok(SequenceState::verified(assemble(reference, chunks, &target).map_err(damaged)?))
        }
        _ => Err(Refusal::new(RefusalCode::LayoutDiffers, "the layout is known on one side only")),
    }
}

/// Puts a state into an empty context and makes sure that all of it arrived: llama.cpp's own success only says that it
/// read something.
pub(super) fn put(context: &mut Context, state: &SequenceState, positions: usize) -> Result<(), Refusal> {
    context.restore(state).map_err(engine_failed)?;
    let last = context.positions().map(|(_, last)| last + 1);
    if last != Some(positions) {
        return Err(engine_failed(format!(
            "{positions} positions were restored and the memory ends at {last:?}"
        )));
    }
    let (given, size) = (state.bytes().len(), context.state_size(Part::Whole));
    if size != given {
        return Err(engine_failed(format!("{given} bytes of state became {size}")));
    }
    Ok(())
}

/// An image in the framing and the form of this memory. Where nothing differs, the bytes are the ones that were saved.
fn encoded(image: &CellImage, chunks: &[Chunk<'_>], here: &Understood) -> Result<Vec<u8>, Refusal> {
    let cannot = |error: &dyn std::fmt::Display| Refusal::new(RefusalCode::LayoutDiffers, error);
    let saved = image::state(image, chunks).map_err(damaged)?;
    let (mut state, _) = saved.convert(&here.cache_formats()).map_err(|error| cannot(&error))?;
    if state.sections.len() != here.shape.sections.len() {
        return Err(cannot(&"the model has another number of caches here"));
    }
    state.sequence = 0;
    state.streams = here.streams;
    for (section, shape) in state.sections.iter_mut().zip(&here.shape.sections) {
        if let (Section::Attention(section), SectionShape::Attention(shape)) = (section, shape) {
            section.shape = *shape;
        }
    }
    encode(&state, here.layout, Container::Blob).map_err(|error| cannot(&error))
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::ImageDamaged, error)
}

fn engine_failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::EngineFailed, error)
}
