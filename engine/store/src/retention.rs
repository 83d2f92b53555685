//! Which sessions stay: by age, by number, by bytes.

use std::collections::HashSet;
use std::time::Duration;

use intact_format::session_id::SessionId;
use jiff::Timestamp;

use crate::history::age;
use crate::listing::{Entry, Unread, total};

/// What to keep. A session stays if every rule that is given keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Those saved no longer ago than this. Sessions that do not say when they were saved stay.
    pub within: Option<Duration>,
    /// That many, the latest saved ones.
    pub sessions: Option<usize>,
    /// As many of the latest saved ones as fit in so many bytes; what they share counts once.
    pub bytes: Option<u64>,
}

/// What a retention keeps and removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prune {
    /// Sessions that stay, the latest saved first.
    pub kept: Vec<Entry>,
    /// Sessions that go, the latest saved first.
    pub removed: Vec<Entry>,
    /// Sessions that were to go and could not be removed, and why. They are among those that stay.
    pub failed: Vec<(SessionId, String)>,
    /// What cannot be read of the store, and was left alone.
    pub unreadable: Vec<Unread>,
}

impl Retention {
    /// Divides sessions, which are given the latest saved first.
    #[must_use]
    pub fn apply(&self, sessions: &[Entry], now: Timestamp) -> Prune {
        let mut prune = Prune::default();
        let mut bytes = 0_u64;
        let mut counted = HashSet::new();
        let mut is_full = false;
        for entry in sessions {
            let own: Vec<_> =
                entry.payloads.iter().filter(|payload| !counted.contains(&payload.name())).collect();
            let each: HashSet<_> = own.iter().map(|payload| (payload.name(), payload.bytes)).collect();
            let added = total(each.iter().map(|(_, bytes)| *bytes));
            let is_recent = self
                .within
                .is_none_or(|within| entry.summary.saved_at.is_none_or(|then| age(now, then) <= within));
            let is_counted = self.sessions.is_none_or(|most| prune.kept.len() < most);
            // Older ones that happen to be small do not outlive a newer one that did not fit.
            is_full |=
                is_recent && is_counted && self.bytes.is_some_and(|most| bytes.saturating_add(added) > most);
            if is_recent && is_counted && !is_full {
                bytes = bytes.saturating_add(added);
                counted.extend(own.iter().map(|payload| payload.name()));
                prune.kept.push(entry.clone());
            } else {
                prune.removed.push(entry.clone());
            }
        }
        prune
    }
}

impl Prune {
    /// Bytes that garbage collection can give back.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        let kept: HashSet<_> = self.kept.iter().flat_map(|entry| &entry.payloads).collect();
        let gone: HashSet<_> = self.removed.iter().flat_map(|entry| &entry.payloads).collect();
        total(gone.difference(&kept).map(|payload| payload.bytes))
    }

    /// The same, where sessions that were saved anew meanwhile stayed after all.
    pub(crate) fn only(self, removed: &HashSet<SessionId>) -> Self {
        let (gone, stayed): (Vec<_>, Vec<_>) =
            self.removed.into_iter().partition(|entry| removed.contains(&entry.session));
        Self { kept: [self.kept, stayed].concat(), removed: gone, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{BlobReference, Summary};
    use crate::key::Generation;
    use intact_format::image::ChunkId;
    use proptest::prelude::*;

    const NOW: i64 = 1_000_000;

    fn entry(name: usize, hours: Option<i64>, payloads: &[(u8, u64)]) -> Entry {
        let payload =
            |(id, bytes): &(u8, u64)| BlobReference { id: ChunkId([*id; 32]), bytes: *bytes, mark: None };
        let saved_at = hours.map(|hours| Timestamp::from_second(NOW - hours * 3600).unwrap());
        Entry {
            session: SessionId::new(name.to_string()).unwrap(),
            generation: Generation(1),
            summary: Summary { saved_at, ..Summary::default() },
            payloads: payloads.iter().map(payload).collect(),
        }
    }

    /// Three sessions over one payload of 100 bytes, and one that stands alone and does not say when it was saved.
    fn sample() -> Vec<Entry> {
        vec![
            entry(0, Some(1), &[(0, 100), (1, 10)]),
            entry(1, Some(2), &[(0, 100), (2, 20)]),
            entry(2, Some(30), &[(0, 100), (3, 30)]),
            entry(3, None, &[(4, 500)]),
        ]
    }

    fn kept(retention: &Retention) -> Vec<String> {
        let prune = retention.apply(&sample(), Timestamp::from_second(NOW).unwrap());
        prune.kept.iter().map(|entry| entry.session.to_string()).collect()
    }

    #[test]
    fn every_rule_keeps_the_latest() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        let all = Retention::default();
        let cases = [
            (all.clone(), vec!["0", "1", "2", "3"]),
            (Retention { within: hours(24), ..all.clone() }, vec!["0", "1", "3"]),
            (Retention { sessions: Some(2), ..all.clone() }, vec!["0", "1"]),
            (Retention { sessions: Some(0), ..all.clone() }, vec![]),
            (Retention { bytes: Some(129), ..all.clone() }, vec!["0"]),
            (Retention { bytes: Some(130), ..all.clone() }, vec!["0", "1"]),
            (Retention { bytes: Some(660), ..all.clone() }, vec!["0", "1", "2", "3"]),
            (Retention { within: hours(24), sessions: Some(2), bytes: Some(110) }, vec!["0"]),
        ];
        for (retention, wanted) in cases {
            assert_eq!(kept(&retention), wanted, "{retention:?}");
        }
    }

    #[test]
    fn what_the_remaining_sessions_share_is_not_freed() {
        let retention = Retention { sessions: Some(1), ..Retention::default() };
        let prune = retention.apply(&sample(), Timestamp::from_second(NOW).unwrap());
        assert_eq!(prune.freed_bytes(), 20 + 30 + 500);
    }

    proptest! {
        #[test]
        fn what_is_kept_keeps_every_rule_and_nothing_is_lost(
            sizes in proptest::collection::vec((0_i64..100, 0_u8..6, 1_u64..50), 0..20),
            within in proptest::option::of(0_u64..100),
            most in proptest::option::of(0_usize..20),
            bytes in proptest::option::of(0_u64..300),
        ) {
            let mut sizes = sizes;
            sizes.sort_unstable();
            let entries: Vec<_> = sizes.iter().enumerate().map(|(name, (hours, shared, own))| {
                let own_id = u8::try_from(name).unwrap() + 10;
                entry(name, Some(*hours), &[(*shared, 7), (own_id, *own)])
            }).collect();
            let retention = Retention {
                within: within.map(|hours| Duration::from_secs(hours * 3600)),
                sessions: most,
                bytes,
            };
            let prune = retention.apply(&entries, Timestamp::from_second(NOW).unwrap());
            prop_assert_eq!(prune.kept.len() + prune.removed.len(), entries.len());
            prop_assert!(most.is_none_or(|most| prune.kept.len() <= most));
            let unique: HashSet<_> = prune.kept.iter().flat_map(|entry| &entry.payloads).collect();
            let total: u64 = unique.iter().map(|payload| payload.bytes).sum();
            prop_assert!(bytes.is_none_or(|bytes| total <= bytes));
            // The latest are kept: no session outlives one that was saved after it.
            prop_assert_eq!(&entries[..prune.kept.len()], prune.kept.as_slice());
        }
    }
}
