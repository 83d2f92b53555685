//! The envelope: a document, and in which form its chunks are stored.

use std::collections::HashSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::chunk::StoredChunk;
use crate::error::SealError;
use crate::sign::{Author, Signed, Signer};

/// The version of an envelope that nobody has signed.
const UNSIGNED: &str = "1.0";
/// The version of one that somebody has signed. Who knows only the former refuses it.
const SIGNED: &str = "1.1";
/// What a wrapped document starts with.
const START: &[u8] = b"{\"IntactEnvelope\":";

/// A document as it was, and in which form each of its chunks is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Envelope {
    /// First, so that the form can be told from the first bytes.
    #[serde(rename = "IntactEnvelope")]
    version: String,
    /// Who vouches for everything else here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<Signed>,
    /// What the chunks' keys are derived from; where there is one, every chunk is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    /// Every chunk of the document's image once.
    chunks: Vec<StoredChunk>,
    /// The document's bytes, which are text.
    document: String,
}

/// What chunk keys are derived from: 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

/// Only the version, to tell a newer envelope from a damaged one.
#[derive(Deserialize)]
struct Gate {
    #[serde(rename = "IntactEnvelope")]
    version: String,
}

impl Envelope {
    pub(crate) fn new(secret: Option<Secret>, chunks: Vec<StoredChunk>, document: String) -> Self {
        Self { version: UNSIGNED.to_owned(), signed: None, secret, chunks, document }
    }

    /// The same, signed.
    pub(crate) fn sign(self, signer: &Signer) -> Result<Self, SealError> {
        let unsigned = Self { version: SIGNED.to_owned(), signed: None, ..self };
        let signed = signer.sign(&unsigned.write()?);
        Ok(Self { signed: Some(signed), ..unsigned })
    }

    /// Who has signed it. What is signed is what was read and not how it was written, so it is written anew.
    pub(crate) fn author(&self) -> Result<Option<Author>, SealError> {
        let Some(signed) = &self.signed else { return Ok(None) };
        let unsigned = Self { signed: None, ..self.clone() };
        match signed.author_of(&unsigned.write()?) {
            Some(author) => Ok(Some(author)),
            None => Err(SealError::damaged("its signature is wrong: it was changed after it was signed")),
        }
    }

    pub(crate) fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(START)
    }

    pub(crate) fn write(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        serde_json::to_vec(self)
            .map(Zeroizing::new)
            .map_err(|error| SealError::Cannot { reason: error.to_string() })
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SealError> {
        // Of serde's errors only line and column: the message may quote what is sealed.
        let damaged = |error: serde_json::Error| {
            SealError::damaged(format!("no envelope at line {}, column {}", error.line(), error.column()))
        };
        let gate: Gate = serde_json::from_slice(bytes).map_err(damaged)?;
        if ![UNSIGNED, SIGNED].contains(&gate.version.as_str()) {
            return Err(SealError::TooNew { found: gate.version.chars().take(20).collect(), known: SIGNED });
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        if envelope.signed.is_some() != (envelope.version == SIGNED) {
            return Err(SealError::damaged(
                "its version says that it is signed and it is not, or the other way round",
            ));
        }
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
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice())
            .map_err(|error| SealError::Cannot { reason: error.to_string() })?;
        Ok(Self(bytes))
    }

    pub(crate) fn of(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(blake3::Hash::from_bytes(*self.0).to_hex().as_str())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let hash = blake3::Hash::from_hex(text.as_bytes());
        hash.map(|hash| Self::of(*hash.as_bytes())).map_err(|_| D::Error::custom("64 hexadecimal digits"))
    }
}

/// Without what it is about.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
