//! A chunk: bytes whose name is their hash.

use std::borrow::Cow;

use super::ChunkId;

/// A payload and its id. The two always belong together: there is no way to make one that does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    id: ChunkId,
    payload: Cow<'a, [u8]>,
}

/// A payload that is not what its id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk {wanted} has the content of chunk {found}; the image is damaged or its chunks were swapped")]
pub struct ChunkMismatch {
    /// The id that was asked for.
    pub wanted: ChunkId,
    /// The id of the bytes.
    pub found: ChunkId,
}

impl<'a> Chunk<'a> {
    /// Names a payload.
    #[must_use]
    pub fn new(payload: impl Into<Cow<'a, [u8]>>) -> Self {
        let payload = payload.into();
        Self { id: ChunkId::of(&payload), payload }
    }

    /// Accepts a payload under an id after hashing it.
    ///
    /// # Errors
    /// When the hash differs.
    pub fn verified(id: ChunkId, payload: impl Into<Cow<'a, [u8]>>) -> Result<Self, ChunkMismatch> {
        let chunk = Self::new(payload);
        if chunk.id == id { Ok(chunk) } else { Err(ChunkMismatch { wanted: id, found: chunk.id }) }
    }

    /// The BLAKE3 hash of the payload.
    #[must_use]
    pub const fn id(&self) -> ChunkId {
        self.id
    }

    /// The bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}
