//! A chunk in the form in which it is stored.

use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use intact_format::image::{Chunk, ChunkId};
use serde::{Deserialize, Serialize};

use crate::envelope::Secret;
use crate::error::SealError;
use crate::plane;
use crate::sealer::Compression;

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
/// Bytes from the middle of a chunk on which the strides are tried.
const SAMPLE: usize = 64 << 10;
/// Strides to try: bytes, half and single floats, and the blocks of q4_0 and q8_0.
const STRIDES: [u8; 5] = [1, 2, 4, 18, 34];

/// Where a chunk is, and what must be done to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct StoredChunk {
    /// The chunk's id: the hash of what it is.
    pub(crate) id: ChunkId,
    /// Bytes that it has.
    pub(crate) bytes: u64,
    /// The id under which it is stored: the hash of what is stored.
    pub(crate) stored_id: ChunkId,
    /// Bytes that are stored.
    pub(crate) stored_bytes: u64,
    /// How its bytes were encoded, before they were encrypted.
    pub(crate) encoding: Encoding,
}

/// How the bytes of a chunk are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Kind", rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) enum Encoding {
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
        compression: Compression,
        secret: Option<&Secret>,
    ) -> Result<(Self, Chunk<'static>), SealError> {
        let payload = chunk.payload();
        let (encoding, encoded) = match compression {
            Compression::None => (Encoding::Plain, None),
            Compression::Zstd => compress(payload)?,
        };
        let stored = Chunk::new(match (secret, encoded) {
            (Some(secret), encoded) => encrypt(secret, encoded.as_deref().unwrap_or(payload)),
            (None, Some(encoded)) => encoded,
            (None, None) => payload.to_vec(),
        });
        let form = Self {
            id: chunk.id(),
            bytes: payload.len() as u64,
            stored_id: stored.id(),
            stored_bytes: stored.payload().len() as u64,
            encoding,
        };
        Ok((form, stored))
    }

    /// Can that many bytes be made of those that are stored? Nothing was read, and no room was made for any.
    pub(crate) fn check(&self, sealed: bool) -> Result<(), SealError> {
        let encoded = self.stored_bytes.checked_sub(if sealed { OVERHEAD as u64 } else { 0 });
        let encoded = encoded.ok_or(SealError::Chunk { id: self.id })?;
        let is_possible = match self.encoding {
            Encoding::Plain => self.bytes == encoded,
            Encoding::Zstd { .. } => self.bytes <= encoded.saturating_mul(MOST_RATIO),
        };
        if is_possible {
            return Ok(());
        }
        Err(SealError::Bomb { id: self.id, stored: self.stored_bytes, bytes: self.bytes })
    }

    /// The chunk of its stored form.
    pub(crate) fn open(&self, secret: Option<&Secret>, stored: Vec<u8>) -> Result<Chunk<'static>, SealError> {
        let unreadable = || SealError::Chunk { id: self.id };
        let encoded = match secret {
            Some(secret) => decrypt(secret, &stored).ok_or_else(unreadable)?,
            None => stored,
        };
        let payload = match self.encoding {
            Encoding::Plain => encoded,
            Encoding::Zstd { stride } => {
                let (stored, bytes) = (encoded.len() as u64, self.bytes);
                if bytes > stored.saturating_mul(MOST_RATIO) {
                    return Err(SealError::Bomb { id: self.id, stored, bytes });
                }
                let capacity = usize::try_from(bytes).map_err(|_| unreadable())?;
                let planes = zstd::bulk::decompress(&encoded, capacity).map_err(|_| unreadable())?;
                plane::join(&planes, usize::from(stride))
            }
        };
        Ok(Chunk::verified(self.id, payload)?)
    }
}

/// The shorter form of a payload, or none where there is no much shorter one that a reader would believe.
fn compress(payload: &[u8]) -> Result<(Encoding, Option<Vec<u8>>), SealError> {
    let cannot = |error: std::io::Error| SealError::Cannot { reason: error.to_string() };
    let middle = payload.len().saturating_sub(SAMPLE) / 2;
    let sample = &payload[middle..payload.len().min(middle + SAMPLE)];
    let mut best = (usize::MAX, 1);
    for stride in STRIDES {
        let length =
            zstd::bulk::compress(&plane::split(sample, usize::from(stride)), LEVEL).map_err(cannot)?.len();
        best = best.min((length, stride));
    }
    let (_, stride) = best;
    let encoded = zstd::bulk::compress(&plane::split(payload, usize::from(stride)), LEVEL).map_err(cannot)?;
    let is_shorter = encoded.len() < payload.len();
    if is_shorter && payload.len() as u64 <= encoded.len() as u64 * MOST_RATIO {
        Ok((Encoding::Zstd { stride }, Some(encoded)))
    } else {
        Ok((Encoding::Plain, None))
    }
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
