//! The envelope: a document, and in which form its chunks are stored.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chunk::StoredChunk;
use crate::error::SealError;

/// The version that is written and read.
const VERSION: &str = "1.0";
/// What a wrapped document starts with.
const START: &[u8] = b"{\"IntactEnvelope\":";

/// A document as it was, and in which form each of its chunks is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Envelope {
    /// `1.0`. First, so that the form can be told from the first bytes.
    #[serde(rename = "IntactEnvelope")]
    version: String,
    /// What the chunks' keys are derived from; where there is one, every chunk is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    /// Every chunk of the document's image once.
    chunks: Vec<StoredChunk>,
    /// The document's bytes, which are text.
    document: String,
}

/// What chunk keys are derived from: 32 random bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Secret([u8; 32]);

/// Only the version, to tell a newer envelope from a damaged one.
#[derive(Deserialize)]
struct Gate {
    #[serde(rename = "IntactEnvelope")]
    version: String,
}

impl Envelope {
    pub(crate) fn new(secret: Option<Secret>, chunks: Vec<StoredChunk>, document: String) -> Self {
        Self { version: VERSION.to_owned(), secret, chunks, document }
    }

    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(START)
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, SealError> {
        serde_json::to_vec(self).map_err(|error| SealError::Cannot { reason: error.to_string() })
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SealError> {
        // Of serde's errors only line and column: the message may quote what is sealed.
        let damaged = |error: serde_json::Error| {
            SealError::damaged(format!("no envelope at line {}, column {}", error.line(), error.column()))
        };
        let gate: Gate = serde_json::from_slice(bytes).map_err(damaged)?;
        if gate.version != VERSION {
            return Err(SealError::TooNew { found: gate.version.chars().take(20).collect(), known: VERSION });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        let mut seen = HashSet::new();
        if envelope.chunks.iter().all(|chunk| seen.insert(chunk.id)) {
            Ok(envelope)
        } else {
            Err(SealError::damaged("its envelope lists a chunk twice"))
        }
    }

    pub(crate) fn into_parts(self) -> (Option<Secret>, Vec<StoredChunk>, String) {
        (self.secret, self.chunks, self.document)
    }
}

impl Secret {
    pub(crate) fn random() -> Result<Self, SealError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| SealError::Cannot { reason: error.to_string() })?;
        Ok(Self(bytes))
    }

    pub(crate) const fn of(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        blake3::Hash::from_bytes(secret.0).to_hex().to_string()
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| "64 hexadecimal digits")
    }
}

/// Without what it is about.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
