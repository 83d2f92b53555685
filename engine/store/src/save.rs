//! Saving: announce what the save relies on, store what is missing, then publish it as the next save of its session.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join;
use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::image::{Chunk, ChunkId};
use intact_format::session_id::SessionId;

use crate::bring::Brought;
use crate::error::StoreError;
use crate::head::{self, BlobReference, Content, Head, Intent, Summary, VERSION};
use crate::history::{self, History};
use crate::key::{BlobName, Generation, Key, Mark, SessionKey};
use crate::listing::total;
use crate::objects::{CONCURRENCY, Length, Objects};
use crate::surroundings::{Deadline, Surroundings};
use crate::sweeping::Condemnation;

/// A session that is to be saved.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Its id.
    pub session: SessionId,
    /// What a list of sessions shows of it.
    pub summary: Summary,
    /// Its document.
    pub document: &'a [u8],
    /// Every chunk that its image needs, and its length.
    pub needs: Vec<(ChunkId, u64)>,
    /// Those chunks that may not be in the store yet.
    pub chunks: &'a [Chunk<'a>],
}

/// What a save may take the place of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there: the last save wins.
    #[default]
    Anything,
    /// Nothing: the session must be new.
    Absent,
    /// The save of this number, which the caller loaded or made.
    At(Generation),
}

/// A save that is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its number.
    pub generation: Generation,
    /// Payloads that were not there yet.
    pub new_payloads: usize,
    /// Their bytes.
    pub new_bytes: u64,
    /// Payloads that were there.
    pub shared_payloads: usize,
    /// Their bytes.
    pub shared_bytes: u64,
}

/// How an attempt ended without an error.
enum Outcome {
    Published(Saved),
    /// It took so long that what it relies on may be gone.
    Late,
}

/// A payload that is in the store.
struct Stored {
    reference: BlobReference,
    is_new: bool,
}

/// All payloads of a session.
struct Payloads {
    document: Stored,
    chunks: Vec<Stored>,
}

const TRIES: u32 = 20;

impl<'a> Draft<'a> {
    /// A session whose whole image is at hand.
    #[must_use]
    pub fn whole(session: SessionId, summary: Summary, document: &'a [u8], chunks: &'a [Chunk<'a>]) -> Self {
        let needs = chunks.iter().map(Chunk::entry).collect();
        Self { session, summary, document, needs, chunks }
    }
}

/// Saves a session, some of whose chunks may have been brought before.
pub(crate) async fn save(
    objects: &Objects,
    surroundings: &dyn Surroundings,
    draft: &Draft<'_>,
    expected: Expected,
    brought: &Brought,
) -> Result<Saved, StoreError> {
    let document = Chunk::new(draft.document);
    let saving = Saving {
        objects,
        draft,
        expected,
        brought,
        key: SessionKey::of(&draft.session),
        mark: surroundings.mark(),
        payloads: draft.chunks.iter().chain([&document]).map(|chunk| (chunk.id(), chunk.payload())).collect(),
        document: (document.id(), draft.document.len() as u64),
    };
    for _ in 0..TRIES {
        let deadline = Deadline::start(surroundings, "saving a session");
        // From here on, no garbage collection that has not announced what it removes will remove what this save needs.
        let intent = Key::Intent(surroundings.mark());
        objects.put(&intent, saving.intent()?).await?;
        let attempt = saving.attempt(&deadline).await;
        // A request to publish that failed may still arrive: then the intent has to stay, until it is too old to count.
        let may_arrive = matches!(&attempt, Err(Failed::Publishing(_)));
        if !may_arrive && let Err(error) = objects.remove([intent]).await {
            tracing::warn!(%error, "the announcement of a save stays behind; garbage collection removes it in a day");
        }
        match attempt {
            Ok(Outcome::Published(saved)) => return Ok(saved),
            Ok(Outcome::Late) => {}
            Err(Failed::Before(error) | Failed::Publishing(error)) => return Err(error),
        }
    }
    Err(StoreError::Contended { what: "saving a session", tries: TRIES })
}

/// Where an attempt failed.
enum Failed {
    Before(StoreError),
    Publishing(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Before(error)
    }
}

struct Saving<'a> {
    objects: &'a Objects,
    draft: &'a Draft<'a>,
    expected: Expected,
    brought: &'a Brought,
    key: SessionKey,
    mark: Mark,
    payloads: HashMap<ChunkId, &'a [u8]>,
    document: (ChunkId, u64),
}

