//! From a session at rest to the session: a source around another source.

use std::collections::HashMap;

use intact_format::image::{Chunk, ChunkId, ImageReference};
use intact_format::place::{PlaceError, ReadParts, SessionSource};
use intact_format::text::without_byte_order_mark;
use zeroize::Zeroizing;

use crate::chunk::StoredChunk;
use crate::document::{self, Form};
use crate::envelope::{Envelope, Secret};
use crate::error::SealError;
use crate::key::{Keys, Lock};
use crate::sealer::{Sealer, stored_image};
use crate::sign::Author;

/// A document that was opened, and how to open its chunks.
#[derive(Debug)]
pub struct Opened {
    form: Form,
    document: Vec<u8>,
    lock: Option<Lock>,
    author: Option<Author>,
    secret: Option<Secret>,
    stored: HashMap<ChunkId, StoredChunk>,
}

/// Who can have written a session, as far as its file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Whoever has the secret key of this public one.
    Signed(Author),
    /// Whoever knows the passphrase.
    Passphrase,
    /// Whoever has the public key of a recipient, which is no secret.
    Anybody,
    /// Whoever can write the file: it is not encrypted.
    Unsealed,
}

/// A place whose sessions are opened on their way out.
#[derive(Debug)]
pub struct SealedSource<S> {
    inner: S,
    opened: Opened,
}

impl Opened {
    /// Opens a document of any form. With `sealed_only`, which is right wherever all sessions are sealed, one that is not
    /// is refused: its encryption may have been stripped by whoever wants it to be believed. Where the keys name authors, one
    /// that none of them has signed is refused too.
    ///
    /// # Errors
    /// Without the right key; when it is damaged, of a newer version, or not sealed or signed and has to be.
    pub fn read(bytes: Vec<u8>, keys: &Keys, sealed_only: bool) -> Result<Self, SealError> {
        let form = Form::of(&bytes);
        let (envelope, lock) = match form {
            Form::Sealed => document::unseal(without_byte_order_mark(&bytes), keys)?,
            Form::Plain | Form::Wrapped if sealed_only => return Err(SealError::NotSealed),
            Form::Wrapped => (Zeroizing::new(without_byte_order_mark(&bytes).to_vec()), None),
            Form::Plain if !keys.trusts(None) => return Err(SealError::NotTrusted { by: None }),
            Form::Plain => {
                return Ok(Self {
                    form,
                    document: bytes,
                    lock: None,
                    author: None,
                    secret: None,
                    stored: HashMap::new(),
                });
            }
        };
        let envelope = Envelope::read(&envelope)?;
        let author = envelope.author()?;
        if !keys.trusts(author) {
            return Err(SealError::NotTrusted { by: author });
        }
        let (secret, chunks, document) = envelope.into_parts();
        if secret.is_some() != (form == Form::Sealed) {
            return Err(SealError::damaged("its chunks are encrypted and it is not, or the other way round"));
        }
        let stored = chunks.into_iter().map(|chunk| (chunk.id, chunk)).collect();
        Ok(Self { form, document: document.into_bytes(), lock, author, secret, stored })
    }

    /// Who can have written it.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        match (self.author, self.form, &self.lock) {
            (Some(author), ..) => Origin::Signed(author),
            (None, Form::Sealed, Some(_)) => Origin::Passphrase,
            (None, Form::Sealed, None) => Origin::Anybody,
            (None, Form::Plain | Form::Wrapped, _) => Origin::Unsealed,
        }
    }

    /// The form that it had.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The bytes of the session's document.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Its lock, where that is known: recipients are not.
    pub(crate) fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    pub(crate) fn storage(&self) -> (Option<&Secret>, &HashMap<ChunkId, StoredChunk>) {
        (self.secret.as_ref(), &self.stored)
    }

    fn stored(&self, id: ChunkId) -> Result<&StoredChunk, SealError> {
        self.stored.get(&id).ok_or(SealError::UnknownChunk { id })
    }

    /// An image of the document as the place has it: the ids and lengths of what is stored.
    ///
    /// # Errors
    /// When the document's envelope does not say how one of its chunks is stored.
    pub fn stored_image(&self, image: &ImageReference) -> Result<ImageReference, SealError> {
        if self.form == Form::Plain {
            return Ok(image.clone());
        }
        let forms = image.chunk_ids().map(|(id, bytes)| {
            let form = self.stored(id)?;
            form.check(self.secret.is_some())?;
            if form.bytes == bytes { Ok(form.clone()) } else { Err(SealError::Chunk { id }) }
        });
        Ok(stored_image(&forms.collect::<Result<Vec<_>, _>>()?))
    }
}

impl<S: SessionSource> SealedSource<S> {
    /// Opens a session of another place. See [`Opened::read`].
    ///
    /// # Errors
    /// When its document cannot be read or opened.
    pub fn open(mut inner: S, keys: &Keys, sealed_only: bool) -> Result<Self, PlaceError> {
        let opened = Opened::read(inner.document()?, keys, sealed_only)?;
        Ok(Self { inner, opened })
    }

    pub(crate) fn opened(inner: S, opened: Opened) -> Self {
        Self { inner, opened }
    }

    /// The form that the session has there.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.opened.form()
    }

    /// Who can have written it.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.opened.origin()
    }

    /// For the next save of the session. See [`Sealer::resume`].
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::resume(&self.opened)
    }
}

impl<S: SessionSource> SessionSource for SealedSource<S> {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        Ok(self.opened.document.clone())
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        self.inner.locate(&self.opened.stored_image(image)?)
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        let opened = &self.opened;
        if opened.form == Form::Plain {
            return self.inner.read(id, payload);
        }
        let form = opened.stored(id)?;
        form.check(opened.secret.is_some())?;
        // The place has located it, so there is that much.
        let length = usize::try_from(form.stored_bytes).map_err(|_| SealError::Chunk { id })?;
        let mut stored = vec![0; length];
        self.inner.read(form.stored_id, &mut stored)?;
        let chunk: Chunk<'_> = form.open(opened.secret.as_ref(), stored)?;
        if chunk.payload().len() != payload.len() {
            return Err(SealError::Chunk { id }.into());
        }
        payload.copy_from_slice(chunk.payload());
        Ok(())
    }

    fn parts(&self) -> Option<&dyn ReadParts> {
        self.inner.parts().filter(|_| self.opened.form == Form::Plain)
    }
}
