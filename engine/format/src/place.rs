//! Places that sessions are kept in: a file with its sidecar, a store, an archive, anything that can hold a document and
//! chunks.
//!
//! A save hands a [`SessionSink`] its chunks, then the document that refers to them. A load asks a [`SessionSource`] for
//! the document, then for chunks by their id. Neither has to be believed: whoever reads hashes what it was given. A form of
//! keeping that changes the bytes, such as encryption, is a place around another place.

mod copy;
mod error;
mod file;
mod forward;
mod known;
mod memory;
mod output;
mod shelf;

pub use copy::{copy, read_chunk};
pub use error::{PlaceError, is_no_room};
pub use file::{FileSink, FileSource, SIDECAR_EXTENSION, find_sidecar, sidecar_path};
pub use known::KnownFiles;
pub use memory::Memory;
pub use output::{OutputError, Replaces, admit, output};
pub use shelf::{Folder, Shelf};

use crate::image::{Chunk, ChunkId, ImageReference};

/// Takes one save. Until [`SessionSink::commit`] has returned, a reader finds the old session, or none; afterwards the
/// new one.
pub trait SessionSink: Send {
    /// Is this chunk there already, and sure to stay until the commit? Then it need not be put, nor even read from the
    /// model's memory.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError>;

    /// Takes a chunk; one that is there already costs nothing. Gives the bytes written.
    ///
    /// # Errors
    /// When it cannot be written; the old session is whole then.
    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError>;

    /// Makes the chunks of `image` durable, then puts the document in place.
    ///
    /// # Errors
    /// When that fails; the old session is whole then.
    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError>;
}

/// What a commit did, besides the chunks that were put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Bytes written: the document, and what the place needs to keep order.
    pub bytes: u64,
    /// What did not work afterwards, such as clearing up; the session is saved all the same.
    pub remark: Option<String>,
}

/// Gives one session back. Its chunks are read by several threads at a time.
pub trait SessionSource: Send + Sync {
    /// The document's bytes.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn document(&mut self) -> Result<Vec<u8>, PlaceError>;

    /// Makes sure, without reading them, that all chunks of an image are there, in the lengths that the image says.
    /// Comes before the first [`SessionSource::read`].
    ///
    /// # Errors
    /// When one is not.
    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError>;

    /// Reads a chunk of a located image. `payload` has the length that the image says; the caller hashes it.
    ///
    /// # Errors
    /// When it cannot be read to its last byte.
    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError>;

    /// The same in parts, where that is as easy.
    fn parts(&self) -> Option<&dyn ReadParts> {
        None
    }
}

/// Reads parts of chunks, so that each can be hashed while it is in the processor's caches.
pub trait ReadParts: Sync {
    /// Reads a part of a chunk's payload, from byte `from` on.
    ///
    /// # Errors
    /// When it cannot be read to its last byte.
    fn read_part(&self, id: ChunkId, from: u64, part: &mut [u8]) -> Result<(), PlaceError>;
}
