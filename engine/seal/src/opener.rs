//! From a session at rest to the session.

use std::collections::HashMap;

use intact_format::image::{Chunk, ChunkId};

use crate::chunk::StoredChunk;
use crate::document::{self, Form};
use crate::envelope::{Envelope, Secret};
use crate::error::SealError;
use crate::key::Keys;

/// A document that was opened, and how to open its chunks.
#[derive(Debug)]
pub struct Opened {
    form: Form,
    document: Vec<u8>,
    secret: Option<Secret>,
    stored: HashMap<ChunkId, StoredChunk>,
}

impl Opened {
    /// Opens a document of any form. With `sealed_only`, which is right wherever all sessions are sealed, one that is not
    /// is refused: its encryption may have been stripped by whoever wants it to be believed.
    ///
    /// # Errors
    /// Without the right key; when it is damaged, of a newer version, or not sealed and has to be.
    pub fn read(bytes: Vec<u8>, keys: &Keys, sealed_only: bool) -> Result<Self, SealError> {
        let form = Form::of(&bytes);
        let envelope = match form {
            Form::Sealed => Envelope::read(&document::unseal(&bytes, keys)?)?,
            Form::Plain | Form::Wrapped if sealed_only => return Err(SealError::NotSealed),
            Form::Wrapped => Envelope::read(&bytes)?,
            Form::Plain => {
                return Ok(Self { form, document: bytes, secret: None, stored: HashMap::new() });
            }
        };
        let (secret, chunks, document) = envelope.into_parts();
        if secret.is_some() != (form == Form::Sealed) {
            return Err(SealError::damaged("its chunks are encrypted and it is not, or the other way round"));
        }
        let stored = chunks.into_iter().map(|chunk| (chunk.id, chunk)).collect();
        Ok(Self { form, document: document.into_bytes(), secret, stored })
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

    /// The id under which a chunk of the session is stored, and the bytes that are stored.
    ///
    /// # Errors
    /// When the envelope does not list the chunk.
    pub fn stored(&self, id: ChunkId, bytes: u64) -> Result<(ChunkId, u64), SealError> {
        if self.form == Form::Plain {
            return Ok((id, bytes));
        }
        let form = self.stored.get(&id).ok_or(SealError::UnknownChunk { id })?;
        Ok((form.stored_id, form.stored_bytes))
    }

    /// The chunk of its stored form, verified.
    ///
    /// # Errors
    /// When it is not the stored form of this chunk.
    pub fn open(&self, id: ChunkId, stored: Vec<u8>) -> Result<Chunk<'static>, SealError> {
        if self.form == Form::Plain {
            return Ok(Chunk::verified(id, stored)?);
        }
        let form = self.stored.get(&id).ok_or(SealError::UnknownChunk { id })?;
        form.open(self.secret.as_ref(), &stored)
    }

    pub(crate) fn storage(&self) -> (Option<&Secret>, &HashMap<ChunkId, StoredChunk>) {
        (self.secret.as_ref(), &self.stored)
    }
}
