//! The saves of a session: the latest one counts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::error::StoreError;
use crate::head::{self, Head};
use crate::key::{Folder, Generation, Key, SessionKey};
use crate::objects::{CONCURRENCY, Listed, Objects};
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

/// The histories of all sessions, in no order.
pub(crate) async fn all(objects: &Objects) -> Result<Vec<History>, StoreError> {
    let listed = objects.list(Folder::Sessions).await?;
    let histories = by_session(&listed).into_iter().map(|(key, generations)| async move {
        let Some((generation, _)) = generations.latest() else { return one(objects, key).await };
        match read(objects, key, generation).await? {
            Some(head) => Ok(History { key, generations, latest: Some(head) }),
            None => one(objects, key).await,
        }
    });
    stream::iter(histories).buffer_unordered(CONCURRENCY).try_collect().await
}

/// One head; none where it is gone.
pub(crate) async fn read(
    objects: &Objects,
    session: SessionKey,
    generation: Generation,
) -> Result<Option<Head>, StoreError> {
    let key = Key::Head(session, generation);
    let Some(bytes) = objects.get(&key).await? else { return Ok(None) };
    let head = head::read(&bytes).map_err(|source| StoreError::Document { key: key.to_string(), source })?;
    Ok(Some(head))
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
