//! Garbage collection: find what no session refers to, announce it, look again, and only then remove it.
//!
//! The order of the steps is what makes it safe; see the crate's documentation.

use std::collections::HashSet;
use std::time::Duration;

use intact_format::image::ChunkId;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::head::{self, Condemned, Head, Intent, Sweep, VERSION};
use crate::history::{self, History, age};
use crate::key::{BlobName, Folder, Key};
use crate::objects::{Listed, Objects};
use crate::surroundings::{Deadline, PATIENCE, Surroundings};

/// How garbage is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Payloads younger than this stay. A collection is safe without; it spares those who are reading a session that was
    /// saved anew or removed meanwhile.
    pub grace: Duration,
    /// Say what would be removed, and change nothing.
    pub dry_run: bool,
}

/// What a garbage collection did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// Payloads looked at.
    pub payloads: usize,
    /// Payloads removed.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Payloads that nothing refers to, and that are too young to be removed.
    pub young: usize,
    /// Their bytes.
    pub young_bytes: u64,
    /// Payloads that nothing referred to, until a save under way did.
    pub spared: usize,
    /// Superseded saves and the remains of removed sessions that were removed.
    pub heads: usize,
    /// Announcements of dead processes that were removed.
    pub stale: usize,
}

/// Payloads below that no session refers to.
struct Garbage {
    condemned: Vec<Listed>,
    young: Vec<Listed>,
}

impl Default for Collection {
    fn default() -> Self {
        Self { grace: Duration::from_secs(60 * 60), dry_run: false }
    }
}

/// Removes what no session needs.
pub(crate) async fn collect(
    objects: &Objects,
    surroundings: &dyn Surroundings,
    collection: Collection,
) -> Result<Collected, StoreError> {
    if collection.dry_run {
        let blobs = objects.list(Folder::Blobs).await?;
        let histories = history::all(objects).await?;
        let garbage = garbage(&blobs, &live(&histories), Timestamp::now(), collection.grace);
        return Ok(Collected { heads: 0, ..report(&blobs, &garbage, &garbage.condemned) });
    }
    let deadline = Deadline::start(surroundings, "collecting garbage");
    let sweep = Key::Sweep(surroundings.mark());
    announce(objects, &sweep, &[]).await?;
    let collected = Collecting { objects, deadline, sweep, collection }.carry_out().await;
    match collected {
        Ok(collected) => Ok(collected),
        // Nothing was removed: the announcement can go.
        Err(Failed::Before(error)) => {
            if let Err(left) = objects.remove([sweep]).await {
                tracing::warn!(error = %left, "an announcement stays behind; garbage collection removes it in a day");
            }
            Err(error)
        }
        // A request to remove may still arrive: savers have to see what it is about.
        Err(Failed::Removing(error)) => Err(error),
    }
}

enum Failed {
    Before(StoreError),
    Removing(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Before(error)
    }
}

struct Collecting<'a> {
    objects: &'a Objects,
    deadline: Deadline<'a>,
    sweep: Key,
    collection: Collection,
}

