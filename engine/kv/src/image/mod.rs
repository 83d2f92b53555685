//! KV images: a state cut in chunks that are named by their content, and put together again for a reader.

mod assemble;
mod chunk;
mod cut;
mod durable;
mod error;
mod flusher;
mod gather;
mod grow;
mod reference;
pub mod sidecar;
mod temporary;

pub use assemble::{Target, assemble, part, state};
pub use chunk::{Chunk, ChunkMismatch};
pub use cut::{Cut, CutOptions, CutPlan, DEFAULT_CHUNK_TOKENS, cut, cut_opaque};
pub use durable::{Durable, NewFile, Onto, Prepared, locked, permissions_of};
pub use error::ImageError;
pub use gather::{Gathering, Pieces};
pub use grow::{Growth, grow};
pub use reference::{
    CellImage, ChunkId, ChunkIdError, ChunkReference, ImageReference, OpaqueChunk, OpaqueImage, SectionImage,
};
pub use temporary::sweep;
