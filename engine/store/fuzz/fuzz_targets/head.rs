//! Any bytes as the head of a session, beside a sound one: nothing panics, and the sound one can be read.
#![no_main]

#[path = "common.rs"]
mod common;

use std::time::Duration;

use intact_store::{Collection, Retention, plain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u64)| {
    let (head, number) = input;
    let (store, objects) = common::store();
    common::put(&objects, &common::head_of("chat", number), head);
    assert!(!store.sessions().expect("a list").is_empty());
    store.statistics().expect("figures");
    store.verify(false, &plain).expect("verified");
    let _ = store.session(&common::id("chat"));
    let _ = store.collect(Collection { grace: Duration::ZERO, dry_run: false });
    store.prune(&Retention { bytes: Some(number), ..Retention::default() }, true).expect("pruned");
    common::assert_sound(&store);
});
