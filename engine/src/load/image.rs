//! An image on its way into a context: nothing reaches llama.cpp that was not hashed and understood.

use intact_format::image::ImageReference;
use intact_format::layout::{CacheFormat, Container, Distances, SectionShape, State, StreamShape, encode};
use intact_format::place::SessionSource;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::transcode::{self, Geometry, Transcoded};

use super::parts::restore_parts;
use super::whole::state_of;
use crate::llama::{Context, Part, SequenceState, Token};
use crate::probe::{Probe, Understood};
use crate::session::Memory;

/// Puts an image into an empty context, which must hold all `tokens` but the last afterwards. Gives its distance from what
/// was saved.
///
/// Where the memory can take a part of a sequence, every chunk goes there on its own, while others are read and hashed.
/// Elsewhere each goes to its place in one state, which goes there when it is whole.
pub(super) fn restore(
    context: &mut Context,
    memory: Memory,
    probe: &Probe,
    reference: &ImageReference,
    source: &dyn SessionSource,
    tokens: &[Token],
) -> Result<Distances, Refusal> {
    let positions = tokens.len().saturating_sub(1);
    if let (ImageReference::Cells(image), Some(here)) = (reference, probe.understood())
        && let ([section], [SectionShape::Attention(_)]) =
            (image.sections.as_slice(), here.shape.sections.as_slice())
        && memory.can_be_cut()
        && context.scratch().is_some()
        && here.streams == StreamShape::SINGLE
    {
        let formats = here.cache_formats();
        let distances =
            restore_parts(context, image, section, here, &geometry(here, &formats, tokens), source)?;
        arrived(context, positions)?;
        return Ok(distances);
    }
    let (state, distances) = state_of(probe, reference, source, tokens)?;
    put(context, probe.understood(), &state, positions)?;
    Ok(distances)
}

/// Puts a state into an empty context and makes sure that all of it arrived: llama.cpp's own success only says that it
/// read something.
pub(crate) fn put(
    context: &mut Context,
    here: Option<&Understood>,
    state: &SequenceState,
    positions: usize,
) -> Result<(), Refusal> {
    context.restore(state).map_err(engine_failed)?;
    arrived(context, positions)?;
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

/// Does the memory end where it should?
fn arrived(context: &Context, positions: usize) -> Result<(), Refusal> {
    let last = context.positions().map(|(_, last)| last + 1);
    if last == Some(positions) {
        return Ok(());
    }
    Err(engine_failed(format!("{positions} positions were restored and the memory ends at {last:?}")))
}

/// A state in the framing and the form of this memory, and its distance from what it was.
pub(crate) fn brought(
    saved: State<'_>,
    here: &Understood,
    tokens: &[Token],
) -> Result<(Vec<u8>, Distances), Refusal> {
    let formats = here.cache_formats();
    let Transcoded { state, distances } =
        transcode::image(saved, &geometry(here, &formats, tokens)).map_err(unlike)?;
    Ok((encode(&state, here.layout, Container::Blob).map_err(unlike)?, distances))
}

pub(super) fn geometry<'a>(
    here: &'a Understood,
    formats: &'a [CacheFormat],
    tokens: &'a [Token],
) -> Geometry<'a> {
    Geometry { layout: here.layout, shape: &here.shape, formats, streams: here.streams, tokens }
}

pub(super) fn unlike(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::LayoutDiffers, error)
}

pub(super) fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::ImageDamaged, error)
}

pub(super) fn engine_failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::EngineFailed, error)
}
