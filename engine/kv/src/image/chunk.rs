//! A chunk: bytes whose name is their hash.

use std::borrow::Cow;

use super::ChunkId;

/// Bytes of a payload that are read and hashed at a time: they fit into the cache of a core.
const PIECE_BYTES: usize = 256 << 10;

/// A payload and its id. The two always belong together: there is no way to make one that does not match.
#[derive(Clone, Debug)]
pub struct Chunk<'a> {
    id: ChunkId,
    bytes: Cow<'a, [u8]>,
    /// Bytes before the payload.
    skipped: usize,
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
        Self::behind(0, payload)
    }

    /// Names what is behind the first `skipped` bytes: in the state that llama.cpp gave for a chunk's cells, the payload
    /// comes behind a prefix.
    #[must_use]
    pub fn behind(skipped: usize, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let bytes = bytes.into();
        let skipped = skipped.min(bytes.len());
        Self { id: ChunkId::of(&bytes[skipped..]), bytes, skipped }
    }

    /// Names a payload that `read` brings piece by piece, into `bytes` behind the first `skipped` ones: each piece is hashed
    /// while it is in the processor's caches.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read_behind<E>(
        skipped: usize,
        mut bytes: Vec<u8>,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let skipped = skipped.min(bytes.len());
        let mut hasher = blake3::Hasher::new();
        for (at, piece) in bytes[skipped..].chunks_mut(PIECE_BYTES).enumerate() {
            read((at * PIECE_BYTES) as u64, piece)?;
            hasher.update(piece);
        }
        Ok(Self { id: ChunkId(*hasher.finalize().as_bytes()), bytes: bytes.into(), skipped })
    }

    /// Accepts a payload under an id after hashing it.
    ///
    /// # Errors
    /// When the hash differs.
    pub fn verified(id: ChunkId, payload: impl Into<Cow<'a, [u8]>>) -> Result<Self, ChunkMismatch> {
        Self::new(payload).named(id)
    }

    /// The chunk, if this is its id.
    ///
    /// # Errors
    /// When it is not.
    pub fn named(self, id: ChunkId) -> Result<Self, ChunkMismatch> {
        if self.id == id { Ok(self) } else { Err(ChunkMismatch { wanted: id, found: self.id }) }
    }

    /// The id and the length of the payload: what an image says of a chunk.
    #[must_use]
    pub fn entry(&self) -> (ChunkId, u64) {
        (self.id, self.payload().len() as u64)
    }

    /// The same, with a copy of the payload. It need not be hashed again.
    #[must_use]
    pub fn to_static(&self) -> Chunk<'static> {
        Chunk { id: self.id, bytes: self.payload().to_vec().into(), skipped: 0 }
    }

    /// The BLAKE3 hash of the payload.
    #[must_use]
    pub const fn id(&self) -> ChunkId {
        self.id
    }

    /// The bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.skipped..]
    }

    /// The payload with the bytes before it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload with the bytes before it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_owned()
    }

    /// The buffer that holds them, where it is the chunk's own.
    #[must_use]
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        match self.bytes {
            Cow::Owned(buffer) => Some(buffer),
            Cow::Borrowed(_) => None,
        }
    }
}

impl PartialEq for Chunk<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.payload() == other.payload()
    }
}

impl Eq for Chunk<'_> {}
