//! llama.cpp's sequence state: every layout it has had, one parser and one encoder for all of them.
//!
//! A state is the bytes that `llama_state_seq_get_data` gives, or the part of a sequence file behind its tokens. It
//! consists of sections, one per cache, and says neither how many there are nor of which kind: [`MemoryShape`] does.
//! A writer finds its shape once, by saving a small state and asking [`identify`] for the one shape that parses exactly
//! to the last byte.

mod convert;
mod cursor;
mod encode;
mod error;
mod frame;
mod ggml_type;
mod parse;
mod probe;
mod renumber;
mod shape;
mod slice;
mod state;
mod table;

pub use convert::{CacheFormat, ConvertError, Converted, Distance, Distances};
pub(crate) use encode::{append_section, prefix as state_prefix};
pub use encode::{encode, encode_section};
pub use error::LayoutError;
pub(crate) use frame::Frame;
pub use ggml_type::{BlockSize, GgmlType};
pub use parse::{
    BLOB_MAGIC, BLOB_PREFIX_BYTES, Container, MAX_SEQUENCES, parse, parse_located, parse_section,
};
pub use probe::{identify, probe};
pub use renumber::renumber;
pub use shape::{AttentionShape, MemoryShape, RecurrentShape, SectionShape, StreamShape};
pub use state::{
    Attention, Block, Cell, CellData, Matrix, Order, Recurrent, Rotation, SecondRow, Section, State,
};
pub use table::{CellExtension, DeltaOrder, LAYOUTS, Layout, RotationRule};
