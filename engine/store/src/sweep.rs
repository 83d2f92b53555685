//! Garbage collection: find what no session refers to, announce it, look again, and only then remove it.
//!
//! The order of the steps is what makes it safe; see the crate's documentation.

use std::collections::HashSet;
use std::time::Duration;

use intact_format::image::ChunkId;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::head::{self, Condemned, DocumentError, Head, Intent, Sweep, VERSION};
use crate::history::{self, Histories, History, age};
use crate::key::{BlobName, Folder, Key};
use crate::listing::{Unread, total};
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
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
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
    /// Sessions that cannot be read. What may be theirs was spared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unread>,
}

/// What sessions refer to, as far as that can be seen.
struct Live {
    names: HashSet<BlobName>,
    /// Whatever was stored until then may belong to a session that cannot be read.
    until: Option<Timestamp>,
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
        let garbage = garbage(&blobs, &live(&histories)?, Timestamp::now(), collection.grace);
        let unreadable = histories.unread();
        return Ok(Collected { heads: 0, unreadable, ..report(&blobs, &garbage, &garbage.condemned) });
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
        let garbage = garbage(&blobs, &live(&histories)?, now, self.collection.grace);

        // 2. Announce it: whoever begins to save from now on stores these payloads under other names.
        announce(objects, &self.sweep, &garbage.condemned).await?;

        // 3. Look again: first at saves that began before, then at those that ended before.
        let (announced, stale) = intents(objects, now).await?;
        let again = history::all(objects).await?;
        let live = live(&again)?;
        let is_doomed = |listed: &&Listed| match listed.key {
            Key::Blob(name) => !live.needs(name, listed) && !announced.covers(name.id),
            _ => false,
        };
        let doomed: Vec<_> = garbage.condemned.iter().filter(is_doomed).copied().collect();

        // 4. Remove it.
        self.remove(doomed.iter().map(|listed| listed.key)).await?;
        let heads = self.remove_heads(&again.sessions, now).await?;
        let stale = [stale, self.stale_sweeps(now).await?].concat();
        self.remove(stale.iter().copied()).await?;
        self.remove([self.sweep]).await?;
        let spared = garbage.condemned.len() - doomed.len();
        let unreadable = again.unread();
        Ok(Collected { heads, stale: stale.len(), spared, unreadable, ..report(&blobs, &garbage, &doomed) })
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
        head::write(&document).map_err(|cause| StoreError::Document { key: sweep.to_string(), cause })?;
    objects.put(sweep, bytes).await
}

/// What saves under way rely on.
#[derive(Default)]
struct Announced {
    blobs: HashSet<ChunkId>,
    /// An announcement cannot be read: it may be about anything that is there.
    everything: bool,
}

impl Announced {
    fn covers(&self, id: ChunkId) -> bool {
        self.everything || self.blobs.contains(&id)
    }
}

/// What saves under way rely on, and the announcements of those that died.
async fn intents(objects: &Objects, now: Timestamp) -> Result<(Announced, Vec<Key>), StoreError> {
    let mut announced = Announced::default();
    let mut stale = Vec::new();
    for listed in objects.list(Folder::Intents).await? {
        if age(now, listed.modified) > PATIENCE {
            stale.push(listed.key);
        } else if let Some(bytes) = objects.document(&listed.key).await? {
            let intent = head::announced::<Intent>(&bytes)
                .map_err(|cause| StoreError::Document { key: listed.key.to_string(), cause })?;
            match intent {
                Some(intent) => announced.blobs.extend(intent.blobs),
                None => announced.everything = true,
            }
        }
    }
    Ok((announced, stale))
}

/// The payloads that sessions refer to.
///
/// # Errors
/// Where a session is behind a link, or a newer program wrote it: what it needs cannot be seen at all.
fn live(histories: &Histories) -> Result<Live, StoreError> {
    if let Some(link) = histories.links.first() {
        return Err(StoreError::Irregular { key: link.clone(), what: "a symbolic link" });
    }
    let heads = histories.sessions.iter().filter_map(History::saved);
    let mut names: HashSet<_> = heads.flat_map(Head::blobs).map(|reference| reference.name()).collect();
    let mut until = None;
    for head in &histories.unreadable {
        if let Some(found) = head.newer {
            let cause = DocumentError::Newer { found };
            return Err(StoreError::Document { key: head.key.to_string(), cause });
        }
        match &head.needs {
            Some(needs) => names.extend(needs),
            None => until = until.max(Some(head.stored)),
        }
    }
    Ok(Live { names, until })
}

impl Live {
    fn needs(&self, name: BlobName, listed: &Listed) -> bool {
        self.names.contains(&name) || self.until.is_some_and(|until| listed.modified <= until)
    }
}

fn garbage(blobs: &[Listed], live: &Live, now: Timestamp, grace: Duration) -> Garbage {
    let unused = blobs.iter().copied().filter(|listed| match listed.key {
        Key::Blob(name) => !live.needs(name, listed),
        _ => false,
    });
    let (condemned, young) = unused.partition(|listed| age(now, listed.modified) >= grace);
    Garbage { condemned, young }
}

fn report(blobs: &[Listed], garbage: &Garbage, removed: &[Listed]) -> Collected {
    let bytes = |listed: &[Listed]| total(listed.iter().map(|listed| listed.bytes));
    Collected {
        payloads: blobs.len(),
        removed: removed.len(),
        removed_bytes: bytes(removed),
        young: garbage.young.len(),
        young_bytes: bytes(&garbage.young),
        ..Collected::default()
    }
}
