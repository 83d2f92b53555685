//! What a store holds, told from its heads alone.

use std::collections::{HashMap, HashSet};

use intact_format::session_id::SessionId;
use serde::Serialize;

use crate::error::StoreError;
use crate::head::{BlobReference, Content, Head, Summary};
use crate::history::{self, Histories};
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

/// Something in the place of a session or its head that cannot be read, and does not keep the rest from being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Its name in the store.
    pub key: String,
    /// Why.
    pub why: String,
}

/// The sessions of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those that can be read, the latest saved first.
    pub sessions: Vec<Entry>,
    /// What cannot be read.
    pub unreadable: Vec<Unread>,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// Sessions that cannot be read, and which none of these figures counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unread>,
}

impl Entry {
    /// Bytes of its document and its chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        total(self.payloads.iter().map(|payload| payload.bytes))
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

/// A sum of what others wrote: it has an end.
pub(crate) fn total(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

impl Histories {
    /// What a store has in the place of sessions that cannot be read.
    pub(crate) fn unread(&self) -> Vec<Unread> {
        let link = |key: &String| Unread {
            key: key.clone(),
            why: format!("{key} is a symbolic link, which no store has; what is behind it was not looked at"),
        };
        let heads =
            self.unreadable.iter().map(|head| Unread { key: head.key.to_string(), why: head.why.clone() });
        let mut unread: Vec<_> = heads.chain(self.links.iter().map(link)).collect();
        unread.sort_by(|a, b| a.key.cmp(&b.key));
        unread
    }
}

/// All sessions, the latest saved first, and what cannot be read.
pub(crate) async fn sessions(objects: &Objects) -> Result<Listing, StoreError> {
    let histories = history::all(objects).await?;
    let heads = histories.sessions.iter().filter_map(|history| history.latest.as_ref());
    let mut entries: Vec<_> = heads.filter_map(Entry::of).collect();
    entries
        .sort_by(|a, b| b.summary.saved_at.cmp(&a.summary.saved_at).then_with(|| a.session.cmp(&b.session)));
    Ok(Listing { sessions: entries, unreadable: histories.unread() })
}

pub(crate) async fn statistics(objects: &Objects) -> Result<Statistics, StoreError> {
    let blobs = objects.list(Folder::Blobs).await?;
    let Listing { sessions: entries, unreadable } = sessions(objects).await?;
    let mut users: HashMap<BlobReference, usize> = HashMap::new();
    for entry in &entries {
        for payload in entry.payloads.iter().collect::<HashSet<_>>() {
            *users.entry(*payload).or_default() += 1;
        }
    }
    let used: HashSet<_> = users.keys().map(|payload| crate::key::Key::Blob(payload.name())).collect();
    let unused: Vec<_> = blobs.iter().filter(|listed| !used.contains(&listed.key)).collect();
    let mut stored_bytes = total(blobs.iter().map(|listed| listed.bytes));
    for folder in [Folder::Sessions, Folder::Intents, Folder::Sweeps] {
        let listed = objects.list(folder).await?;
        stored_bytes = total(listed.iter().map(|listed| listed.bytes).chain([stored_bytes]));
    }
    Ok(Statistics {
        sessions: entries.len(),
        session_bytes: total(entries.iter().map(Entry::bytes)),
        payloads: users.len(),
        payload_bytes: total(users.keys().map(|payload| payload.bytes)),
        shared_payloads: users.values().filter(|users| **users > 1).count(),
        unused_payloads: unused.len(),
        unused_bytes: total(unused.iter().map(|listed| listed.bytes)),
        stored_bytes,
        unreadable,
    })
}
