//! An image on its way into a context: nothing reaches llama.cpp that was not understood.

use intact_format::image::{self, CellImage, Chunk, ImageReference, Target, assemble};
use intact_format::layout::{Container, Distances, Layout, encode};
use intact_format::route::{Refusal, RefusalCode};
use intact_format::transcode::{self, Geometry, Transcoded};

use crate::llama::{Context, Part, SequenceState, Token};
use crate::probe::{Probe, Understood};

/// The image as a state for a context: its chunks were hashed when they were read; here they are parsed to the last byte,
/// brought into the form of the context's memory, and compared with it. The state must hold all `tokens` but the last. Gives
/// it with its distance from what was saved.
pub(super) fn state_for(
    probe: &Probe,
    reference: &ImageReference,
    chunks: &[Chunk<'_>],
    tokens: &[Token],
) -> Result<(SequenceState, Distances), Refusal> {
    let positions = tokens.len().saturating_sub(1);
    match (reference, probe.understood()) {
        (ImageReference::Cells(image), Some(here)) => {
            let (bytes, distances) = encoded(image, chunks, here, tokens)?;
            let state = here.parse(&bytes).map_err(damaged)?;
            let last = state.last_position().and_then(|last| usize::try_from(last).ok());
            if last.map(|last| last + 1) != Some(positions) {
                return Err(damaged(format!("it ends at another position than {positions} tokens do")));
            }
            Ok((SequenceState::verified(bytes), distances))
        }
        // The passports say that the release and every setting are the same, so the bytes go back as they were.
        (ImageReference::Opaque(_), None) => {
            let target = Target::blob(Layout::newest());
            let bytes = assemble(reference, chunks, &target).map_err(damaged)?;
            Ok((SequenceState::verified(bytes), Distances::default()))
        }
        _ => Err(Refusal::new(RefusalCode::LayoutDiffers, "the layout is known on one side only")),
    }
}

/// Puts a state into an empty context and makes sure that all of it arrived: llama.cpp's own success only says that it
/// read something.
pub(super) fn put(
    context: &mut Context,
    here: Option<&Understood>,
    state: &SequenceState,
    positions: usize,
) -> Result<(), Refusal> {
    context.restore(state).map_err(engine_failed)?;
    let last = context.positions().map(|(_, last)| last + 1);
    if last != Some(positions) {
        return Err(engine_failed(format!(
            "{positions} positions were restored and the memory ends at {last:?}"
        )));
    }
    let (given, size) = (state.bytes().len(), context.state_size(Part::Whole));
    if size != given && !holds(context, here, state)? {
        return Err(engine_failed(format!("{given} bytes of state became {size}")));
    }
    Ok(())
}

/// Did the memory lose nothing but what its windows have passed?
fn holds(context: &Context, here: Option<&Understood>, given: &SequenceState) -> Result<bool, Refusal> {
    let Some(here) = here else { return Ok(false) };
    let found = context.state(Part::Whole).map_err(engine_failed)?;
    let states = here.parse(given.bytes()).and_then(|given| Ok((given, here.parse(found.bytes())?)));
    Ok(states.is_ok_and(|(given, found)| transcode::holds(&given, &found, here.layout)))
}

/// An image in the framing and the form of this memory. Where nothing differs, the bytes are the ones that were saved.
fn encoded(
    image: &CellImage,
    chunks: &[Chunk<'_>],
    here: &Understood,
    tokens: &[Token],
) -> Result<(Vec<u8>, Distances), Refusal> {
    let saved = image::state(image, chunks).map_err(damaged)?;
    let formats = here.cache_formats();
    let geometry = Geometry {
        layout: here.layout,
        shape: &here.shape,
        formats: &formats,
        streams: here.streams,
        tokens,
    };
    let Transcoded { state, distances } = transcode::image(saved, &geometry).map_err(unlike)?;
    Ok((encode(&state, here.layout, Container::Blob).map_err(unlike)?, distances))
}

fn unlike(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::LayoutDiffers, error)
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::ImageDamaged, error)
}

fn engine_failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::EngineFailed, error)
}
