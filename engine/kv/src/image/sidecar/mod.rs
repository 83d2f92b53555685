//! The file beside a session document that holds its chunks: `<name>.kv`.
//!
//! It is only appended to. A header is followed by frames; a frame is a header of 64 bytes and a payload:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic of a chunk frame or of a seal |
//! | 8..16 | payload length, little-endian |
//! | 16..48 | BLAKE3 of the payload |
//! | 48..56 | first 8 bytes of the BLAKE3 of bytes 0..48: the header's own check |
//! | 56..64 | blob prefix, so that a dense chunk is a complete state where it lies: magic and sequence 0 |
//!
//! A *seal* is a frame without payload. It is written after an fsync and says that everything before it is on the disk.
//! Chunks behind the last seal are hashed before a save relies on them: a power cut may have left their length without
//! their content.
//!
//! The document lists chunk ids, not offsets. A reader scans frame headers only. A tail that is not a whole frame is what a
//! kill during a save leaves behind; it is ignored, and cut off by the next save. Damage between frames is skipped and
//! reported.

mod error;
mod frame;
mod reader;
mod verify;
mod writer;

pub use error::SidecarError;
pub use frame::{FRAME_HEADER_BYTES, Frame, SIDECAR_HEADER_BYTES, SIDECAR_MAGIC};
pub use reader::{Damage, Sidecar};
pub use verify::{Verification, verify};
pub use writer::{Appended, Compacted, SidecarWriter};
