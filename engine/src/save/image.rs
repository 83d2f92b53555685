//! The image of a session: the KV of all its tokens but the last, as chunks in a place.
//!
//! Only the chunks that the place does not have are read from the model's memory, where it gives parts of itself: any range
//! of a cache that keeps every cell, or the end of one that windows or running states stand beside. Elsewhere the whole
//! state is read, and cut.

use std::ops::Range;

use intact_format::canary::Canary;
use intact_format::image::{
    CellImage, ChunkReference, DEFAULT_CHUNK_TOKENS, Growth, ImageError, ImageReference, SectionImage, grow,
};
use intact_format::layout::{AttentionShape, LayoutError, Section, SectionShape, State, StreamShape};
use intact_format::place::{PlaceError, SessionSink};
use intact_format::token::Position;

use super::parts::put_parts;
use super::tail::put_tail;
use super::whole::put_whole;
use crate::clock::Stopwatch;
use crate::error::EngineError;
use crate::llama::LlamaError;
use crate::probe::{Probe, Understood};
use crate::session::{Session, Timeline};

/// Bytes that a chunk is not to exceed.
const CHUNK_BYTES: u64 = 2 << 20;
/// Cells that a chunk has nevertheless.
const FEWEST_TOKENS: u32 = 8;

/// What a save takes of a session besides its messages.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// None where the session is empty, or the model's logits are not numbers.
    pub(super) canary: Option<Canary>,
    /// None without a canary: nothing could prove it.
    pub(super) image: Option<ImageReference>,
    /// Bytes that the place wrote.
    pub(super) written: u64,
}

/// An image that was put into a place, and the bytes that the place wrote.
pub(super) type Put = (ImageReference, u64);

/// Why a state, or the parts of one, did not become an image.
pub(super) enum PutFailed {
    /// They are not what was expected. The whole state may still be.
    Unlike(String),
    /// The model's memory or the place failed.
    Engine(EngineError),
}

/// Puts the image of a session into a place, and evaluates the last token for the canary, which a later turn does not have
/// to do again.
pub(super) fn take(
    session: &mut Session,
    sink: &mut dyn SessionSink,
    clock: &mut Stopwatch,
) -> Result<Taken, EngineError> {
    let Session { timeline, probe, saved, .. } = session;
    if let Some((here, shape)) = parts(timeline, probe) {
        let (canary, cells) = canary(timeline)?;
        clock.lap("canary");
        if canary.is_none() || cells == 0 {
            return Ok(Taken { canary, ..Taken::default() });
        }
        let put = put_parts(timeline, here, shape, cells, saved.as_ref(), sink);
        clock.lap("image");
        if let Some((image, written)) = or_whole(put)? {
            return Ok(Taken { canary, image: Some(image), written });
        }
    }
    // Memory that cannot be cut at the last token must not have it yet.
    let drop_last = !timeline.is_pending() && timeline.memory().can_be_cut() && probe.understood().is_some();
    if !drop_last {
        timeline.hold_back()?;
    }
    let mut put = None;
    if timeline.tokens().len() > 1 {
        if let Some((here, saved)) = probe.understood().zip(saved.as_ref()) {
            put = or_whole(put_tail(timeline, here, saved, sink))?.flatten();
        }
        if put.is_none() {
            put = Some(put_whole(timeline, probe, drop_last, sink)?);
        }
        clock.lap("image");
    }
    let (canary, _) = canary(timeline)?;
    clock.lap("canary");
    let (image, written) = put.unzip();
    Ok(Taken { image: image.filter(|_| canary.is_some()), canary, written: written.unwrap_or_default() })
}

/// What came of parts, unless they were not understood.
fn or_whole<T>(put: Result<T, PutFailed>) -> Result<Option<T>, EngineError> {
    match put {
        Ok(put) => Ok(Some(put)),
        Err(PutFailed::Engine(error)) => Err(error),
        Err(PutFailed::Unlike(reason)) => {
            tracing::warn!(%reason, "parts of the state were not understood; the whole is saved");
            Ok(None)
        }
    }
}

