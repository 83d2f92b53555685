//! llama.cpp's own state files: sequence files (GGSQ), which llama-server's slots are too, and session files (GGSN).
//!
//! They name neither model nor release, so this reads what they do say: the header, the tokens, and which layouts the
//! state behind them fits.

mod packing;
mod specimen;

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

pub use packing::PackingError;
use packing::Unpacked;
pub use specimen::{Specimens, Unrecognized};

use crate::layout::{Container, LAYOUTS, Layout, MemoryShape, identify};

/// First word of a sequence file.
pub const SEQUENCE_FILE_MAGIC: u32 = 0x6767_7371;
/// First word of a session file.
pub const SESSION_FILE_MAGIC: u32 = 0x6767_736e;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignKind {
    /// GGSQ: the state of one sequence.
    SequenceFile,
    /// GGSN: the state of a whole context.
    SessionFile,
}

/// A file of llama.cpp, read as far as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFile<'a> {
    /// Which file it is.
    pub kind: ForeignKind,
    /// Its version word.
    pub version: u32,
    /// The tokens that the application stored with the state.
    pub tokens: Vec<i32>,
    /// Pictures and sounds among them, whose places have no token: llama-server tells.
    pub media: u32,
    /// The model's architecture; session files alone have it.
    pub architecture: Option<String>,
    /// Where the state starts.
    pub state_offset: usize,
    /// The state.
    pub state: &'a [u8],
}

/// A layout and a shape that fit a sequence file's state to its last byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The layout.
    pub layout: &'static Layout,
    /// The model's memory.
    pub shape: MemoryShape,
}

/// A file that is not what its first bytes promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// Neither magic.
    #[error("this is not a llama.cpp state file: its first word is {found:#010x}, not that of GGSQ or GGSN")]
    NotAStateFile {
        /// The first word, or 0 when there is none.
        found: u32,
    },
    /// Written on a machine of the other byte order.
    #[error(
        "this {kind} was written on a big-endian machine; llama.cpp state files cannot be moved between byte orders"
    )]
    ByteOrder {
        /// Which file it is.
        kind: ForeignKind,
    },
    /// Its tokens are kept in another way.
    #[error("the tokens of this {kind} cannot be read: {reason}")]
    Tokens {
        /// Which file it is.
        kind: ForeignKind,
        /// Why.
        reason: PackingError,
    },
    /// It ends early.
    #[error("this {kind} ends inside its {field} at byte {offset}: {needed} bytes needed, {available} left")]
    Truncated {
        /// Which file it is.
        kind: ForeignKind,
        /// The part that is incomplete.
        field: &'static str,
        /// Where the part starts.
        offset: usize,
        /// Bytes that the part takes.
        needed: u64,
        /// Bytes left.
        available: usize,
    },
}

impl ForeignKind {
    /// The kind that a file's first bytes promise.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match word(bytes, 0)? {
            SEQUENCE_FILE_MAGIC => Some(Self::SequenceFile),
            SESSION_FILE_MAGIC => Some(Self::SessionFile),
            _ => None,
        }
    }
}

impl fmt::Display for ForeignKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SequenceFile => "sequence file (GGSQ)",
            Self::SessionFile => "session file (GGSN)",
        })
    }
}

impl<'a> ForeignFile<'a> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When the file is none of llama.cpp's, or ends early.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ForeignError> {
        let first = word(bytes, 0).unwrap_or_default();
        let Some(kind) = ForeignKind::of(bytes) else {
            return Err(match ForeignKind::of(&first.swap_bytes().to_le_bytes()) {
                Some(kind) => ForeignError::ByteOrder { kind },
                None => ForeignError::NotAStateFile { found: first },
            });
        };
        let mut file = Reader { kind, bytes, offset: 4 };
        let version = file.word("version")?;
        let count = file.word("token count")?;
        let tokens = file.take("tokens", u64::from(count) * 4)?;
        let words = tokens.as_chunks::<4>().0.iter().map(|token| i32::from_le_bytes(*token)).collect();
        let Unpacked { tokens, media } =
            Unpacked::of(words).map_err(|reason| ForeignError::Tokens { kind, reason })?;
        let architecture = match kind {
            ForeignKind::SequenceFile => None,
            ForeignKind::SessionFile => {
                let length = file.word("architecture")?;
                let name = file.take("architecture", length.into())?;
                Some(String::from_utf8_lossy(name).into_owned())
            }
        };
        let state_offset = file.offset;
        let state = &bytes[state_offset..];
        Ok(Self { kind, version, tokens, media, architecture, state_offset, state })
    }

    /// The layouts that write this version, and that the state fits to its last byte. Several do where the releases
    /// differ in meaning and not in bytes; none does for session files, whose state is that of all sequences.
    #[must_use]
    pub fn fits(&self) -> Vec<Fit> {
        if self.kind == ForeignKind::SessionFile {
            return Vec::new();
        }
        self.layouts()
            .filter_map(|layout| {
                Some(Fit { layout, shape: identify(self.state, layout, Container::File).ok()? })
            })
            .collect()
    }

    /// The layouts whose releases write this version.
    pub fn layouts(&self) -> impl Iterator<Item = &'static Layout> {
        let (kind, version) = (self.kind, self.version);
        LAYOUTS.iter().filter(move |layout| match kind {
            ForeignKind::SequenceFile => layout.sequence_file_version == version,
            ForeignKind::SessionFile => layout.session_file_version == version,
        })
    }
}

