//! The saves of a session: the latest one counts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::error::StoreError;
use crate::head::{self, DocumentError, Head};
use crate::key::{BlobName, Folder, Generation, Key, SessionKey};
use crate::objects::{CONCURRENCY, Found, Listed, Objects};
use crate::surroundings::LIMIT;

/// How often something is read again because others changed it meanwhile.
const TRIES: u32 = 20;

/// The saves of one session that are still there, by number, and when each was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generations(BTreeMap<Generation, Timestamp>);

/// A session as the store has it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) key: SessionKey,
    pub(crate) generations: Generations,
    /// The head of the latest save; none where there never was one, or where it was removed long ago.
    pub(crate) latest: Option<Head>,
}

/// All sessions of a store, and what cannot be read of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histories {
    pub(crate) sessions: Vec<History>,
    /// The latest heads of the other sessions.
    pub(crate) unreadable: Vec<Unreadable>,
    /// Links in the place of a session or a head. What is behind them is not looked at.
    pub(crate) links: Vec<String>,
}

/// The latest head of a session, which cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) key: Key,
    pub(crate) why: String,
    /// The version that it has, where a newer program wrote it.
    pub(crate) newer: Option<u32>,
    /// When it was stored. What it needs was stored before.
    pub(crate) stored: Timestamp,
    /// What it needs, where it says that at least.
    pub(crate) needs: Option<Vec<BlobName>>,
}

/// A head that was looked at.
enum Looked {
    Head(Box<Head>),
    Unreadable { error: StoreError, needs: Option<Vec<BlobName>> },
}

impl Generations {
    fn add(&mut self, generation: Generation, stored: Timestamp) {
        self.0.insert(generation, stored);
    }

    pub(crate) fn latest(&self) -> Option<(Generation, Timestamp)> {
        self.0.last_key_value().map(|(generation, stored)| (*generation, *stored))
    }

    /// Those that were superseded so long before `now` that nobody is listing or reading them any more. A head is never
    /// removed sooner: who lists a folder while one file is made in it and another removed may see neither.
    pub(crate) fn outdated(&self, now: Timestamp) -> Vec<Generation> {
        let successors = self.0.values().skip(1);
        let outdated = self.0.keys().zip(successors).filter(|(_, successor)| age(now, **successor) > LIMIT);
        outdated.map(|(generation, _)| *generation).collect()
    }
}

impl History {
    /// The number of the latest save; 0 where there is none.
    pub(crate) fn number(&self) -> Generation {
        self.latest.as_ref().map(|head| head.generation).unwrap_or_default()
    }

    /// The latest save, where it is one and not a removal.
    pub(crate) fn saved(&self) -> Option<&Head> {
        self.latest.as_ref().filter(|head| !head.is_removal())
    }
}

/// How long ago something happened; nothing where it is yet to happen.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// The history of one session.
pub(crate) async fn one(objects: &Objects, key: SessionKey) -> Result<History, StoreError> {
    for _ in 0..TRIES {
        let listed = objects.list(Folder::Session(key)).await?;
        let generations = by_session(&listed).remove(&key).unwrap_or_default();
        let Some((generation, _)) = generations.latest() else {
            return Ok(History { key, generations, latest: None });
        };
        // Where it is gone again, a later save has long taken its place.
        if let Some(head) = read(objects, key, generation).await? {
            return Ok(History { key, generations, latest: Some(head) });
        }
    }
    Err(StoreError::Contended { what: "reading a session", tries: TRIES })
}

