//! llama.cpp's sequence state: every layout it has had, one parser and one encoder for all of them.
//!
//! A state is the bytes that `llama_state_seq_get_data` gives, or the part of a sequence file behind its tokens. It
//! consists of sections, one per cache, and says neither how many there are nor of which kind: [`MemoryShape`] does.
//! A writer finds its shape once, by saving a small state and asking [`identify`] for the one shape that parses exactly
//! to the last byte.

mod error;
mod ggml_type;
mod shape;
mod state;
mod table;

pub use error::LayoutError;
pub use ggml_type::{BlockSize, GgmlType};
pub use shape::{AttentionShape, MemoryShape, RecurrentShape, SectionShape, StreamShape};
pub use state::{Attention, Block, Cell, CellData, Matrix, Order, Recurrent, Rotation, SecondRow, Section, State};
pub use table::{CellExtension, LAYOUTS, Layout, RotationRule};
