//! What a store holds, told from its heads alone.

use std::collections::{HashMap, HashSet};

use intact_format::session_id::SessionId;
use serde::Serialize;

use crate::error::StoreError;
use crate::head::{BlobReference, Content, Head, Summary};
use crate::history;
use crate::key::{Folder, Generation};
use crate::objects::Objects;

/// A session of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub session: SessionId,
    /// The number of its latest save.
    pub generation: Generation,
    /// What it is.
    pub summary: Summary,
    /// Its document and its chunks.
    pub payloads: Vec<BlobReference>,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Sessions.
    pub sessions: usize,
    /// Bytes that the sessions would take if they shared nothing.
    pub session_bytes: u64,
    /// Payloads that sessions refer to, each once.
    pub payloads: usize,
    /// Their bytes.
    pub payload_bytes: u64,
    /// Payloads that more than one session refers to.
    pub shared_payloads: usize,
    /// Payloads that no session refers to; garbage collection removes them.
    pub unused_payloads: usize,
    /// Their bytes.
    pub unused_bytes: u64,
    /// Bytes of everything in the store.
    pub stored_bytes: u64,
}

impl Entry {
    /// Bytes of its document and its chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.payloads.iter().map(|payload| payload.bytes).sum()
    }

    pub(crate) fn of(head: &Head) -> Option<Self> {
        let Content::Saved { summary, .. } = &head.content else { return None };
        Some(Self {
            session: head.session.clone(),
            generation: head.generation,
            summary: summary.clone(),
            payloads: head.blobs().collect(),
        })
    }
}

/// All sessions, the latest saved first.
pub(crate) async fn sessions(objects: &Objects) -> Result<Vec<Entry>, StoreError> {
    let histories = history::all(objects).await?;
    let heads = histories.iter().filter_map(|history| history.latest.as_ref());
    let mut entries: Vec<_> = heads.filter_map(Entry::of).collect();
    entries
        .sort_by(|a, b| b.summary.saved_at.cmp(&a.summary.saved_at).then_with(|| a.session.cmp(&b.session)));
    Ok(entries)
}

pub(crate) async fn statistics(objects: &Objects) -> Result<Statistics, StoreError> {
    let blobs = objects.list(Folder::Blobs).await?;
    let entries = sessions(objects).await?;
    let mut users: HashMap<BlobReference, usize> = HashMap::new();
    for entry in &entries {
        for payload in entry.payloads.iter().collect::<HashSet<_>>() {
            *users.entry(*payload).or_default() += 1;
        }
    }
    let used: HashSet<_> = users.keys().map(|payload| crate::key::Key::Blob(payload.name())).collect();
    let unused: Vec<_> = blobs.iter().filter(|listed| !used.contains(&listed.key)).collect();
    let mut stored_bytes = blobs.iter().map(|listed| listed.bytes).sum();
    for folder in [Folder::Sessions, Folder::Intents, Folder::Sweeps] {
        stored_bytes += objects.list(folder).await?.iter().map(|listed| listed.bytes).sum::<u64>();
    }
    Ok(Statistics {
        sessions: entries.len(),
        session_bytes: entries.iter().map(Entry::bytes).sum(),
        payloads: users.len(),
        payload_bytes: users.keys().map(|payload| payload.bytes).sum(),
        shared_payloads: users.values().filter(|users| **users > 1).count(),
        unused_payloads: unused.len(),
        unused_bytes: unused.iter().map(|listed| listed.bytes).sum(),
        stored_bytes,
    })
}
