//! A cache that keeps every cell, with windows or running states beside it: of the first, only its end is read.

use intact_format::image::{CellImage, CutOptions, CutPlan};
use intact_format::layout::{SectionShape, StreamShape};
use intact_format::place::SessionSink;

use super::image::{Put, PutFailed, chunk_tokens, cut_alike, expect_cells, grown};
use super::whole::put_plan;
use crate::probe::Understood;
use crate::session::Timeline;

/// Puts what has changed since an earlier save of a session whose last token is held back. None where nothing of that save
/// can be kept, or the memory is of another kind.
pub(super) fn put_tail(
    timeline: &mut Timeline,
    here: &Understood,
    saved: &CellImage,
    sink: &mut dyn SessionSink,
) -> Result<Option<Put>, PutFailed> {
    if !has_tail(timeline, here) {
        return Ok(None);
    }
    let Some(section) = cut_alike(saved, here).filter(|section| section.first_position == 0) else {
        return Ok(None);
    };
    let (held, chunk_tokens) = (section.chunks.as_slice(), chunk_tokens(here));
    let cells = u32::try_from(timeline.in_memory()).unwrap_or(u32::MAX);
    let growth = grown(held, timeline, cells, chunk_tokens, sink)?;
    // A state has at least one cell of each cache: where none is new, the last chunk is read again.
    let kept = if growth.new.is_empty() { growth.kept.saturating_sub(1) } else { growth.kept };
    let Some(last) = held[..kept].last() else { return Ok(None) };
    let from = (last.first_cell + last.cells) as usize;

    timeline.keep_checkpoint()?;
    let mut bytes = Vec::new();
    timeline.tail(from, &mut bytes)?;
    let (mut state, places) = here.parse_behind(0, &bytes)?;
    expect_cells(&state, from..timeline.in_memory())?;
    // What windows keep reaches farther back.
    if here.windows().next().is_some() {
        let uncuttable = timeline.checkpoint().ok_or_else(|| unlike("no checkpoint"))?;
        let (kept, _) = here.parse_behind(1, uncuttable.bytes())?;
        for at in here.windows() {
            state.sections[at] = kept.sections.get(at - 1).cloned().ok_or_else(|| unlike("no window"))?;
        }
    }
    let options = CutOptions { chunk_tokens, drop_last: false };
    let plan = CutPlan::of(&state, here.layout, options)?.behind(&held[..kept]).lying_in(&bytes, &places);
    put_plan(&plan, sink).map(Some)
}

/// Is the first cache one that keeps every cell, alone in the context, and is each of the others a window or a running state?
fn has_tail(timeline: &Timeline, here: &Understood) -> bool {
    let Some((SectionShape::Attention(first), others)) = here.shape.sections.split_first() else {
        return false;
    };
    let other = |shape: &SectionShape| match shape {
        SectionShape::Attention(shape) => shape.values,
        SectionShape::Recurrent(_) => true,
    };
    let memory = timeline.memory();
    !memory.can_be_cut()
        && memory.attention
        && first.values
        && !others.is_empty()
        && others.iter().all(other)
        && here.streams == StreamShape::SINGLE
        && timeline.context().can_set_aside()
}

fn unlike(what: &str) -> PutFailed {
    PutFailed::Unlike(what.to_owned())
}
