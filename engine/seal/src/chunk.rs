//! A chunk in the form in which it is stored.

use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use intact_format::image::{Chunk, ChunkId};
use serde::{Deserialize, Serialize};

use crate::envelope::Secret;
use crate::error::SealError;
use crate::plane;

/// What chunk keys are derived for, so that no other use of the secret gives the same.
const LABEL: &[u8] = b"intact/chunk/1";
/// Bytes of a salt.
const SALT: usize = 32;
/// Bytes by which encryption makes a chunk longer: its salt, and the tag of ChaCha20-Poly1305.
const OVERHEAD: usize = SALT + 16;
/// zstd's level: on KV, higher ones take several times as long for a percent.
const LEVEL: i32 = 1;
/// How many times longer than its stored form a chunk may become. One that compresses better is stored as it is.
const MOST_RATIO: u64 = 64;

/// Where a chunk is, and what must be done to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StoredChunk {
    /// The chunk's id: the hash of what it is.
    pub id: ChunkId,
    /// Bytes that it has.
    pub bytes: u64,
    /// The id under which it is stored: the hash of what is stored.
    pub stored_id: ChunkId,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// How its bytes were encoded, before they were encrypted.
    pub encoding: Encoding,
}

/// How the bytes of a chunk are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Kind", rename_all = "PascalCase", deny_unknown_fields)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// By zstd, after their planes were taken apart.
    Zstd {
        /// Number of planes.
        #[serde(rename = "Stride")]
        stride: u8,
    },
}

impl StoredChunk {
    /// The stored form of a chunk.
    pub(crate) fn of(
        chunk: &Chunk<'_>,
        encoding: Encoding,
        secret: Option<&Secret>,
    ) -> Result<(Self, Chunk<'static>), SealError> {
        let (encoding, encoded) = encode(chunk.payload(), encoding)?;
        let stored = Chunk::new(match secret {
            Some(secret) => encrypt(secret, &encoded),
            None => encoded,
        });
        let form = Self {
            id: chunk.id(),
            bytes: chunk.payload().len() as u64,
            stored_id: stored.id(),
            stored_bytes: stored.payload().len() as u64,
            encoding,
        };
        Ok((form, stored))
    }

    /// The chunk of its stored form.
    pub(crate) fn open(&self, secret: Option<&Secret>, stored: &[u8]) -> Result<Chunk<'static>, SealError> {
        let decrypted = secret.map(|secret| decrypt(secret, stored).ok_or(SealError::Chunk { id: self.id }));
        let decrypted = decrypted.transpose()?;
        let encoded = decrypted.as_deref().unwrap_or(stored);
        let payload = match self.encoding {
            Encoding::Plain => decrypted.unwrap_or_else(|| stored.to_vec()),
            Encoding::Zstd { stride } => {
                let (stored, bytes) = (encoded.len() as u64, self.bytes);
                if bytes > stored.saturating_mul(MOST_RATIO) {
                    return Err(SealError::Bomb { id: self.id, stored, bytes });
                }
                let capacity = usize::try_from(bytes).map_err(|_| SealError::Chunk { id: self.id })?;
                let planes = zstd::bulk::decompress(encoded, capacity)
                    .map_err(|_| SealError::Chunk { id: self.id })?;
                plane::join(&planes, usize::from(stride))
            }
        };
        Ok(Chunk::verified(self.id, payload)?)
    }
}

fn encode(payload: &[u8], encoding: Encoding) -> Result<(Encoding, Vec<u8>), SealError> {
    if let Encoding::Zstd { stride } = encoding {
        let planes = plane::split(payload, usize::from(stride));
        let encoded = zstd::bulk::compress(&planes, LEVEL)
            .map_err(|error| SealError::Cannot { reason: error.to_string() })?;
        let is_shorter = encoded.len() < payload.len();
        if is_shorter && payload.len() as u64 <= encoded.len() as u64 * MOST_RATIO {
            return Ok((encoding, encoded));
        }
    }
    Ok((Encoding::Plain, payload.to_vec()))
}

/// The salt is a keyed hash of what is encrypted, so equal bytes have equal stored forms, and no key ever encrypts two
/// different messages.
fn encrypt(secret: &Secret, encoded: &[u8]) -> Vec<u8> {
    let salt = blake3::keyed_hash(secret.bytes(), encoded);
    let key = hkdf(salt.as_bytes(), LABEL, secret.bytes());
    let encrypted = aead_encrypt(&key, encoded);
    [salt.as_bytes().as_slice(), &encrypted].concat()
}

fn decrypt(secret: &Secret, stored: &[u8]) -> Option<Vec<u8>> {
    let size = stored.len().checked_sub(OVERHEAD)?;
    let (salt, encrypted) = stored.split_at(SALT);
    let key = hkdf(salt, LABEL, secret.bytes());
    aead_decrypt(&key, size, encrypted).ok()
}
