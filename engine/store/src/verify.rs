//! Is a store whole? Every payload is read and hashed, every session document is read.

use std::collections::{BTreeMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::image::{ChunkId, ImageReference};
use intact_format::session;
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;

use crate::error::StoreError;
use crate::head::{Content, Head};
use crate::history;
use crate::key::{BlobName, Folder, Key};
use crate::objects::{CONCURRENCY, Objects};
use crate::read;

/// What a full check of a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Sessions that were checked.
    pub sessions: usize,
    /// Payloads that were read and hashed.
    pub payloads: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Objects whose bytes are not what their name says.
    pub damaged: Vec<String>,
    /// Whether those were removed.
    pub repaired: bool,
    /// Sessions that cannot be loaded as they were saved, and why.
    pub broken: BTreeMap<SessionId, String>,
}

/// What is known of one payload.
enum State {
    Sound(u64),
    Damaged,
    Gone,
}

impl Verification {
    /// Whether every session is as it was saved, and nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.broken.is_empty()
    }
}

pub(crate) async fn verify(objects: &Objects, repair: bool) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    let names = objects.list(Folder::Blobs).await?.into_iter().filter_map(|listed| match listed.key {
        Key::Blob(name) => Some(name),
        _ => None,
    });
    let states = names.map(|name| async move { Ok::<_, StoreError>((name, state(objects, name).await?)) });
    let states: Vec<_> = stream::iter(states).buffer_unordered(CONCURRENCY).try_collect().await?;
    let mut sound = HashSet::new();
    let mut damaged = Vec::new();
    for (name, state) in states {
        match state {
            State::Sound(bytes) => {
                found.payloads += 1;
                found.bytes += bytes;
                sound.insert(name);
            }
            State::Damaged => damaged.push(Key::Blob(name)),
            State::Gone => {}
        }
    }
    for history in history::all(objects).await? {
        let Some(head) = history.saved() else { continue };
        found.sessions += 1;
        if let Some(problem) = problem(objects, head, &sound).await? {
            found.broken.insert(head.session.clone(), problem);
        }
    }
    found.damaged = damaged.iter().map(Key::to_string).collect();
    if repair && !damaged.is_empty() {
        objects.remove(damaged).await?;
        found.repaired = true;
    }
    Ok(found)
}

async fn state(objects: &Objects, name: BlobName) -> Result<State, StoreError> {
    match read::verified(objects, name).await {
        Ok(Some(chunk)) => Ok(State::Sound(chunk.payload().len() as u64)),
        Ok(None) => Ok(State::Gone),
        Err(StoreError::Damaged { .. }) => Ok(State::Damaged),
        Err(error) => Err(error),
    }
}

/// Why a session cannot be loaded as it was saved.
async fn problem(
    objects: &Objects,
    head: &Head,
    sound: &HashSet<BlobName>,
) -> Result<Option<String>, StoreError> {
    let Content::Saved { document, chunks, .. } = &head.content else { return Ok(None) };
    for payload in head.blobs().filter(|payload| !sound.contains(&payload.name())) {
        // It may have been stored after the payloads were listed.
        let what = match state(objects, payload.name()).await? {
            State::Sound(_) => continue,
            State::Damaged => "is damaged",
            State::Gone if read::saved(objects, &head.session).await?.as_ref() != Some(head) => {
                return Ok(None);
            }
            State::Gone => "is missing",
        };
        let kind = if payload.id == document.id { "its document" } else { "its chunk" };
        return Ok(Some(format!("{kind} {} {what}", payload.id)));
    }
    let Some(document) = read::verified(objects, document.name()).await? else { return Ok(None) };
    let document = match session::read(document.payload(), FormatVersion::CURRENT) {
        Ok(read) => read.document,
        Err(error) => return Ok(Some(format!("its document cannot be read: {error}"))),
    };
    if document.session_id != head.session {
        return Ok(Some(format!("its document is of session `{}`", document.session_id)));
    }
    let held: HashSet<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    let mut needed = document.image.iter().flat_map(ImageReference::chunk_ids);
    Ok(needed.find(|(id, _)| !held.contains(id)).map(|(id, _)| format!("its head does not list chunk {id}")))
}
