//! Reading a session: its head, its document, its chunks; every payload is hashed.

use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::image::{Chunk, ChunkId};
use intact_format::session_id::SessionId;

use crate::error::StoreError;
use crate::head::{BlobReference, Content, Head, Summary};
use crate::history;
use crate::key::{BlobName, Generation, Key, SessionKey};
use crate::objects::{CONCURRENCY, Length, Objects};

/// How often a payload that arrives damaged is asked for again: the request may have been damaged, not the payload.
const TRIES: u32 = 3;

/// A session of the store that was opened. Its document is here, its chunks are not yet.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its id.
    pub session: SessionId,
    /// Which save it is.
    pub generation: Generation,
    /// What a list shows of it.
    pub summary: Summary,
    /// Its document, as it was saved.
    pub document: Vec<u8>,
    /// Where its chunks are.
    pub chunks: Vec<BlobReference>,
}

/// Opens the latest save of a session.
pub(crate) async fn open(objects: &Objects, session: &SessionId) -> Result<Opened, StoreError> {
    for _ in 0..TRIES {
        let Some(head) = saved(objects, session).await? else { return Err(not_found(objects, session)) };
        let Content::Saved { summary, document, chunks } = head.content else {
            return Err(not_found(objects, session));
        };
        match payload(objects, session, head.generation, &document).await {
            Ok(document) => {
                let (session, generation) = (session.clone(), head.generation);
                return Ok(Opened {
                    session,
                    generation,
                    summary,
                    document: document.payload().to_vec(),
                    chunks,
                });
            }
            Err(StoreError::Superseded { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Contended { what: "reading a session", tries: TRIES })
}

/// Chunks of an opened session, each once, in the order asked for.
pub(crate) async fn chunks(
    objects: &Objects,
    opened: &Opened,
    wanted: &[ChunkId],
) -> Result<Vec<Chunk<'static>>, StoreError> {
    let reads = wanted.iter().copied().map(|id| async move {
        let missing = || StoreError::Missing { session: opened.session.clone(), id };
        let reference = opened.chunks.iter().find(|reference| reference.id == id).ok_or_else(missing)?;
        payload(objects, &opened.session, opened.generation, reference).await
    });
    stream::iter(reads).buffered(CONCURRENCY).try_collect().await
}

/// The head of the latest save, where there is one.
pub(crate) async fn saved(objects: &Objects, session: &SessionId) -> Result<Option<Head>, StoreError> {
    let history = history::one(objects, SessionKey::of(session)).await?;
    Ok(history.latest.filter(|head| !head.is_removal()))
}

pub(crate) fn not_found(objects: &Objects, session: &SessionId) -> StoreError {
    StoreError::SessionNotFound { address: objects.address().to_owned(), session: session.clone() }
}

async fn payload(
    objects: &Objects,
    session: &SessionId,
    generation: Generation,
    reference: &BlobReference,
) -> Result<Chunk<'static>, StoreError> {
    match verified(objects, reference).await? {
        Some(chunk) => Ok(chunk),
        // Garbage collection may have followed a newer save.
        None if saved(objects, session).await?.is_none_or(|head| head.generation != generation) => {
            Err(StoreError::Superseded { session: session.clone() })
        }
        None => Err(StoreError::Missing { session: session.clone(), id: reference.id }),
    }
}

/// A payload whose bytes are what its name says, and as many as were stored; none where there is none.
pub(crate) async fn verified(
    objects: &Objects,
    reference: &BlobReference,
) -> Result<Option<Chunk<'static>>, StoreError> {
    let key = Key::Blob(reference.name());
    let mut tries = 0;
    loop {
        let Some(bytes) = objects.get(&key, Length::Exactly(reference.bytes)).await? else { return Ok(None) };
        tries += 1;
        match Chunk::verified(reference.id, bytes) {
            Ok(chunk) => return Ok(Some(chunk)),
            Err(_) if tries < TRIES => {}
            Err(cause) => return Err(StoreError::Damaged { key: key.to_string(), cause }),
        }
    }
}

/// Whether a payload is what its name says.
pub(crate) enum Sound {
    /// It is, and has so many bytes.
    Yes(u64),
    No,
    Gone,
}

/// Whether a payload is what its name says, however long it is: its bytes are not kept in memory.
pub(crate) async fn sound(objects: &Objects, name: BlobName) -> Result<Sound, StoreError> {
    let key = Key::Blob(name);
    let mut tries = 0;
    loop {
        let (found, bytes) = match objects.hash(&key).await {
            Ok(Some(hashed)) => hashed,
            Ok(None) => return Ok(Sound::Gone),
            Err(StoreError::Irregular { .. }) => return Ok(Sound::No),
            Err(error) => return Err(error),
        };
        tries += 1;
        if found == name.id {
            return Ok(Sound::Yes(bytes));
        }
        if tries == TRIES {
            return Ok(Sound::No);
        }
    }
}
