//! Stores in which somebody has changed something at random: nothing makes a reader panic or hang, nothing that is sound is
//! lost, and a session is what was saved or refused. `INTACT_MUTATIONS=10000` sets the number; the default is small.

use std::sync::Arc;

use intact_format::image::ChunkId;
use intact_store::{Collection, Expected, Retention, SessionStore, plain};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use proptest::prelude::*;

use crate::desk::{chunk, document, draft, id, load};

fn cases() -> u32 {
    std::env::var("INTACT_MUTATIONS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

/// Where the head of a session is, by the hash of its id.
fn head_of(session: &str, number: u64) -> Path {
    let hash = ChunkId::of(session.as_bytes()).to_string();
    Path::from(format!("sessions/{}/{number:012}.json", &hash[..40]))
}

/// Text in the place of a number, a name or a list of a head.
fn values() -> impl Strategy<Value = String> {
    let strange = ["18446744073709551615", "-1", "1e400", "null", "[]", "{}", "\"\"", "true", "0"];
    prop_oneof![
        proptest::sample::select(strange.to_vec()).prop_map(str::to_owned),
        any::<u64>().prop_map(|number| number.to_string()),
        "[\\PC]{0,20}",
    ]
}

#[derive(Clone, Debug)]
enum Damage {
    Bytes(Vec<u8>),
    Byte { at: usize, to: u8 },
    Cut { at: usize },
    Value { at: usize, to: String },
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Damage::Bytes),
        (any::<usize>(), any::<u8>()).prop_map(|(at, to)| Damage::Byte { at, to }),
        any::<usize>().prop_map(|at| Damage::Cut { at }),
        (any::<usize>(), values()).prop_map(|(at, to)| Damage::Value { at, to }),
    ]
}

impl Damage {
    fn on(&self, text: &[u8]) -> Vec<u8> {
        let mut changed = text.to_vec();
        match self {
            Self::Bytes(bytes) => changed.clone_from(bytes),
            Self::Byte { at, to } => changed[at % text.len()] = *to,
            Self::Cut { at } => changed.truncate(at % text.len()),
            Self::Value { at, to } => {
                // Behind one of the colons, up to where the value ends.
                let colons: Vec<_> = (0..text.len()).filter(|at| text[*at] == b':').collect();
                let start = colons[at % colons.len()] + 1;
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']');
                let end = text[start..].iter().position(is_end).map_or(text.len(), |length| start + length);
                changed.splice(start..end, to.bytes());
            }
        }
        changed
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_head_that_was_changed_harms_no_other_session(damage in damage(), number in prop_oneof![Just(1_u64), any::<u64>()]) {
        let objects = Arc::new(InMemory::new());
        let store = SessionStore::over(objects.clone(), "").expect("a store");
        for session in ["chat", "other"] {
            let document = document(session, "hello");
            let chunks = [chunk(7, 1000), chunk(u8::try_from(session.len()).unwrap_or(0), 500)];
            store.save(&draft(session, &document, &chunks), Expected::Absent).expect("saved");
        }
        let before = load(&store, "other");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let sound = objects.get(&head_of("chat", 1)).await.expect("a head").bytes().await.expect("read");
            let changed = PutPayload::from(damage.on(&sound));
            objects.put(&head_of("chat", number), changed).await.expect("put");
        });
        let listed = store.sessions().expect("a list");
        prop_assert!(listed.iter().any(|entry| entry.session == id("other")));
        store.statistics().expect("figures");
        store.verify(false, &plain).expect("verified");
        let _refused_or_not = store.session(&id("chat"));
        if let Ok(collected) = store.collect(Collection { grace: std::time::Duration::ZERO, dry_run: false }) {
            prop_assert!(collected.removed <= 3);
        }
        let all = Retention { sessions: Some(100), ..Retention::default() };
        store.prune(&all, false).expect("pruned");
        prop_assert_eq!(load(&store, "other"), before);
    }
}
