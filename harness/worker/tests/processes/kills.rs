//! `kill -9` at random points of saves, incremental ones and such that compact, and saves of several processes at a time:
//! a whole session always loads, the old one or a new one.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Worker, load, save};
use intact_protocol::{Outcome, Replied};

/// How many kills there are; the figure that is published uses 200.
const KILLS_VARIABLE: &str = "INTACT_KILLS";
const KILLS: u32 = 12;

#[test]
fn a_kill_during_a_save_leaves_the_old_session_or_the_new_one() {
    let kills = kills();
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

#[test]
fn a_kill_during_a_save_that_compacts_leaves_a_whole_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept.json");
    let image = file.with_extension("kv");
    let length = || image.metadata().map_or(0, |image| image.len());
    let mut reader = Worker::with_model(&[], "llama");
    let mut whole_save = Duration::ZERO;
    let mut save_another = |session: u32, kill: Option<u32>| {
        // Nothing of it is in the file yet, and what is there becomes garbage.
        let mut writer = Worker::with_model(&[], "llama");
        let text = format!("This is the conversation of number {session}, which is not the one before.");
        writer.say("kept", (&text, "So it is."));
        writer.say("kept", ("Go on.", "Gladly."));
        let start = Instant::now();
        writer.send(save("kept", &file));
        match kill {
            Some(kill) => thread::sleep(moment(kill, whole_save)),
            None => {
                writer.answer().expect("saved");
                whole_save = whole_save.max(start.elapsed());
            }
        }
        writer.child.kill().expect("killed");
        writer.child.wait().expect("gone");
    };
    let mut compactions = 0;
    for session in 0..4 {
        let before = length();
        save_another(session, None);
        compactions += u32::from(length() < before);
    }
    assert!(compactions > 0, "saves like these compact the image");
    let kills = kills();
    for kill in 0..kills {
        let before = length();
        save_another(4 + kill, Some(kill));
        compactions += u32::from(length() < before);
        tokens(&mut reader, &file);
    }
    println!("{kills} kills within {whole_save:?}, {compactions} compactions: a whole session each time");
}

#[test]
fn two_processes_that_save_the_same_session_leave_one_of_the_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept.json");
    let mut first = Worker::with_model(&[], "llama");
    first.converse("kept");
    first.save("kept", &file);
    let mut second = Worker::with_model(&[], "llama");
    second.load(&file);
    let mut reader = Worker::with_model(&[], "llama");
    for round in 0..8 {
        let lengths = [(&mut first, "A word."), (&mut second, "A few words more than the other one.")]
            .map(|(writer, reply)| {
                writer.say("kept", ("And then?", reply));
                writer.send(save("kept", &file));
                writer
            })
            .map(|writer| match writer.answer() {
                Some(intact_protocol::Answer::Reply { outcome: Outcome::Ok { result }, .. }) => match *result
                {
                    Replied::Save(saved) => saved.tokens,
                    replied => panic!("{replied:?}"),
                },
                answer => panic!("{answer:?}"),
            });
        // The last token is evaluated again, so it is not among those that are restored.
        let found = tokens(&mut reader, &file) + 1;
        assert!(lengths.contains(&found), "round {round}: {found} tokens are not among {lengths:?}");
    }
}

fn kills() -> u32 {
    std::env::var(KILLS_VARIABLE).ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
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
