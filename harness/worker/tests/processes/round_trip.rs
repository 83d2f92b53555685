//! Saved in one process, loaded in another.

use intact_fixtures::Purpose;

use crate::client::{CONVERSATION, Worker};

/// One model of every memory kind and shape.
const FAMILIES: [&str; 7] = ["llama", "qwen2", "qwen3", "gemma3", "mamba2", "lfm2", "granite-hybrid"];

/// One model of every architecture and shape.
fn architectures() -> impl Iterator<Item = &'static str> {
    let families = intact_fixtures::families();
    families.filter(|model| model.family.purpose != Purpose::KvShape).map(|model| model.id.as_str())
}

#[test]
fn a_session_of_any_architecture_goes_on_in_another_process_bit_by_bit_as_if_it_had_not_been_interrupted() {
    for model in architectures() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("trip.json");

        let mut writer = Worker::with_model(&[], model);
        writer.converse("trip");
        writer.save("trip", &file);

        let mut control = Worker::with_model(&[], model);
        control.converse("trip");
        let expected = control.score("trip", folder.path());

        let mut reader = Worker::with_model(&[], model);
        let receipt = reader.load(&file).receipt;
        assert_eq!(receipt.route, "direct", "{model}: {receipt:?}");
        assert_eq!(receipt.canary_distance, Some(0.0), "{model}");
        assert!(receipt.tokens_evaluated <= 1, "{model}: {receipt:?}");
        assert!(reader.score("trip", folder.path()) == expected, "{model}: the restored session");
        assert!(writer.score("trip", folder.path()) == expected, "{model}: the session that was saved");
    }
}

#[test]
fn a_session_that_is_saved_and_loaded_after_every_turn_does_not_drift() {
    for model in FAMILIES {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("relay.json");
        let mut runner = Worker::with_model(&[], model);
        for turn in CONVERSATION {
            runner.say("relay", turn);
            runner.save("relay", &file);
            runner = Worker::with_model(&[], model);
            assert_eq!(runner.load(&file).receipt.route, "direct", "{model}");
        }
        let mut control = Worker::with_model(&[], model);
        control.converse("relay");
        let (left, right) = (runner.score("relay", folder.path()), control.score("relay", folder.path()));
        assert!(left == right, "{model}");
    }
}

#[test]
fn the_blind_path_works_where_nothing_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trip.json");
    let mut writer = Worker::with_model(&["--subject", "blind"], "llama");
    writer.converse("trip");
    writer.save("trip", &file);
    let expected = writer.score("trip", folder.path());
    let mut reader = Worker::with_model(&["--subject", "blind"], "llama");
    assert_eq!(reader.load(&file).receipt.route, "blind");
    assert!(reader.score("trip", folder.path()) == expected);
}
