//! `kill -9` at random points of a save: the old file or the new one always loads.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Worker, load, save};
use intact_protocol::{Outcome, Replied};

/// How many kills there are; the figure that is published uses 200.
const KILLS_VARIABLE: &str = "INTACT_KILLS";
const KILLS: u32 = 12;

#[test]
fn a_kill_during_a_save_leaves_the_old_session_or_the_new_one() {
    let kills = std::env::var(KILLS_VARIABLE).ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept.json");
    let mut writer = Worker::with_model(&[], "llama");
    writer.converse("kept");
    writer.save("kept", &file);
    writer.say("kept", ("Again?", "Again."));
    let start = Instant::now();
    writer.save("kept", &file);
    let whole_save = start.elapsed();

    let mut reader = Worker::with_model(&[], "llama");
    let (mut old, mut new) = (0, 0);
    for kill in 0..kills {
        let before = tokens(&mut reader, &file);
        let mut writer = Worker::with_model(&[], "llama");
        writer.load(&file);
        writer.say("kept", ("Go on.", "Gladly, as long as you like."));
        writer.send(save("kept", &file));
        thread::sleep(moment(kill, whole_save));
        writer.child.kill().expect("killed");
        writer.child.wait().expect("gone");

        let after = tokens(&mut reader, &file);
        assert!(after >= before, "kill {kill}: {before} tokens became {after}");
        if after > before {
            new += 1;
        } else {
            old += 1;
        }
        if after > 800 {
            // Start over before the context is full.
            let mut writer = Worker::with_model(&[], "llama");
            writer.converse("kept");
            writer.save("kept", &file);
        }
    }
    println!("{kills} kills within {whole_save:?}: {old} times the old session, {new} times the new one");
}

/// A moment within one and a half times the duration of a save, spread evenly by the golden ratio.
fn moment(kill: u32, whole_save: Duration) -> Duration {
    whole_save.mul_f64((f64::from(kill) * 0.618_033_988_749_895).fract() * 1.5)
}

/// Loads the session, which has to come back from its image, and says how many tokens it has.
fn tokens(reader: &mut Worker, file: &std::path::Path) -> u32 {
    match reader.ask(load(file)) {
        Outcome::Ok { result } => match *result {
            Replied::Load(loaded) => {
                assert_eq!(loaded.receipt.route, "direct", "{:?}", loaded.receipt);
                assert_eq!(loaded.receipt.canary_distance, Some(0.0));
                loaded.receipt.tokens_restored
            }
            replied => panic!("{replied:?}"),
        },
        outcome => panic!("{outcome:?}"),
    }
}
