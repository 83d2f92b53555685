//! Is a store whole? Every payload is read and hashed, every session document is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::image::{ChunkId, ImageReference};
use intact_format::session_id::SessionId;

use crate::contents::{self, ReadContents};
use crate::error::StoreError;
use crate::head::{Content, Head};
use crate::history;
use crate::key::{BlobName, Folder, Key};
use crate::listing::Unread;
use crate::objects::{CONCURRENCY, Objects};
use crate::read::{self, Sound};

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
    /// Sessions that are encrypted, and whose documents no key at hand opens. Their hashes were checked like all others.
    pub closed: BTreeSet<SessionId>,
    /// Sessions that cannot be loaded as they were saved, and why.
    pub broken: BTreeMap<SessionId, String>,
    /// What lies in the place of a session and cannot be read.
    pub unreadable: Vec<Unread>,
}

/// What is known of one session.
enum Finding {
    /// It is as it was saved, or not there any more.
    Sound,
    /// All of it is there; what its document says is not known.
    Closed,
    Broken(String),
}

impl Verification {
    /// Whether every session is as it was saved, and nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.broken.is_empty() && self.unreadable.is_empty()
    }
}

pub(crate) async fn verify(
    objects: &Objects,
    repair: bool,
    contents_of: &ReadContents<'_>,
) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    let names = objects.list(Folder::Blobs).await?.into_iter().filter_map(|listed| match listed.key {
        Key::Blob(name) => Some(name),
        _ => None,
    });
    let states =
        names.map(|name| async move { Ok::<_, StoreError>((name, read::sound(objects, name).await?)) });
    let states: Vec<_> = stream::iter(states).buffer_unordered(CONCURRENCY).try_collect().await?;
    let mut sound = HashMap::new();
    let mut damaged = Vec::new();
    for (name, state) in states {
        match state {
            Sound::Yes(bytes) => {
                found.payloads += 1;
                found.bytes = found.bytes.saturating_add(bytes);
                sound.insert(name, bytes);
            }
            Sound::No => damaged.push(Key::Blob(name)),
            Sound::Gone => {}
        }
    }
    let histories = history::all(objects).await?;
    found.unreadable = histories.unread();
    for history in &histories.sessions {
        let Some(head) = history.saved() else { continue };
        found.sessions += 1;
        match check(objects, head, &sound, contents_of).await? {
            Finding::Sound => {}
            Finding::Closed => {
                found.closed.insert(head.session.clone());
            }
            Finding::Broken(why) => {
                found.broken.insert(head.session.clone(), why);
            }
        }
    }
    found.damaged = damaged.iter().map(Key::to_string).collect();
    if repair && !damaged.is_empty() {
        objects.remove(damaged).await?;
        found.repaired = true;
    }
    Ok(found)
}

/// Can a session be loaded as it was saved?
async fn check(
    objects: &Objects,
    head: &Head,
    sound: &HashMap<BlobName, u64>,
    contents_of: &ReadContents<'_>,
) -> Result<Finding, StoreError> {
    let Content::Saved { document, chunks, .. } = &head.content else { return Ok(Finding::Sound) };
    for payload in head.blobs().filter(|payload| sound.get(&payload.name()) != Some(&payload.bytes)) {
        // It may have been stored after the payloads were listed.
        let what = match read::sound(objects, payload.name()).await? {
            Sound::Yes(bytes) if bytes == payload.bytes => continue,
            Sound::Yes(_) => "has another length than its head says",
            Sound::No => "is damaged",
            Sound::Gone if read::saved(objects, &head.session).await?.as_ref() != Some(head) => {
                return Ok(Finding::Sound);
            }
            Sound::Gone => "is missing",
        };
        let kind = if payload.id == document.id { "its document" } else { "its chunk" };
        return Ok(Finding::Broken(format!("{kind} {} {what}", payload.id)));
    }
    let Some(document) = read::verified(objects, document).await? else { return Ok(Finding::Sound) };
    let contents = match contents_of(document.payload()) {
        Ok(contents) => contents,
        Err(error) if contents::is_closed(&error) => return Ok(Finding::Closed),
        Err(error) => return Ok(Finding::Broken(format!("its document cannot be read: {error}"))),
    };
    if contents.session != head.session {
        return Ok(Finding::Broken(format!("its document is of session `{}`", contents.session)));
    }
    let held: HashSet<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    let mut needed = contents.image.iter().flat_map(ImageReference::chunk_ids);
    Ok(match needed.find(|(id, _)| !held.contains(id)) {
        Some((id, _)) => Finding::Broken(format!("its head does not list chunk {id}")),
        None => Finding::Sound,
    })
}
