//! From a session as it is to one at rest: a sink around another sink.

use std::collections::{HashMap, HashSet};
use std::fmt;

use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{Committed, PlaceError, SessionSink};

use crate::chunk::{Encoding, StoredChunk};
use crate::document;
use crate::envelope::{Envelope, Secret};
use crate::error::SealError;
use crate::key::Lock;
use crate::opener::Opened;
use crate::sign::Signer;

/// What is done to a session at rest.
#[derive(Clone, Debug, Default)]
pub struct SealOptions {
    /// For whom it is encrypted; none leaves it readable for everyone.
    pub lock: Option<Lock>,
    /// With which sessions it shares equal chunks, where it is encrypted.
    pub sharing: Sharing,
    /// How its chunks are compressed.
    pub compression: Compression,
    /// Who vouches for it. Only a session that is encrypted or compressed can say so.
    pub signer: Option<Signer>,
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

/// What the saves of one session have in common: its secret, and in which form each of its chunks is stored. Kept between
/// saves, it lets the next one leave out what is stored.
#[derive(Debug)]
pub struct Sealer {
    options: SealOptions,
    secret: Option<Secret>,
    stored: HashMap<ChunkId, StoredChunk>,
}

/// A place whose sessions are encrypted, compressed, or both, before they go to another place.
#[derive(Debug)]
pub struct SealedSink<'a, S> {
    sealer: &'a mut Sealer,
    inner: S,
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

    /// For a session that was opened, which keeps its form: what is stored of it need not be stored again. One that was
    /// sealed for recipients cannot be saved before [`Sealer::renew`] says for whom: a sealed file does not name them.
    #[must_use]
    pub fn resume(opened: &Opened) -> Self {
        let (secret, stored) = opened.storage();
        let is_compressed = stored.values().any(|chunk| chunk.encoding != Encoding::Plain);
        let options = SealOptions {
            lock: opened.lock().cloned(),
            sharing: Sharing::Session,
            compression: if is_compressed { Compression::Zstd } else { Compression::None },
            signer: None,
        };
        Self { options, secret: secret.cloned(), stored: stored.clone() }
    }

    /// The same, whose saves this signer vouches for, or nobody. Who signed the session before is not asked.
    #[must_use]
    pub fn signing(mut self, signer: Option<Signer>) -> Self {
        self.options.signer = signer;
        self
    }

    /// What it does to a session.
    #[must_use]
    pub const fn options(&self) -> &SealOptions {
        &self.options
    }

    /// Does it encrypt?
    #[must_use]
    pub const fn is_sealing(&self) -> bool {
        self.secret.is_some()
    }

    /// Is it known for whom, where it encrypts?
    ///
    /// # Errors
    /// [`SealError::NoLock`], where nothing can be saved.
    pub fn ready(&self) -> Result<(), SealError> {
        if self.is_sealing() && self.options.lock.is_none() { Err(SealError::NoLock) } else { Ok(()) }
    }

    /// For the next save of the same session, with these options. Its secret stays, and with it what is stored, unless the
    /// options ask for another one.
    ///
    /// # Errors
    /// As [`Sealer::new`].
    pub fn renew(self, options: SealOptions) -> Result<Self, SealError> {
        let fresh = Self::new(options)?;
        let keeps_secret = match fresh.options.sharing {
            Sharing::Session => self.secret.is_some() == fresh.secret.is_some(),
            Sharing::Store(_) => self.secret == fresh.secret,
        };
        Ok(if keeps_secret { Self { options: fresh.options, ..self } } else { fresh })
    }

    /// The envelope around a document, and an image of the stored forms of its chunks.
    fn wrap(
        &mut self,
        document: &[u8],
        image: Option<&ImageReference>,
    ) -> Result<(Vec<u8>, Option<ImageReference>), SealError> {
        self.ready()?;
        let mut seen = HashSet::new();
        let ids = image.into_iter().flat_map(ImageReference::chunk_ids).filter(|(id, _)| seen.insert(*id));
        let forms: Vec<StoredChunk> = ids
            .map(|(id, _)| self.stored.get(&id).cloned().ok_or(SealError::UnknownChunk { id }))
            .collect::<Result<_, _>>()?;
        self.stored.retain(|id, _| seen.contains(id));

        let stored = image.map(|_| stored_image(&forms));
        let document =
            std::str::from_utf8(document).map_err(|_| SealError::damaged("a document that is not text"))?;
        let envelope = Envelope::new(self.secret.clone(), forms, document.to_owned());
        let envelope = match &self.options.signer {
            Some(signer) => envelope.sign(signer)?,
            None => envelope,
        };
        let envelope = envelope.write()?;
        let wrapped = match &self.options.lock {
            Some(lock) => document::seal(&envelope, lock)?,
            None => envelope.to_vec(),
        };
        Ok((wrapped, stored))
    }
}

/// What a place needs to know of stored chunks: their ids and lengths.
pub(crate) fn stored_image(forms: &[StoredChunk]) -> ImageReference {
    ImageReference::opaque(
        forms.iter().map(|form| (form.stored_id, form.stored_bytes)),
        "stored in another form",
    )
}

impl<'a, S: SessionSink> SealedSink<'a, S> {
    /// A sink for one save, which puts everything into `inner` in its stored form.
    pub fn new(sealer: &'a mut Sealer, inner: S) -> Self {
        Self { sealer, inner }
    }
}

impl<S: SessionSink> SessionSink for SealedSink<'_, S> {
    fn holds(&mut self, id: ChunkId, _: u64) -> Result<bool, PlaceError> {
        self.sealer.ready()?;
        match self.sealer.stored.get(&id) {
            Some(form) => self.inner.holds(form.stored_id, form.stored_bytes),
            None => Ok(false),
        }
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        if self.holds(chunk.id(), chunk.payload().len() as u64)? {
            return Ok(0);
        }
        let sealer = &mut *self.sealer;
        let (form, stored) = StoredChunk::of(chunk, sealer.options.compression, sealer.secret.as_ref())?;
        let bytes = self.inner.put(&stored)?;
        sealer.stored.insert(form.id, form);
        Ok(bytes)
    }

    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        let (document, stored) = self.sealer.wrap(document, image)?;
        self.inner.commit(&document, stored.as_ref())
    }
}