impl Saving<'_> {
    fn intent(&self) -> Result<Vec<u8>, StoreError> {
        let blobs = std::iter::once(self.document.0).chain(self.chunks().map(|(id, _)| id)).collect();
        self.written(&Intent { version: VERSION, blobs })
    }

    /// The chunks that the session needs, each once.
    fn chunks(&self) -> impl Iterator<Item = (ChunkId, u64)> + '_ {
        let mut seen = HashSet::new();
        self.draft.needs.iter().copied().filter(move |(id, _)| seen.insert(*id))
    }

    async fn attempt(&self, deadline: &Deadline<'_>) -> Result<Outcome, Failed> {
        let (condemnation, history) =
            try_join(Condemnation::read(self.objects), history::one(self.objects, self.key)).await?;
        self.check(&history)?;
        let stored = self.store(&condemnation, &history).await?;
        let Some(generation) = self.publish(history, &stored, deadline).await? else {
            return Ok(Outcome::Late);
        };
        let bytes = |stored: &[&Stored]| total(stored.iter().map(|stored| stored.reference.bytes));
        let all = std::iter::once(&stored.document).chain(&stored.chunks);
        let (new, shared): (Vec<_>, Vec<_>) = all.partition(|stored| stored.is_new);
        Ok(Outcome::Published(Saved {
            generation,
            new_payloads: new.len(),
            new_bytes: bytes(&new),
            shared_payloads: shared.len(),
            shared_bytes: bytes(&shared),
        }))
    }

    fn check(&self, history: &History) -> Result<(), StoreError> {
        let expected = match self.expected {
            Expected::Anything => return Ok(()),
            Expected::Absent if history.saved().is_none() => return Ok(()),
            Expected::At(generation) if history.number() == generation => return Ok(()),
            Expected::Absent => Generation::default(),
            Expected::At(generation) => generation,
        };
        Err(StoreError::Conflict { session: self.draft.session.clone(), expected, found: history.number() })
    }

    /// Makes sure that every payload is in the store, under a name that nobody is about to remove.
    async fn store(&self, condemnation: &Condemnation, history: &History) -> Result<Payloads, StoreError> {
        let before: HashMap<_, _> = history
            .saved()
            .into_iter()
            .flat_map(Head::blobs)
            .map(|reference| (reference.id, reference))
            .collect();
        let store = |(id, bytes)| {
            let before = self.brought.chunks.get(&id).or(before.get(&id)).copied();
            let before = before.filter(|reference: &BlobReference| reference.bytes == bytes);
            self.store_one(id, bytes, before, condemnation)
        };
        let chunks = stream::iter(self.chunks().map(store)).buffered(CONCURRENCY).try_collect().await?;
        Ok(Payloads { document: store(self.document).await?, chunks })
    }

    async fn store_one(
        &self,
        id: ChunkId,
        bytes: u64,
        before: Option<BlobReference>,
        condemnation: &Condemnation,
    ) -> Result<Stored, StoreError> {
        // The name that the last save has for it, unless that is about to be removed.
        let known = before.map(|reference| reference.name()).filter(|name| !condemnation.covers(name));
        let name = known.unwrap_or_else(|| condemnation.name_for(id, self.mark));
        let stored = |is_new| Stored { reference: BlobReference { id, bytes, mark: name.mark }, is_new };
        let key = Key::Blob(name);
        let found = self.objects.head(&key).await?;
        if found.is_some_and(|found| found.bytes == bytes) {
            return Ok(stored(self.brought.new.contains(&id)));
        }
        let content = self.payload(id, bytes, before).await?;
        if found.is_some() {
            // Of another length, so damaged.
            self.objects.put(&key, content).await?;
            return Ok(stored(true));
        }
        Ok(stored(self.objects.create(&key, content).await?))
    }

    /// The bytes of a payload: brought by the caller, or those that are about to be removed.
    async fn payload(
        &self,
        id: ChunkId,
        bytes: u64,
        before: Option<BlobReference>,
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(payload) = self.payloads.get(&id) {
            return Ok(payload.to_vec());
        }
        let name = before.map_or_else(|| BlobName::plain(id), |reference| reference.name());
        let there = match self.objects.get(&Key::Blob(name), Length::Exactly(bytes)).await {
            // It is damaged.
            Err(StoreError::WrongLength { .. }) => None,
            there => there?,
        };
        there.filter(|content| ChunkId::of(content) == id).ok_or(StoreError::NotSupplied { id })
    }

    /// Makes the head of the next number. Says nothing when it is too late for that.
    async fn publish(
        &self,
        mut history: History,
        stored: &Payloads,
        deadline: &Deadline<'_>,
    ) -> Result<Option<Generation>, Failed> {
        for _ in 0..TRIES {
            self.check(&history)?;
            let generation = history.number().next().ok_or_else(|| self.used_up(history.number()))?;
            let head = self.written(&self.head(generation, stored))?;
            if deadline.is_over() {
                return Ok(None);
            }
            let key = Key::Head(self.key, generation);
            let is_mine = self.objects.create(&key, head).await.map_err(Failed::Publishing)?
                || self.wrote(generation).await.map_err(Failed::Publishing)?;
            if is_mine {
                self.tidy(&history, deadline).await;
                return Ok(Some(generation));
            }
            history = history::one(self.objects, self.key).await?;
        }
        Err(StoreError::Contended { what: "saving a session", tries: TRIES }.into())
    }

    fn used_up(&self, last: Generation) -> StoreError {
        let key = Key::Head(self.key, last).to_string();
        StoreError::NumbersUsedUp { session: self.draft.session.clone(), key }
    }

    /// Whether the head of that number is this save's: a request whose answer got lost is made again.
    async fn wrote(&self, generation: Generation) -> Result<bool, StoreError> {
        let head = history::read(self.objects, self.key, generation).await?;
        Ok(head.is_some_and(|head| head.written_by == self.mark))
    }

    fn head(&self, generation: Generation, stored: &Payloads) -> Head {
        let content = Content::Saved {
            summary: self.draft.summary.clone(),
            document: stored.document.reference,
            chunks: stored.chunks.iter().map(|chunk| chunk.reference).collect(),
        };
        Head {
            version: VERSION,
            session: self.draft.session.clone(),
            generation,
            written_by: self.mark,
            content,
        }
    }

    /// Removes saves that were superseded long before the last one was made. Those are of no use to anybody.
    async fn tidy(&self, history: &History, deadline: &Deadline<'_>) {
        let Some((_, now)) = history.generations.latest() else { return };
        let outdated = history.generations.outdated(now);
        if outdated.is_empty() || deadline.is_over() {
            return;
        }
        let keys = outdated.into_iter().map(|generation| Key::Head(self.key, generation));
        if let Err(error) = self.objects.remove(keys).await {
            tracing::warn!(%error, "old saves of a session stay; garbage collection removes them");
        }
    }

    fn written(&self, document: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
        head::write(document).map_err(|cause| StoreError::Document { key: self.key.to_string(), cause })
    }
}