/// The memory whose parts can be read alone: one attention cache that keeps every cell, shared with a second sequence.
fn parts<'p>(timeline: &Timeline, probe: &'p Probe) -> Option<(&'p Understood, AttentionShape)> {
    let here = probe.understood()?;
    let [SectionShape::Attention(shape)] = here.shape.sections.as_slice() else { return None };
    let readable = timeline.memory().can_be_cut()
        && timeline.context().scratch().is_some()
        && here.streams == StreamShape::SINGLE;
    readable.then_some((here, *shape))
}

/// Cells of a chunk: a power of two, so that chunks of different sizes have borders in common, and not so many that a few
/// chunks under way would take much memory.
pub(super) fn chunk_tokens(here: &Understood) -> u32 {
    let most = u32::try_from(CHUNK_BYTES / here.cell_bytes().max(1)).unwrap_or(u32::MAX);
    (1 << most.max(1).ilog2()).clamp(FEWEST_TOKENS, DEFAULT_CHUNK_TOKENS)
}

/// The canary, and the number of cells that come before it.
fn canary(timeline: &mut Timeline) -> Result<(Option<Canary>, u32), EngineError> {
    let Some((&last, before)) = timeline.tokens().split_last() else { return Ok((None, 0)) };
    let cells = u32::try_from(before.len()).unwrap_or(u32::MAX);
    let logits = timeline.settled_logits()?.unwrap_or_default();
    Ok((Canary::of(last, Position(cells), logits), cells))
}

/// The image of an earlier save, where it was cut as images here are.
pub(super) fn cut_alike<'s>(saved: &'s CellImage, here: &Understood) -> Option<&'s SectionImage> {
    let alike = saved.layout == here.layout.id
        && saved.shape == here.shape
        && saved.chunk_tokens == chunk_tokens(here);
    saved.sections.first().filter(|_| alike)
}

/// Plans the chunks of a grown cache that keeps every cell: which of the earlier ones, in order, stay, and which cells
/// become new ones. A chunk that the place has lost is new.
pub(super) fn grown(
    held: &[ChunkReference],
    timeline: &Timeline,
    cells: u32,
    chunk_tokens: u32,
    sink: &mut dyn SessionSink,
) -> Result<Growth, PlaceError> {
    let unchanged = u32::try_from(timeline.unchanged()).unwrap_or(u32::MAX);
    let growth = grow(held, unchanged, cells, chunk_tokens);
    for (at, chunk) in held[..growth.kept].iter().enumerate() {
        if !sink.holds(chunk.id, chunk.bytes)? {
            return Ok(grow(&held[..at], unchanged, cells, chunk_tokens));
        }
    }
    Ok(growth)
}

/// Fails unless the first cache of a state has exactly the cells that were asked for.
pub(super) fn expect_cells(state: &State<'_>, positions: Range<usize>) -> Result<(), PutFailed> {
    match state.sections.first() {
        Some(Section::Attention(cache)) if cache.is_at(positions) => Ok(()),
        _ => Err(PutFailed::Unlike("other cells than were asked for".to_owned())),
    }
}

impl From<EngineError> for PutFailed {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<LlamaError> for PutFailed {
    fn from(error: LlamaError) -> Self {
        match error {
            // A memory that does not give its end alone can still be saved whole.
            LlamaError::NotSetAside { .. } => Self::Unlike(error.to_string()),
            error => Self::Engine(error.into()),
        }
    }
}

impl From<PlaceError> for PutFailed {
    fn from(error: PlaceError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<LayoutError> for PutFailed {
    fn from(error: LayoutError) -> Self {
        Self::Unlike(error.to_string())
    }
}

impl From<ImageError> for PutFailed {
    fn from(error: ImageError) -> Self {
        Self::Unlike(error.to_string())
    }
}
