//! What is about to be removed, as a save has to see it.

use std::collections::{BTreeMap, HashSet};

use intact_format::image::ChunkId;

use crate::error::StoreError;
use crate::head::{self, Condemned, Sweep};
use crate::key::{BlobName, Folder, Key, Mark};
use crate::objects::Objects;

/// Every name that a garbage collection under way, or one that died, may remove at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condemnation {
    sweeps: BTreeMap<Mark, HashSet<BlobName>>,
    /// One of them cannot be read: it may be about anything that is there.
    everything: bool,
}

impl Condemnation {
    /// Reads what all garbage collections have announced.
    pub(crate) async fn read(objects: &Objects) -> Result<Self, StoreError> {
        let mut all = Self::default();
        for listed in objects.list(Folder::Sweeps).await? {
            let Key::Sweep(mark) = listed.key else { continue };
            // One that is gone has removed what it wanted to.
            let Some(bytes) = objects.document(&listed.key).await? else { continue };
            let sweep = head::announced::<Sweep>(&bytes)
                .map_err(|cause| StoreError::Document { key: listed.key.to_string(), cause })?;
            match sweep {
                Some(sweep) => {
                    all.sweeps.insert(mark, sweep.condemned.iter().map(Condemned::name).collect());
                }
                // What is there is not relied on.
                None => all.everything = true,
            }
        }
        Ok(all)
    }

    /// Whether this name must not be relied on, even if it is there.
    pub(crate) fn covers(&self, name: &BlobName) -> bool {
        self.everything || self.sweeps.values().any(|names| names.contains(name))
    }

    /// The name under which a payload can be looked for and stored: the plain one, unless it is condemned. Savers that see
    /// the same garbage collections choose the same name, so that they still share.
    pub(crate) fn name_for(&self, id: ChunkId, fresh: Mark) -> BlobName {
        let marks = self.sweeps.keys().copied().map(Some);
        let names = std::iter::once(None).chain(marks).map(|mark| BlobName { id, mark });
        let free = names.into_iter().find(|name| !self.covers(name));
        free.unwrap_or(BlobName { id, mark: Some(fresh) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sweep's mark and the payloads that it condemns, each with its own mark.
    type Announced<'a> = (u128, &'a [(u8, Option<u128>)]);

    fn condemnation(sweeps: &[Announced<'_>]) -> Condemnation {
        let names = |names: &[(u8, Option<u128>)]| {
            names
                .iter()
                .map(|(id, mark)| BlobName { id: ChunkId([*id; 32]), mark: mark.map(Mark::new) })
                .collect()
        };
        Condemnation {
            sweeps: sweeps.iter().map(|(mark, list)| (Mark::new(*mark), names(list))).collect(),
            everything: false,
        }
    }

    #[test]
    fn a_condemned_payload_is_stored_under_another_name() {
        let name = |mark: Option<u128>| BlobName { id: ChunkId([1; 32]), mark: mark.map(Mark::new) };
        let cases: [(&[Announced<'_>], _); 5] = [
            (&[], name(None)),
            (&[(10, &[(2, None)])], name(None)),
            (&[(10, &[(1, None)])], name(Some(10))),
            (&[(10, &[(1, None)]), (20, &[(1, Some(10))])], name(Some(20))),
            (&[(10, &[(1, None), (1, Some(20))]), (20, &[(1, Some(10))])], name(Some(99))),
        ];
        for (sweeps, wanted) in cases {
            let found = condemnation(sweeps).name_for(ChunkId([1; 32]), Mark::new(99));
            assert_eq!(found, wanted, "{sweeps:?}");
        }
    }

    proptest! {
        #[test]
        fn the_chosen_name_is_never_condemned(
            sweeps in proptest::collection::btree_map(
                0_u128..4,
                proptest::collection::hash_set((0_u8..3, proptest::option::of(0_u128..4)), 0..8),
                0..4,
            ),
            id in 0_u8..3,
        ) {
            let names = |set: &HashSet<(u8, Option<u128>)>| {
                set.iter().map(|(id, mark)| BlobName { id: ChunkId([*id; 32]), mark: mark.map(Mark::new) }).collect()
            };
            let sweeps = sweeps.iter().map(|(mark, set)| (Mark::new(*mark), names(set))).collect();
            let all = Condemnation { sweeps, everything: false };
            let chosen = all.name_for(ChunkId([id; 32]), Mark::new(99));
            prop_assert!(!all.covers(&chosen));
        }
    }
}