struct Reader<'a> {
    kind: ForeignKind,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn word(&mut self, field: &'static str) -> Result<u32, ForeignError> {
        let offset = self.offset;
        self.take(field, 4)?;
        Ok(word(self.bytes, offset).unwrap_or_default())
    }

    fn take(&mut self, field: &'static str, needed: u64) -> Result<&'a [u8], ForeignError> {
        let (kind, offset) = (self.kind, self.offset);
        let available = self.bytes.len() - offset;
        match usize::try_from(needed) {
            Ok(length) if length <= available => {
                self.offset += length;
                Ok(&self.bytes[offset..offset + length])
            }
            _ => Err(ForeignError::Truncated { kind, field, offset, needed, available }),
        }
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk::<4>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// One cell, one layer with K and V of one half each, in the version of 2026-11.
    const STATE: [u32; 16] = [1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 4, 0, 0x3c00, 1, 4, 0];

    #[test]
    fn a_sequence_file_shows_its_tokens_and_the_layouts_it_fits() {
        let bytes = file(&[&[SEQUENCE_FILE_MAGIC, 4, 2, 7, 8], &STATE[..], &[0x3c00]].concat());
        let read = ForeignFile::read(&bytes).unwrap();
        assert_eq!((read.kind, read.version, read.state_offset), (ForeignKind::SequenceFile, 4, 20));
        assert_eq!(read.tokens, [7, 8]);
        assert_eq!(read.fits(), [Fit { layout: Layout::newest(), shape: MemoryShape::dense() }]);
    }

    #[test]
    fn a_slot_file_shows_the_tokens_that_llama_server_packed() {
        let packed = [SEQUENCE_FILE_MAGIC, 4, 7, u32::MAX, 1, 2, 7, 8, 0, 0];
        let bytes = file(&[&packed, &STATE[..], &[0x3c00]].concat());
        let read = ForeignFile::read(&bytes).unwrap();
        assert_eq!((read.tokens.as_slice(), read.media, read.fits().len()), (&[7, 8][..], 0, 1));
        let newer = file(&[SEQUENCE_FILE_MAGIC, 4, 2, u32::MAX, 2]);
        let error = ForeignFile::read(&newer).unwrap_err();
        assert!(error.to_string().contains("version 2; only version 1 is known"), "{error}");
    }

    #[test]
    fn a_session_file_shows_its_architecture() {
        let bytes = [file(&[SESSION_FILE_MAGIC, 9, 1, 7, 5]), b"llama".to_vec()].concat();
        let read = ForeignFile::read(&bytes).unwrap();
        assert_eq!(read.architecture.as_deref(), Some("llama"));
        assert_eq!(
            read.layouts().map(|layout| layout.id).collect::<Vec<_>>(),
            ["b5485", "b5913", "b8215", "b8619", "b9028"]
        );
    }

    #[test]
    fn other_and_broken_files_are_refused() {
        assert_eq!(ForeignFile::read(b"GGUF"), Err(ForeignError::NotAStateFile { found: 0x4655_4747 }));
        assert_eq!(ForeignFile::read(b""), Err(ForeignError::NotAStateFile { found: 0 }));
        assert!(matches!(ForeignFile::read(b"ggsq\0\0\0\x04"), Err(ForeignError::ByteOrder { .. })));
        let error = ForeignFile::read(&file(&[SEQUENCE_FILE_MAGIC, 4, u32::MAX])).unwrap_err();
        assert!(
            matches!(error, ForeignError::Truncated { field: "tokens", offset: 12, available: 0, .. }),
            "{error}"
        );
    }
}
