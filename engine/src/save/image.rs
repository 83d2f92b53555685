//! The image of a session: the KV of all its tokens but the last, as chunks in a place.
//!
//! Where a part of the sequence can be read alone, only the chunks that the place does not have are read from the model's
//! memory. Elsewhere the whole state is read, and cut.

use intact_format::canary::Canary;
use intact_format::image::{
    CellImage, ChunkReference, CutOptions, CutPlan, DEFAULT_CHUNK_TOKENS, Growth, ImageError, ImageReference,
    SectionImage, cut_opaque, grow,
};
use intact_format::layout::{AttentionShape, LayoutError, Section, SectionShape, StreamShape, renumber};
use intact_format::place::{PlaceError, SessionSink};
use intact_format::token::Position;

use super::pipeline::{Given, Payload, put_all};
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

/// Why the parts of a sequence did not become an image.
enum PartsFailed {
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
        match put {
            Ok((image, written)) => return Ok(Taken { canary, image: Some(image), written }),
            Err(PartsFailed::Engine(error)) => return Err(error),
            Err(PartsFailed::Unlike(reason)) => {
                tracing::warn!(%reason, "parts of the state were not understood; the whole is saved");
            }
        }
    }
    take_whole(timeline, probe, sink, clock)
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
fn chunk_tokens(here: &Understood) -> u32 {
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

/// Puts the chunks that a place does not have, and gives the image with the bytes written.
fn put_parts(
    timeline: &mut Timeline,
    here: &Understood,
    shape: AttentionShape,
    cells: u32,
    saved: Option<&CellImage>,
    sink: &mut dyn SessionSink,
) -> Result<(ImageReference, u64), PartsFailed> {
    let chunk_tokens = chunk_tokens(here);
    let saved = saved.filter(|saved| {
        saved.layout == here.layout.id && saved.shape == here.shape && saved.chunk_tokens == chunk_tokens
    });
    let saved = saved.and_then(|saved| saved.sections.first());
    let unchanged = u32::try_from(timeline.unchanged()).unwrap_or(u32::MAX);
    let mut held = saved.map_or(&[][..], |section| section.chunks.as_slice());
    let Growth { mut kept, mut new } = grow(held, unchanged, cells, chunk_tokens);
    for (at, chunk) in held[..kept].iter().enumerate() {
        if !sink.holds(chunk.id, chunk.bytes)? {
            held = &held[..at];
            Growth { kept, new } = grow(held, unchanged, cells, chunk_tokens);
            break;
        }
    }

    let mut form = saved.cloned();
    let Given { chunks, written } = put_all(new.len(), sink, |at, mut bytes| {
        let range = new[at].start as usize..new[at].end as usize;
        timeline.slice(range.clone(), &mut bytes)?;
        let skipped = renumber(&mut bytes, here.layout, shape, 0)?;
        let state = here.parse(&bytes)?;
        let [Section::Attention(cache)] = state.sections.as_slice() else {
            return Err(PartsFailed::Unlike("other caches than the probe saw".to_owned()));
        };
        let positions = cache.cells.iter().map(|cell| usize::try_from(cell.position).ok());
        if !positions.eq(range.map(Some)) {
            return Err(PartsFailed::Unlike("cells at other positions than asked for".to_owned()));
        }
        if form.is_none() {
            form = state.sections.first().map(SectionImage::of).transpose()?;
        }
        Ok(Payload { bytes, skipped })
    })?;

    let form = form.ok_or_else(|| PartsFailed::Unlike("no cells".to_owned()))?;
    let new = new.iter().zip(chunks).map(|(range, (id, bytes))| ChunkReference {
        id,
        first_cell: range.start,
        cells: range.end - range.start,
        bytes,
    });
    let chunks: Vec<_> = held[..kept].iter().cloned().chain(new).collect();
    let image = CellImage {
        layout: here.layout.id.to_owned(),
        shape: here.shape.clone(),
        chunk_tokens,
        bytes: chunks.iter().map(|chunk| chunk.bytes).sum(),
        sections: vec![SectionImage {
            cells,
            first_position: 0,
            last_position: i32::try_from(cells).unwrap_or(i32::MAX) - 1,
            chunks,
            ..form
        }],
    };
    Ok((ImageReference::Cells(image), written))
}

/// Reads the state of all tokens but the last, then evaluates the last one.
fn take_whole(
    timeline: &mut Timeline,
    probe: &Probe,
    sink: &mut dyn SessionSink,
    clock: &mut Stopwatch,
) -> Result<Taken, EngineError> {
    let has_image = timeline.tokens().len() > 1;
    let drop_last = !timeline.is_pending() && timeline.memory().can_be_cut() && probe.understood().is_some();
    if !drop_last {
        timeline.hold_back()?;
    }
    let put = has_image.then(|| put_whole(timeline, probe, drop_last, sink, clock)).transpose()?;
    // Evaluating may keep a part of the memory as it was; the state is not needed any more by then.
    let (canary, _) = canary(timeline)?;
    clock.lap("canary");
    let (image, written) = put.unzip();
    Ok(Taken { image: image.filter(|_| canary.is_some()), canary, written: written.unwrap_or_default() })
}

fn put_whole(
    timeline: &mut Timeline,
    probe: &Probe,
    drop_last: bool,
    sink: &mut dyn SessionSink,
    clock: &mut Stopwatch,
) -> Result<(ImageReference, u64), EngineError> {
    let state = timeline.state()?;
    clock.lap("state");
    let put = match put_cut(state.bytes(), probe, drop_last, sink) {
        Ok(put) => Ok(put),
        Err(PartsFailed::Engine(error)) => Err(error),
        Err(PartsFailed::Unlike(reason)) => {
            tracing::warn!(%reason, "the state was not understood; the image is opaque");
            if drop_last {
                drop(state);
                timeline.hold_back()?;
                put_opaque(timeline.state()?.bytes(), reason, sink)
            } else {
                put_opaque(state.bytes(), reason, sink)
            }
        }
    };
    clock.lap("image");
    put
}

/// Cuts a state and puts its chunks.
fn put_cut(
    bytes: &[u8],
    probe: &Probe,
    drop_last: bool,
    sink: &mut dyn SessionSink,
) -> Result<(ImageReference, u64), PartsFailed> {
    let here = match probe {
        Probe::Understood(here) => here,
        Probe::Opaque { reason } => return Err(PartsFailed::Unlike(reason.clone())),
    };
    let options = CutOptions { chunk_tokens: chunk_tokens(here), drop_last };
    let plan = CutPlan::of(&here.parse(bytes)?, here.layout, options)?;
    let given = put_all(plan.chunks(), sink, |at, _| {
        Ok::<_, PartsFailed>(Payload { bytes: plan.payload(at)?, skipped: 0 })
    })?;
    Ok((plan.reference(&given.chunks)?, given.written))
}

fn put_opaque(
    bytes: &[u8],
    reason: String,
    sink: &mut dyn SessionSink,
) -> Result<(ImageReference, u64), EngineError> {
    let cut = cut_opaque(bytes, reason);
    let mut written = 0;
    for chunk in &cut.chunks {
        written += sink.put(chunk)?;
    }
    Ok((cut.reference, written))
}

impl From<EngineError> for PartsFailed {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<LlamaError> for PartsFailed {
    fn from(error: LlamaError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<PlaceError> for PartsFailed {
    fn from(error: PlaceError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<LayoutError> for PartsFailed {
    fn from(error: LayoutError) -> Self {
        Self::Unlike(error.to_string())
    }
}

impl From<ImageError> for PartsFailed {
    fn from(error: ImageError) -> Self {
        Self::Unlike(error.to_string())
    }
}
