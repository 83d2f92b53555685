//! The documents of the protocol: heads, intents, sweeps, and the marker of a store. Small, versioned JSON.

use intact_format::image::ChunkId;
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::key::{BlobName, Generation, Mark, SessionKey};

/// Version of these documents. A reader refuses a newer one.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a session at most: a petabyte. A head that says more is damaged, or somebody's who wants sums to overflow.
const MOST_BYTES: u64 = 1 << 50;

/// `store.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marker {
    pub(crate) version: u32,
}

/// One save of a session, or its removal. It says all that listing and garbage collection need, so that neither reads session
/// documents, nor needs the key of an encrypted one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) version: u32,
    pub(crate) session: SessionId,
    pub(crate) generation: Generation,
    /// Tells the writer whether a head that is there after a failed request is its own.
    pub(crate) written_by: Mark,
    pub(crate) content: Content,
}

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Content {
    /// The session is saved.
    Saved { summary: Summary, document: BlobReference, chunks: Vec<BlobReference> },
    /// The session was removed; the head stays for a while, so that its number is not used again.
    Removed,
}

/// What a list of sessions shows of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// When it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<Timestamp>,
    /// Number of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Number of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// File name of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A payload of a session, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobReference {
    /// The hash of what is stored.
    pub id: ChunkId,
    /// The number of bytes that are stored.
    pub bytes: u64,
    /// The second part of its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// What a save under way relies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intent {
    pub(crate) version: u32,
    pub(crate) blobs: Vec<ChunkId>,
}

/// What a garbage collection is about to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sweep {
    pub(crate) version: u32,
    pub(crate) condemned: Vec<Condemned>,
}

/// A payload that is about to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condemned {
    pub(crate) id: ChunkId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Mark>,
}

/// Why a document of the protocol cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is of a newer version.
    #[error("it has version {found}, and this intact knows versions up to {VERSION}; use a newer intact")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It is not such a document.
    #[error("it is damaged: {0}")]
    Malformed(serde_json::Error),
    /// It says that a session has more bytes than any has.
    #[error(
        "it says that the session has more than {MOST_BYTES} bytes, which none has: it is damaged, or made up"
    )]
    Absurd,
    /// It is of another session or another save than its name says.
    #[error("it is that of save {generation} of session `{session}`, and its name is that of another")]
    Misplaced {
        /// The session.
        session: SessionId,
        /// The save.
        generation: Generation,
    },
}

impl From<serde_json::Error> for DocumentError {
    fn from(cause: serde_json::Error) -> Self {
        Self::Malformed(cause)
    }
}

/// The version alone, whatever else a newer document says.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads a document of the protocol, the version first.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    match serde_json::from_slice::<Version>(bytes)?.version {
        found if found > VERSION => Err(DocumentError::Newer { found }),
        _ => Ok(serde_json::from_slice(bytes)?),
    }
}

/// Reads what a process has announced. One that is damaged or made up says nothing, and keeps nobody from working; a newer one
/// has to be understood.
pub(crate) fn announced<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, DocumentError> {
    match read(bytes) {
        Ok(announced) => Ok(Some(announced)),
        Err(newer @ DocumentError::Newer { .. }) => Err(newer),
        Err(_) => Ok(None),
    }
}

/// Writes a document of the protocol.
pub(crate) fn write(document: &impl Serialize) -> Result<Vec<u8>, DocumentError> {
    Ok(serde_json::to_vec(document)?)
}

impl Head {
    /// The stored payloads, the document first.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = BlobReference> + '_ {
        let (document, chunks) = match &self.content {
            Content::Saved { document, chunks, .. } => (Some(*document), chunks.as_slice()),
            Content::Removed => (None, [].as_slice()),
        };
        document.into_iter().chain(chunks.iter().copied())
    }

    /// Is it what its name says, and can it be true?
    pub(crate) fn check(&self, session: SessionKey, generation: Generation) -> Result<(), DocumentError> {
        if SessionKey::of(&self.session) != session || self.generation != generation {
            return Err(DocumentError::Misplaced {
                session: self.session.clone(),
                generation: self.generation,
            });
        }
        let sum = self.blobs().try_fold(0_u64, |sum, blob| sum.checked_add(blob.bytes));
        if sum.is_none_or(|sum| sum > MOST_BYTES) { Err(DocumentError::Absurd) } else { Ok(()) }
    }

    pub(crate) const fn is_removal(&self) -> bool {
        matches!(self.content, Content::Removed)
    }
}

impl Summary {
    /// The summary of the session that is being saved, and whose document these bytes are; where it cannot be read, as when
    /// it is encrypted, only that it is saved now.
    #[must_use]
    pub fn of_bytes(document: &[u8]) -> Self {
        match session::read(document, FormatVersion::CURRENT) {
            Ok(read) => Self::of(&read.document),
            Err(_) => Self { saved_at: Some(Timestamp::now()), ..Self::default() },
        }
    }

    /// The summary of a session.
    #[must_use]
    pub fn of(document: &SessionDocument) -> Self {
        Self {
            saved_at: document.saved_at,
            messages: Some(document.history.len() as u64),
            tokens: document.tokens().map(|tokens| tokens.len() as u64),
            model: document.passport.as_ref().map(|passport| passport.model.file.clone()),
        }
    }
}

impl BlobReference {
    pub(crate) const fn name(&self) -> BlobName {
        BlobName { id: self.id, mark: self.mark }
    }
}

impl Condemned {
    pub(crate) const fn name(&self) -> BlobName {
        BlobName { id: self.id, mark: self.mark }
    }
}

impl From<BlobName> for Condemned {
    fn from(BlobName { id, mark }: BlobName) -> Self {
        Self { id, mark }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_document_is_refused_for_being_newer_and_not_for_what_it_adds() {
        let text = br#"{"version": 2, "blobs": [], "colour": "blue"}"#;
        assert!(matches!(read::<Intent>(text), Err(DocumentError::Newer { found: 2 })));
        let unknown = br#"{"version": 1, "blobs": [], "colour": "blue"}"#;
        assert!(matches!(read::<Intent>(unknown), Err(DocumentError::Malformed(_))));
    }

    #[test]
    fn a_head_is_read_back_and_names_its_document_first() {
        let blob =
            |text: &[u8]| BlobReference { id: ChunkId::of(text), bytes: text.len() as u64, mark: None };
        let head = Head {
            version: VERSION,
            session: SessionId::new("größe 1").unwrap(),
            generation: Generation(3),
            written_by: Mark::new(7),
            content: Content::Saved {
                summary: Summary::default(),
                document: blob(b"document"),
                chunks: vec![blob(b"one"), blob(b"two")],
            },
        };
        assert_eq!(read::<Head>(&write(&head).unwrap()).unwrap(), head);
        assert_eq!(head.blobs().next(), Some(blob(b"document")));
    }
}
