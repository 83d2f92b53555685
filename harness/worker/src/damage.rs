//! Damage to what was restored, after all checks: shows that the judge notices. Nothing is wrong with the file, and nothing
//! that the engine could see; only the logits can tell.

use std::fs;
use std::io;
use std::ops::Range;

use intact_engine::llama::Container;
use intact_engine::{Engine, EngineError, sidecar_path};
use intact_format::layout::{self, Layout, LayoutError, Matrix, Order, Section, State};
use intact_format::regular;

use crate::cage;

/// What is zeroed of the cells that were restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Damage {
    /// The last 64 bytes of every chunk of 256 cells: the end of the last layer's V.
    Tails,
    /// One value of V in a layer in the middle, of a cell in the middle.
    Value,
    /// The row of V that it is in.
    Row,
    /// K and V of that cell in every layer.
    Cell,
}

/// Cells of a chunk.
const CHUNK: usize = 256;
/// Bytes at the end of one.
const TAIL: usize = 64;

impl Damage {
    /// Strikes a live session.
    pub(crate) fn strike(self, engine: &mut Engine, session: &str) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let folder = cage::temporary_folder().join(format!("intact-damage-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = folder.join("session.json");
        let struck = self.through(engine, session, &file);
        fs::remove_dir_all(&folder).map_err(failed)?;
        struck
    }

    fn through(self, engine: &mut Engine, session: &str, file: &std::path::Path) -> Result<(), String> {
        let failed = |error: EngineError| error.to_string();
        engine.blind_save(session, file, Container::RawSequence).map_err(failed)?;
        let state = sidecar_path(file);
        let bytes = regular::read(&state).map_err(|error| error.to_string())?;
        let damaged = self.done(&bytes).map_err(|error| error.to_string())?;
        if damaged == bytes {
            return Err("what was to be zeroed is zero".into());
        }
        fs::write(&state, damaged).map_err(|error| error.to_string())?;
        #[expect(
            unsafe_code,
            reason = "there is no other way to put a state that was altered into a live session"
        )]
        // SAFETY: the bytes are those that llama.cpp has just written of this very sequence, framed as they were: nothing
        // but values of cells was changed.
        let loaded = unsafe { engine.blind_load(file, Some(session), Container::RawSequence) };
        loaded.map(|_| ()).map_err(failed)
    }

    /// The bytes of a state with the damage done.
    fn done(self, bytes: &[u8]) -> Result<Vec<u8>, LayoutError> {
        let (layout, container) = (Layout::newest(), layout::Container::Blob);
        let shape = layout::identify(bytes, layout, container)?;
        let mut state = layout::parse(bytes, layout, &shape, container)?;
        self.zero(&mut state);
        layout::encode(&state, layout, container)
    }

    fn zero(self, state: &mut State<'_>) {
        let attention = state.sections.iter_mut().find_map(|section| match section {
            Section::Attention(attention) => Some(attention),
            Section::Recurrent(_) => None,
        });
        let Some(attention) = attention else { return };
        let layers = attention.values.len();
        match self {
            Self::Tails => {
                let last = attention.values.iter_mut().rev().find(|matrix| matrix.order.cell_bytes() > 0);
                last.into_iter().for_each(|matrix| zero(matrix, tails));
            }
            Self::Value | Self::Row => {
                let most = if self == Self::Row { usize::MAX } else { 2 };
                if let Some(matrix) = attention.values.get_mut(layers / 2) {
                    zero(matrix, |order, cells| of_cell(order, cells, most));
                }
            }
            Self::Cell => {
                for matrix in attention.keys.iter_mut().chain(&mut attention.values) {
                    zero(matrix, |order, cells| of_cell(order, cells, usize::MAX));
                }
            }
        }
    }
}

fn zero(matrix: &mut Matrix<'_>, places: impl Fn(Order, usize) -> Vec<Range<usize>>) {
    let order = matrix.order;
    let Some(block) = matrix.blocks.first_mut().filter(|_| order.cell_bytes() > 0) else { return };
    let places = places(order, block.stored_cells);
    let bytes = block.bytes.to_mut();
    for place in places {
        if let Some(bytes) = bytes.get_mut(place) {
            bytes.fill(0);
        }
    }
}

/// The end of every chunk, where its last matrix is this one.
fn tails(order: Order, cells: usize) -> Vec<Range<usize>> {
    let ends = (0..cells).step_by(CHUNK).map(|start| (start + CHUNK).min(cells));
    match order {
        Order::ByCell { row_bytes } => {
            let row = row_bytes as usize;
            ends.map(|end| (end * row - TAIL.min(row))..end * row).collect()
        }
        Order::ByElement { element_bytes, elements } => {
            let (size, first) = (element_bytes as usize, elements.saturating_sub(1) as usize * cells);
            ends.map(|end| (first + end.saturating_sub(TAIL / size)) * size..(first + end) * size).collect()
        }
    }
}

/// At most so many bytes of the cell in the middle.
fn of_cell(order: Order, cells: usize, most: usize) -> Vec<Range<usize>> {
    let cell = cells / 2;
    match order {
        Order::ByCell { row_bytes } => {
            let start = cell * row_bytes as usize;
            std::iter::once(start..start + most.min(row_bytes as usize)).collect()
        }
        Order::ByElement { element_bytes, elements } => {
            let size = element_bytes as usize;
            let values = (0..elements as usize).take(most.div_ceil(size));
            values
                .map(|element| (element * cells + cell) * size..(element * cells + cell + 1) * size)
                .collect()
        }
    }
}
