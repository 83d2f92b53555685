//! What a session document says about its KV image.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::layout::{MemoryShape, Rotation};

/// A KV image: which chunks it is made of, and how to read them. The chunks are in the sidecar or in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ImageReference {
    /// The state was understood and cut in cells: it can be checked, cut, joined and re-encoded.
    Cells(CellImage),
    /// The state was not understood: its bytes go back as they are, to the same release with the same settings, or not
    /// at all.
    Opaque(OpaqueImage),
}

/// An image of cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellImage {
    /// Id of the layout that the chunks are in.
    pub layout: String,
    /// Sections of the model's memory.
    pub shape: MemoryShape,
    /// Cells per chunk, where a section is cut.
    pub chunk_tokens: u32,
    /// One entry per section of the shape.
    pub sections: Vec<SectionImage>,
    /// Bytes of all chunks.
    pub bytes: u64,
}

/// One section of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionImage {
    /// Number of cells.
    pub cells: u32,
    /// First position, or −1 without cells.
    pub first_position: i32,
    /// Last position, or −1 without cells.
    pub last_position: i32,
    /// V is stored by element and not by cell.
    pub transposed: bool,
    /// Rotation of K and V, in elements; absent for recurrent sections, and where neither the layout nor the writer knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// Tensor type of K (the recurrent row), by ggml's name.
    pub key_type: String,
    /// Tensor type of V (the recurrent state), by ggml's name; absent without V.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_type: Option<String>,
    /// The chunks in cell order.
    pub chunks: Vec<ChunkReference>,
}

/// A chunk, and which cells of its section it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunkReference {
    /// Content id.
    pub id: ChunkId,
    /// Index of the first cell.
    pub first_cell: u32,
    /// Number of cells.
    pub cells: u32,
    /// Bytes of the payload.
    pub bytes: u64,
}

/// An image that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpaqueImage {
    /// Pieces of the raw blob, in order.
    pub chunks: Vec<OpaqueChunk>,
    /// Bytes of the blob.
    pub bytes: u64,
    /// Why it was not understood.
    pub reason: String,
}

impl OpaqueImage {
    /// What is to be known of it, in a sentence.
    #[must_use]
    pub fn remark(&self) -> String {
        let reason = &self.reason;
        format!(
            "The KV image is opaque ({reason}): it loads into the very release and settings that it was saved with, and nowhere else."
        )
    }
}

/// A piece of a raw blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpaqueChunk {
    /// Content id.
    pub id: ChunkId,
    /// Bytes of the payload.
    pub bytes: u64,
}

/// The BLAKE3 hash of a chunk's payload; 64 hexadecimal digits in documents.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; 32]);

/// A chunk id that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chunk id is 64 hexadecimal digits")]
pub struct ChunkIdError;

impl ImageReference {
    /// An image of chunks whose content is not understood here.
    #[must_use]
    pub fn opaque(chunks: impl IntoIterator<Item = (ChunkId, u64)>, reason: impl Into<String>) -> Self {
        let chunks: Vec<_> = chunks.into_iter().map(|(id, bytes)| OpaqueChunk { id, bytes }).collect();
        let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
        Self::Opaque(OpaqueImage { chunks, bytes, reason: reason.into() })
    }

    /// Every chunk that the image needs, in order. A chunk that occurs twice is listed twice.
    pub fn chunk_ids(&self) -> impl Iterator<Item = (ChunkId, u64)> + '_ {
        let (sections, pieces) = match self {
            Self::Cells(image) => (image.sections.as_slice(), [].as_slice()),
            Self::Opaque(image) => ([].as_slice(), image.chunks.as_slice()),
        };
        sections
            .iter()
            .flat_map(|section| section.chunks.iter().map(|chunk| (chunk.id, chunk.bytes)))
            .chain(pieces.iter().map(|piece| (piece.id, piece.bytes)))
    }

    /// Every chunk that the image needs, once, in order.
    pub fn distinct_chunks(&self) -> impl Iterator<Item = (ChunkId, u64)> + '_ {
        let mut seen = HashSet::new();
        self.chunk_ids().filter(move |(id, _)| seen.insert(*id))
    }

    /// Bytes of all chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Cells(image) => image.bytes,
            Self::Opaque(image) => image.bytes,
        }
    }
}

impl CellImage {
    /// Cells of the section that holds the most: tokens of the sequence, except where every section is a window or
    /// recurrent.
    #[must_use]
    pub fn cells(&self) -> u32 {
        self.sections.iter().map(|section| section.cells).max().unwrap_or(0)
    }

    /// Last position of the sequence, or −1 for an empty image.
    #[must_use]
    pub fn last_position(&self) -> i32 {
        self.sections.iter().map(|section| section.last_position).max().unwrap_or(-1)
    }
}

impl ChunkId {
    /// The id of a payload.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        Self(*blake3::hash(payload).as_bytes())
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({self})")
    }
}

impl FromStr for ChunkId {
    type Err = ChunkIdError;

    fn from_str(text: &str) -> Result<Self, ChunkIdError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| ChunkIdError)?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl Serialize for ChunkId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ChunkId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ChunkId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "BLAKE3 of a chunk" })
    }
}
