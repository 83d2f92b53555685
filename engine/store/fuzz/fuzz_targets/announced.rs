//! Any bytes as what a save or a garbage collection under way has announced: nothing panics, and nothing sound is lost.
#![no_main]

#[path = "sound_store.rs"]
mod sound_store;

use std::time::Duration;

use intact_store::Collection;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u128, bool)| {
    let (document, mark, is_sweep) = input;
    let (store, objects) = sound_store::store();
    let folder = if is_sweep { "sweeps" } else { "intents" };
    sound_store::put(&objects, &format!("{folder}/{mark:032x}.json"), document);
    let _ = store.collect(Collection { grace: Duration::ZERO, dry_run: false });
    let _ = sound_store::save(&store, "other");
    store.statistics().expect("figures");
    sound_store::assert_sound(&store);
});