impl Collecting<'_> {
    async fn carry_out(&self) -> Result<Collected, Failed> {
        let objects = self.objects;
        let now = objects.head(&self.sweep).await?.map_or_else(Timestamp::now, |sweep| sweep.modified);

        // 1. What seems to be garbage. Payloads are listed before the sessions that may refer to them.
        let blobs = objects.list(Folder::Blobs).await?;
        let histories = history::all(objects).await?;
        let garbage = garbage(&blobs, &live(&histories), now, self.collection.grace);

        // 2. Announce it: whoever begins to save from now on stores these payloads under other names.
        announce(objects, &self.sweep, &garbage.condemned).await?;

        // 3. Look again: first at saves that began before, then at those that ended before.
        let (announced, stale) = intents(objects, now).await?;
        let again = history::all(objects).await?;
        let live = live(&again);
        let is_doomed = |listed: &&Listed| match listed.key {
            Key::Blob(name) => !live.contains(&name) && !announced.contains(&name.id),
            _ => false,
        };
        let doomed: Vec<_> = garbage.condemned.iter().filter(is_doomed).copied().collect();

        // 4. Remove it.
        self.remove(doomed.iter().map(|listed| listed.key)).await?;
        let heads = self.remove_heads(&again, now).await?;
        let stale = [stale, self.stale_sweeps(now).await?].concat();
        self.remove(stale.iter().copied()).await?;
        self.remove([self.sweep]).await?;
        let spared = garbage.condemned.len() - doomed.len();
        Ok(Collected { heads, stale: stale.len(), spared, ..report(&blobs, &garbage, &doomed) })
    }

    /// Superseded saves, then what is left of sessions that were removed long ago.
    async fn remove_heads(&self, histories: &[History], now: Timestamp) -> Result<usize, Failed> {
        let mut superseded = Vec::new();
        let mut ended = Vec::new();
        for history in histories {
            let outdated = history.generations.outdated(now);
            let is_removed = history.latest.as_ref().is_some_and(Head::is_removal);
            if let Some((latest, stored)) = history.generations.latest()
                && is_removed
                && age(now, stored) > PATIENCE
            {
                ended.push(Key::Head(history.key, latest));
            }
            superseded.extend(outdated.into_iter().map(|generation| Key::Head(history.key, generation)));
        }
        let removed = superseded.len() + ended.len();
        self.remove(superseded).await?;
        self.remove(ended).await?;
        Ok(removed)
    }

    async fn stale_sweeps(&self, now: Timestamp) -> Result<Vec<Key>, Failed> {
        let sweeps = self.objects.list(Folder::Sweeps).await.map_err(Failed::Removing)?;
        let stale =
            sweeps.iter().filter(|listed| listed.key != self.sweep && age(now, listed.modified) > PATIENCE);
        Ok(stale.map(|listed| listed.key).collect())
    }

    /// Removes objects in pieces, as long as there is time.
    async fn remove(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), Failed> {
        const PIECE: usize = 1000;
        let keys: Vec<_> = keys.into_iter().collect();
        for piece in keys.chunks(PIECE) {
            self.deadline.check().map_err(Failed::Removing)?;
            self.objects.remove(piece.iter().copied()).await.map_err(Failed::Removing)?;
        }
        Ok(())
    }
}

async fn announce(objects: &Objects, sweep: &Key, condemned: &[Listed]) -> Result<(), StoreError> {
    let names = condemned.iter().filter_map(|listed| match listed.key {
        Key::Blob(name) => Some(Condemned::from(name)),
        _ => None,
    });
    let document = Sweep { version: VERSION, condemned: names.collect() };
    let bytes =
        head::write(&document).map_err(|source| StoreError::Document { key: sweep.to_string(), source })?;
    objects.put(sweep, bytes).await
}

/// What saves under way rely on, and the announcements of those that died.
async fn intents(objects: &Objects, now: Timestamp) -> Result<(HashSet<ChunkId>, Vec<Key>), StoreError> {
    let mut announced = HashSet::new();
    let mut stale = Vec::new();
    for listed in objects.list(Folder::Intents).await? {
        if age(now, listed.modified) > PATIENCE {
            stale.push(listed.key);
        } else if let Some(bytes) = objects.get(&listed.key).await? {
            let intent: Intent = head::read(&bytes)
                .map_err(|source| StoreError::Document { key: listed.key.to_string(), source })?;
            announced.extend(intent.blobs);
        }
    }
    Ok((announced, stale))
}

/// Names of all payloads that sessions refer to.
pub(crate) fn live(histories: &[History]) -> HashSet<BlobName> {
    let heads = histories.iter().filter_map(History::saved);
    heads.flat_map(Head::blobs).map(|reference| reference.name()).collect()
}

fn garbage(blobs: &[Listed], live: &HashSet<BlobName>, now: Timestamp, grace: Duration) -> Garbage {
    let unused = blobs.iter().copied().filter(|listed| match listed.key {
        Key::Blob(name) => !live.contains(&name),
        _ => false,
    });
    let (condemned, young) = unused.partition(|listed| age(now, listed.modified) >= grace);
    Garbage { condemned, young }
}

fn report(blobs: &[Listed], garbage: &Garbage, removed: &[Listed]) -> Collected {
    let bytes = |listed: &[Listed]| listed.iter().map(|listed| listed.bytes).sum();
    Collected {
        payloads: blobs.len(),
        removed: removed.len(),
        removed_bytes: bytes(removed),
        young: garbage.young.len(),
        young_bytes: bytes(&garbage.young),
        ..Collected::default()
    }
}
