//! A cache that keeps every cell: each chunk that a place does not have is read on its own.

use intact_format::image::{CellImage, ChunkReference, Growth, ImageReference, SectionImage};
use intact_format::layout::{AttentionShape, renumber};
use intact_format::place::SessionSink;

use super::image::{Put, PutFailed, chunk_tokens, cut_alike, expect_cells, grown};
use super::pipeline::{Given, Payload, put_all};
use crate::probe::Understood;
use crate::session::Timeline;

/// Puts the chunks that a place does not have, and gives the image with the bytes written.
pub(super) fn put_parts(
    timeline: &mut Timeline,
    here: &Understood,
    shape: AttentionShape,
    cells: u32,
    saved: Option<&CellImage>,
    sink: &mut dyn SessionSink,
) -> Result<Put, PutFailed> {
    let chunk_tokens = chunk_tokens(here);
    let saved = saved.and_then(|saved| cut_alike(saved, here));
    let held = saved.map_or(&[][..], |section| section.chunks.as_slice());
    let Growth { kept, new } = grown(held, timeline, cells, chunk_tokens, sink)?;

    let mut form = saved.cloned();
    let Given { chunks, written } = put_all(new.len(), sink, |at, mut bytes| {
        let range = new[at].start as usize..new[at].end as usize;
        timeline.slice(range.clone(), &mut bytes)?;
        let skipped = renumber(&mut bytes, here.layout, shape, 0)?;
        let state = here.parse(&bytes)?;
        expect_cells(&state, range)?;
        if form.is_none() {
            form = state.sections.first().map(SectionImage::of).transpose()?;
        }
        Ok::<_, PutFailed>(Payload { bytes: bytes.into(), skipped })
    })?;

    let form = form.ok_or_else(|| PutFailed::Unlike("no cells".to_owned()))?;
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
