//! Any bytes as the head of a session, beside a sound one: nothing panics, and the sound one can be read.
#![no_main]

#[path = "sound_store.rs"]
mod sound_store;

use std::time::Duration;

use intact_store::{Collection, Retention, plain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u64)| {
    let (head, number) = input;
    let (store, objects) = sound_store::store();
    sound_store::put(&objects, &sound_store::head_of("chat", number), head);
    assert!(!store.sessions().expect("a list").is_empty());
    store.statistics().expect("figures");
    store.verify(false, &plain).expect("verified");
    let _ = store.session(&sound_store::id("chat"));
    let _ = store.collect(Collection { grace: Duration::ZERO, dry_run: false });
    store.prune(&Retention { bytes: Some(number), ..Retention::default() }, true).expect("pruned");
    sound_store::assert_sound(&store);
});
