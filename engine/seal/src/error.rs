//! Why something cannot be sealed or opened.

use intact_format::image::{ChunkId, ChunkMismatch};
use intact_format::place::PlaceError;
use intact_format::route::{Refusal, RefusalCode};

use crate::sign::Author;

/// Why a session cannot be sealed, or a sealed one not opened. Holds no key, passphrase or content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No key at all was given.
    #[error("the session is encrypted, and {what} is needed to open it; none was given")]
    KeyMissing {
        /// A passphrase, or the key of a recipient.
        what: &'static str,
    },
    /// None of the keys opens it.
    #[error("the session is encrypted, and none of the keys that were given opens it: {what} is another one")]
    KeyWrong {
        /// A passphrase, or the key of a recipient.
        what: &'static str,
    },
    /// A plain file where only a sealed one is accepted.
    #[error(
        "the session is not encrypted, and only encrypted ones are accepted here: its encryption was removed, or it never had one"
    )]
    NotSealed,
    /// Only sessions that certain people have signed are accepted.
    #[error("{}", untrusted(by.as_ref()))]
    NotTrusted {
        /// Who has signed it, if anybody.
        by: Option<Author>,
    },
    /// Nothing says for whom a session that is sealed is to be saved.
    #[error(
        "the session is to stay encrypted, and nothing says for whom: give its recipients, which a sealed file does not name, or a passphrase"
    )]
    NoLock,
    /// The passphrase was hardened so much that opening it would take minutes.
    #[error("opening the session takes 2^{required} rounds of scrypt, and at most 2^{accepted} are accepted")]
    TooHard {
        /// Rounds, as a power of two.
        required: u8,
        /// The most that are accepted.
        accepted: u8,
    },
    /// The envelope has a newer form.
    #[error("the session is wrapped in an envelope of version {found}; this version of intact reads {known}")]
    TooNew {
        /// The version of the file.
        found: String,
        /// The version that is known.
        known: &'static str,
    },
    /// Bytes that are not what was written.
    #[error("the sealed session is damaged: {reason}")]
    Damaged {
        /// How.
        reason: String,
    },
    /// A chunk that the envelope does not know.
    #[error("the envelope does not say in which form chunk {id} is stored")]
    UnknownChunk {
        /// The chunk.
        id: ChunkId,
    },
    /// A chunk that is not what the envelope says: damaged, or another one in its place.
    #[error("chunk {id} does not open: it is damaged, of another session, or another chunk in its place")]
    Chunk {
        /// The chunk.
        id: ChunkId,
    },
    /// A chunk with another content than its id says.
    #[error(transparent)]
    Mismatch(#[from] ChunkMismatch),
    /// A chunk that would become too large.
    #[error("chunk {id} says that its {stored} bytes become {bytes}, which nothing can make of them")]
    Bomb {
        /// The chunk.
        id: ChunkId,
        /// Bytes that are stored.
        stored: u64,
        /// Bytes that they would become.
        bytes: u64,
    },
    /// The operating system has no random numbers, or a recipient cannot be encrypted for.
    #[error("the session cannot be sealed: {reason}")]
    Cannot {
        /// Why.
        reason: String,
    },
}

impl SealError {
    /// The stable name of the reason.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::KeyMissing { .. } | Self::NoLock => RefusalCode::KeyMissing,
            Self::KeyWrong { .. } => RefusalCode::KeyWrong,
            Self::NotSealed => RefusalCode::NotSealed,
            Self::NotTrusted { .. } => RefusalCode::NotSigned,
            Self::TooNew { .. } => RefusalCode::FormatTooNew,
            Self::TooHard { .. } | Self::Damaged { .. } | Self::Cannot { .. } => RefusalCode::InvalidDocument,
            Self::UnknownChunk { .. } | Self::Chunk { .. } | Self::Mismatch(_) | Self::Bomb { .. } => {
                RefusalCode::ImageDamaged
            }
        }
    }

    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into() }
    }
}

fn untrusted(by: Option<&Author>) -> String {
    match by {
        Some(author) => format!("the session is signed by {author}, whose sessions are not trusted here"),
        None => {
            "the session is not signed, and only those are accepted that somebody who is trusted has signed"
                .into()
        }
    }
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        Self::new(error.code(), error)
    }
}

impl From<SealError> for PlaceError {
    fn from(error: SealError) -> Self {
        Self::new(Some(error.code()), error)
    }
}
