//! Why an image could not be made or put together.

use super::{ChunkId, ChunkMismatch};
use crate::layout::{LayoutError, MemoryShape};

/// An image that cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The image is in a layout that this version does not know.
    #[error("the image is in layout {id}, which this version of intact does not know; a newer one may")]
    UnknownLayout {
        /// The layout's id.
        id: String,
    },
    /// The document refers to a chunk that is not there.
    #[error("chunk {id} of the image is missing; the image file is truncated, swapped or lost")]
    Missing {
        /// The chunk.
        id: ChunkId,
    },
    /// A chunk has another content.
    #[error(transparent)]
    Mismatch(#[from] ChunkMismatch),
    /// A chunk has its hash but is not a state of that layout and shape.
    #[error("chunk {id}: {cause}")]
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// What is wrong inside.
        cause: LayoutError,
    },
    /// The reference contradicts itself or its chunks.
    #[error("the image reference of the session document has {what}; the document was altered")]
    Reference {
        /// The contradiction.
        what: String,
    },
    /// The target has another kind of memory.
    #[error("the image is of a model with memory {saved:?}, this one has {here:?}")]
    Shape {
        /// Shape of the image.
        saved: MemoryShape,
        /// Shape of the reader.
        here: MemoryShape,
    },
    /// The state does not end in exactly one cell that can be left out.
    #[error(
        "the last token cannot be left out of this state: it has recurrent parts, or its last position is shared or not last"
    )]
    Untrimmable,
    /// The image was not understood when it was saved.
    #[error("the image is opaque: it can only go back as it is, to the same release with the same settings")]
    Opaque,
    /// The state cannot be written in a layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
