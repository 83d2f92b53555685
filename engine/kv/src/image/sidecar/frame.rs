//! The bytes of headers.

use crate::image::ChunkId;
use crate::layout::{BLOB_MAGIC, BLOB_PREFIX_BYTES};

/// The first bytes of a sidecar.
pub const SIDECAR_MAGIC: [u8; 8] = *b"INTACTKV";
/// The version of the sidecar's framing that this crate reads and writes.
pub(super) const SIDECAR_VERSION: u32 = 1;
/// Bytes before the first frame: magic, version, four bytes of zero.
pub const SIDECAR_HEADER_BYTES: u64 = 16;
/// Bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: u64 = 64;

const CHUNK_MAGIC: [u8; 8] = *b"kv chunk";
const SEAL_MAGIC: [u8; 8] = *b"kv seal\n";
const CHECKED_BYTES: usize = 48;

/// A chunk in a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Content id, as the frame header says.
    pub id: ChunkId,
    /// Where the payload starts.
    pub offset: u64,
    /// Bytes of the payload.
    pub bytes: u64,
    /// A seal follows: the payload was flushed before anything behind it was written.
    pub sealed: bool,
}

/// A frame header, decoded.
pub(super) enum Header {
    Chunk { id: ChunkId, bytes: u64 },
    Seal,
}

pub(super) type HeaderBytes = [u8; FRAME_HEADER_BYTES as usize];

impl Header {
    /// The header in these bytes, or none when they are not one.
    pub(super) fn decode(bytes: &HeaderBytes) -> Option<Self> {
        let (checked, rest) = bytes.split_first_chunk::<CHECKED_BYTES>()?;
        if rest.get(..8)? != check(checked) {
            return None;
        }
        let magic = checked.first_chunk::<8>()?;
        let length = u64::from_le_bytes(*checked[8..].first_chunk::<8>()?);
        let id = ChunkId(*checked[16..].first_chunk::<32>()?);
        match *magic {
            CHUNK_MAGIC => Some(Self::Chunk { id, bytes: length }),
            SEAL_MAGIC if length == 0 => Some(Self::Seal),
            _ => None,
        }
    }

    pub(super) fn encode(&self) -> HeaderBytes {
        let mut bytes = [0; FRAME_HEADER_BYTES as usize];
        match self {
            Self::Chunk { id, bytes: length } => {
                bytes[..8].copy_from_slice(&CHUNK_MAGIC);
                bytes[8..16].copy_from_slice(&length.to_le_bytes());
                bytes[16..48].copy_from_slice(&id.0);
            }
            Self::Seal => bytes[..8].copy_from_slice(&SEAL_MAGIC),
        }
        let check = check(&bytes[..CHECKED_BYTES]);
        bytes[48..56].copy_from_slice(&check);
        bytes[56..].copy_from_slice(&blob_prefix());
        bytes
    }

    /// Whether a header could start with these bytes; for finding the next one behind damage.
    pub(super) fn could_start(bytes: &[u8]) -> bool {
        bytes.starts_with(&CHUNK_MAGIC) || bytes.starts_with(&SEAL_MAGIC)
    }
}

/// The first bytes of a new sidecar.
pub(super) fn sidecar_header() -> [u8; SIDECAR_HEADER_BYTES as usize] {
    let mut bytes = [0; SIDECAR_HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(&SIDECAR_MAGIC);
    bytes[8..12].copy_from_slice(&SIDECAR_VERSION.to_le_bytes());
    bytes
}

fn check(checked: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(checked);
    let mut check = [0; 8];
    check.copy_from_slice(&hash.as_bytes()[..8]);
    check
}

/// What llama.cpp expects before the sections of a raw blob of sequence 0.
fn blob_prefix() -> [u8; BLOB_PREFIX_BYTES] {
    let mut prefix = [0; BLOB_PREFIX_BYTES];
    prefix[..4].copy_from_slice(&BLOB_MAGIC.to_le_bytes());
    prefix
}
