//! Memory that gives its state whole only: it is read, and cut.

use intact_format::image::{CutOptions, CutPlan, cut_opaque};
use intact_format::place::SessionSink;

use super::image::{Put, PutFailed, chunk_tokens};
use super::pipeline::{Payload, put_all};
use crate::error::EngineError;
use crate::probe::Probe;
use crate::session::Timeline;

/// Puts the state of all tokens but the last. That one is in the memory where it is to be dropped.
pub(super) fn put_whole(
    timeline: &mut Timeline,
    probe: &Probe,
    drop_last: bool,
    sink: &mut dyn SessionSink,
) -> Result<Put, EngineError> {
    let state = timeline.state()?;
    match put_cut(state.bytes(), probe, drop_last, sink) {
        Ok(put) => Ok(put),
        Err(PutFailed::Engine(error)) => Err(error),
        Err(PutFailed::Unlike(reason)) => {
            tracing::warn!(%reason, "the state was not understood; the image is opaque");
            if drop_last {
                drop(state);
                timeline.hold_back()?;
                put_opaque(timeline.state()?.bytes(), reason, sink)
            } else {
                put_opaque(state.bytes(), reason, sink)
            }
        }
    }
}

/// Cuts a state and puts its chunks.
fn put_cut(
    bytes: &[u8],
    probe: &Probe,
    drop_last: bool,
    sink: &mut dyn SessionSink,
) -> Result<Put, PutFailed> {
    let here = match probe {
        Probe::Understood(here) => here,
        Probe::Opaque { reason } => return Err(PutFailed::Unlike(reason.clone())),
    };
    let options = CutOptions { chunk_tokens: chunk_tokens(here), drop_last };
    let (state, places) = here.parse_behind(0, bytes)?;
    put_plan(&CutPlan::of(&state, here.layout, options)?.lying_in(bytes, &places), sink)
}

/// Puts the chunks of a plan.
pub(super) fn put_plan(plan: &CutPlan<'_>, sink: &mut dyn SessionSink) -> Result<Put, PutFailed> {
    let given = put_all(plan.chunks(), sink, |at, buffer| {
        Ok::<_, PutFailed>(Payload { bytes: plan.payload_in(at, buffer)?, skipped: 0 })
    })?;
    Ok((plan.reference(&given.chunks)?, given.written))
}

fn put_opaque(bytes: &[u8], reason: String, sink: &mut dyn SessionSink) -> Result<Put, EngineError> {
    let cut = cut_opaque(bytes, reason);
    let mut written = 0;
    for chunk in &cut.chunks {
        written += sink.put(chunk)?;
    }
    Ok((cut.reference, written))
}
