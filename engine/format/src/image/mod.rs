//! KV images: a state cut in chunks that are named by their content, and put together again for a reader.

mod reference;

pub use reference::{
    CellImage, ChunkId, ChunkIdError, ChunkReference, ImageReference, OpaqueChunk, OpaqueImage, SectionImage,
};