/// The histories of all sessions, in no order. One that cannot be read is no reason not to read the others.
pub(crate) async fn all(objects: &Objects) -> Result<Histories, StoreError> {
    let Found { objects: listed, links } = objects.survey(Folder::Sessions).await?;
    let looked = by_session(&listed).into_iter().map(|(key, generations)| async move {
        let Some((generation, stored)) = generations.latest() else { return one(objects, key).await.map(Ok) };
        Ok(match look(objects, key, generation).await? {
            Some(Looked::Head(head)) => Ok(History { key, generations, latest: Some(*head) }),
            Some(Looked::Unreadable { error, needs }) => {
                Err(unreadable(Key::Head(key, generation), &error, stored, needs))
            }
            // A later save has taken its place.
            None => Ok(one(objects, key).await?),
        })
    });
    let looked: Vec<Result<History, Unreadable>> =
        stream::iter(looked).buffer_unordered(CONCURRENCY).try_collect().await?;
    let mut histories = Histories {
        links: links.into_iter().filter(|link| is_in_place(link)).collect(),
        ..Histories::default()
    };
    for looked in looked {
        match looked {
            Ok(history) => histories.sessions.push(history),
            Err(unreadable) => histories.unreadable.push(unreadable),
        }
    }
    Ok(histories)
}

/// Is it where a session or a head would be?
fn is_in_place(link: &str) -> bool {
    let mut parts = link.split('/').skip(1);
    let is_session = parts.next().is_some_and(|session| session.parse::<SessionKey>().is_ok());
    let is_head = parts.next().is_none_or(|file| file.strip_suffix(".json").is_some_and(is_number));
    is_session && is_head && parts.next().is_none()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn unreadable(key: Key, error: &StoreError, stored: Timestamp, needs: Option<Vec<BlobName>>) -> Unreadable {
    let newer = match error {
        StoreError::Document { cause: DocumentError::Newer { found }, .. } => Some(*found),
        _ => None,
    };
    Unreadable { key, why: error.to_string(), newer, stored, needs }
}

/// One head; none where it is gone.
pub(crate) async fn read(
    objects: &Objects,
    session: SessionKey,
    generation: Generation,
) -> Result<Option<Head>, StoreError> {
    match look(objects, session, generation).await? {
        None => Ok(None),
        Some(Looked::Head(head)) => Ok(Some(*head)),
        Some(Looked::Unreadable { error, .. }) => Err(error),
    }
}

/// One head, readable or not; none where it is gone. An error says that nobody knows.
async fn look(
    objects: &Objects,
    session: SessionKey,
    generation: Generation,
) -> Result<Option<Looked>, StoreError> {
    let key = Key::Head(session, generation);
    let unread = |error, needs| Ok(Some(Looked::Unreadable { error, needs }));
    let bytes = match objects.document(&key).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error @ (StoreError::TooLong { .. } | StoreError::Irregular { .. })) => {
            return unread(error, None);
        }
        Err(error) => return Err(error),
    };
    let document = |cause| StoreError::Document { key: key.to_string(), cause };
    match head::read::<Head>(&bytes) {
        Err(source) => unread(document(source), None),
        Ok(head) => match head.check(session, generation) {
            Ok(()) => Ok(Some(Looked::Head(Box::new(head)))),
            Err(source) => unread(document(source), Some(head.blobs().map(|blob| blob.name()).collect())),
        },
    }
}

fn by_session(listed: &[Listed]) -> BTreeMap<SessionKey, Generations> {
    let mut sessions: BTreeMap<_, Generations> = BTreeMap::new();
    for object in listed {
        if let Key::Head(session, generation) = object.key {
            sessions.entry(session).or_default().add(generation, object.modified);
        }
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_goes_once_its_successor_is_old_and_the_latest_never_does() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let mut generations = Generations::default();
        for (generation, minute) in [(1, 0), (2, 1), (3, 500), (4, 510)] {
            generations.add(Generation(generation), at(minute));
        }
        assert_eq!(generations.outdated(at(61)), []);
        assert_eq!(generations.outdated(at(62)), [Generation(1)]);
        assert_eq!(generations.outdated(at(561)), [Generation(1), Generation(2)]);
        assert_eq!(generations.outdated(at(100_000)), [1, 2, 3].map(Generation));
    }
}
