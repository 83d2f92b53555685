//! From a session as it is to one at rest.

use std::collections::{HashMap, HashSet};
use std::fmt;

use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::layout::GgmlType;
use rayon::prelude::*;

use crate::chunk::{Encoding, StoredChunk};
use crate::document;
use crate::envelope::{Envelope, Secret};
use crate::error::SealError;
use crate::key::Lock;
use crate::opener::Opened;

/// What is done to a session at rest.
#[derive(Clone, Debug, Default)]
pub struct SealOptions {
    /// For whom it is encrypted; none leaves it readable for everyone.
    pub lock: Option<Lock>,
    /// With which sessions it shares equal chunks, where it is encrypted.
    pub sharing: Sharing,
    /// How its chunks are compressed.
    pub compression: Compression,
}

/// Which encrypted sessions store an equal chunk once.
#[derive(Clone, Default)]
pub enum Sharing {
    /// None: each has a secret of its own, and nobody can tell what two sessions have in common.
    #[default]
    Session,
    /// All that are given the same secret. Who sees the store sees which of them share chunks.
    Store([u8; 32]),
}

/// How chunks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By zstd, the planes of the numbers apart.
    Zstd,
}

/// Wraps the saves of one session. It remembers in which form each chunk is stored, so that a chunk that was stored before
/// need not be given again.
#[derive(Debug)]
pub struct Sealer {
    options: SealOptions,
    secret: Option<Secret>,
    stored: HashMap<ChunkId, StoredChunk>,
}

/// A session at rest.
#[derive(Debug)]
pub struct Wrapped {
    /// The bytes of the document.
    pub document: Vec<u8>,
    /// Every chunk that the document needs, by the id under which it is stored.
    pub needed: Vec<(ChunkId, u64)>,
    /// The chunks that were given, in the form in which they are stored.
    pub chunks: Vec<Chunk<'static>>,
}

impl SealOptions {
    /// Does a session stay as it is?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.lock.is_none() && self.compression == Compression::None
    }
}

impl Sharing {
    /// Sharing among all sessions that are given this secret, as long and as random as a key.
    #[must_use]
    pub fn store(secret: &[u8]) -> Self {
        Self::Store(blake3::derive_key("intact 2026 secret of a store", secret))
    }
}

/// Without the secret.
impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "Session",
            Self::Store(_) => "Store(…)",
        })
    }
}

impl Sealer {
    /// For a session that was not stored before.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn new(options: SealOptions) -> Result<Self, SealError> {
        let secret = match (&options.lock, &options.sharing) {
            (None, _) => None,
            (Some(_), Sharing::Session) => Some(Secret::random()?),
            (Some(_), Sharing::Store(secret)) => Some(Secret::of(*secret)),
        };
        Ok(Self { options, secret, stored: HashMap::new() })
    }

    /// For a session that was opened: what is stored of it is not stored again, if its form is the wanted one.
    ///
    /// # Errors
    /// As [`Sealer::new`].
    pub fn resume(options: SealOptions, opened: &Opened) -> Result<Self, SealError> {
        let mut sealer = Self::new(options)?;
        let (secret, stored) = opened.storage();
        let keeps_secret = match sealer.options.sharing {
            Sharing::Session => secret.is_some() == sealer.secret.is_some(),
            Sharing::Store(_) => secret == sealer.secret.as_ref(),
        };
        if keeps_secret {
            sealer.secret = secret.cloned();
            sealer.stored = stored.clone();
        }
        Ok(sealer)
    }

    /// Wraps a document and the chunks of its image that were not given before.
    ///
    /// # Errors
    /// When a chunk was neither given now nor before, or the recipients cannot be encrypted for.
    pub fn wrap(
        &mut self,
        document: Vec<u8>,
        image: Option<&ImageReference>,
        chunks: &[Chunk<'_>],
    ) -> Result<Wrapped, SealError> {
        let strides = image.map(strides).unwrap_or_default();
        let (secret, compression) = (self.secret.as_ref(), self.options.compression);
        let fresh: Vec<&Chunk<'_>> =
            chunks.iter().filter(|chunk| !self.stored.contains_key(&chunk.id())).collect();
        let encoded: Vec<_> = fresh
            .par_iter()
            .map(|chunk| {
                let encoding = match compression {
                    Compression::None => Encoding::Plain,
                    Compression::Zstd => {
                        Encoding::Zstd { stride: strides.get(&chunk.id()).copied().unwrap_or(1) }
                    }
                };
                StoredChunk::of(chunk, encoding, secret)
            })
            .collect::<Result<_, _>>()?;
        let mut written = Vec::with_capacity(encoded.len());
        for (form, chunk) in encoded {
            self.stored.insert(form.id, form);
            written.push(chunk);
        }

        let mut seen = HashSet::new();
        let ids = image.into_iter().flat_map(ImageReference::chunk_ids).filter(|(id, _)| seen.insert(*id));
        let forms: Vec<StoredChunk> = ids
            .map(|(id, _)| self.stored.get(&id).cloned().ok_or(SealError::UnknownChunk { id }))
            .collect::<Result<_, _>>()?;
        self.stored.retain(|id, _| seen.contains(id));

        let needed = forms.iter().map(|form| (form.stored_id, form.stored_bytes)).collect();
        let document =
            String::from_utf8(document).map_err(|_| SealError::damaged("a document that is not text"))?;
        let envelope = Envelope::new(self.secret.clone(), forms, document).write()?;
        let document = match &self.options.lock {
            Some(lock) => document::seal(&envelope, lock)?,
            None => envelope,
        };
        Ok(Wrapped { document, needed, chunks: written })
    }
}

/// Planes of every chunk: the bytes of a number, or of a block of quantized ones.
fn strides(image: &ImageReference) -> HashMap<ChunkId, u8> {
    let ImageReference::Cells(image) = image else { return HashMap::new() };
    let sections = image.sections.iter();
    sections
        .flat_map(|section| section.chunks.iter().map(|chunk| (chunk.id, stride(&section.key_type))))
        .collect()
}

fn stride(kv_type: &str) -> u8 {
    let block = GgmlType::by_name(kv_type).and_then(GgmlType::block);
    block.and_then(|block| u8::try_from(block.bytes).ok()).unwrap_or(1)
}
