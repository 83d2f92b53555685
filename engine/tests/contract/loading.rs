//! Loading a session.

use std::fs;

use intact_engine::{Generation, LoadOptions};
use intact_fixtures::Purpose;
use intact_format::message::Role;
use intact_format::route::Route;
use intact_format::version::FormatVersion;

use crate::desk::{Desk, code, engine, short, tuned, up_to};

#[test]
fn load_returns_the_session_id_and_makes_it_the_current_session() {
    let mut desk = Desk::new();
    let id = desk.chat("session-42");
    let path = desk.save(&id, "some-other-name.json");
    desk.start("newer");
    let loaded = desk.load(&path);
    assert_eq!(loaded.id.as_str(), "session-42");
    assert_eq!(desk.engine.current(), Some(&loaded.id));
}

#[test]
fn a_message_without_a_session_id_goes_to_the_loaded_session() {
    let mut desk = Desk::new();
    let id = desk.chat("asked");
    let path = desk.save(&id, "asked.json");
    desk.start("newer");
    desk.load(&path);
    desk.engine.send("What did we discuss?", &short(), &mut |_| ()).expect("a reply");
    let said = desk.said("asked");
    assert!(said.contains(&(Role::User, "What did we discuss?".to_owned())));
    assert_eq!(desk.said("newer").len(), 1, "only its system prompt");
}

#[test]
fn a_restored_session_continues_where_the_saved_one_left_off() {
    for model in families() {
        let mut uninterrupted = Desk::of(engine(model, tuned()));
        let id = uninterrupted.chat("madrid-trip");
        let path = uninterrupted.save(&id, "madrid-trip.json");

        let mut restored = Desk::of(engine(model, tuned()));
        let receipt = restored.load(&path).receipt;
        assert_eq!(receipt.route, Route::Direct, "{model}: {}", receipt.because);
        assert!(receipt.tokens_evaluated <= 1, "{model}: {} tokens evaluated", receipt.tokens_evaluated);
        assert_eq!(restored.said(&id), uninterrupted.said(&id), "{model}");
        assert_eq!(restored.tokens(&id), uninterrupted.tokens(&id), "{model}");
        assert_eq!(restored.score(&id), uninterrupted.score(&id), "{model}");
    }
}

#[test]
fn with_a_fixed_seed_the_next_64_sampled_tokens_are_the_same_after_a_restore() {
    let more = Generation::default().max_tokens(64);
    for model in families() {
        let mut uninterrupted = Desk::of(engine(model, tuned()));
        let id = uninterrupted.chat("seeded");
        let path = uninterrupted.save(&id, "seeded.json");
        let mut restored = Desk::of(engine(model, tuned()));
        restored.load(&path);
        let before = restored.tokens(&id).len();
        let answer = |desk: &mut Desk| {
            desk.engine
                .send_to(&id, "Which one has the shortest queues?", &more, &mut |_| ())
                .expect("a reply");
            desk.tokens(&id)
        };
        let tokens = answer(&mut restored);
        assert!(tokens.len() > before);
        assert_eq!(tokens, answer(&mut uninterrupted), "{model}");
    }
}

/// One model of every KV family.
fn families() -> impl Iterator<Item = &'static str> {
    let models = intact_fixtures::list().iter().filter(|model| model.family.purpose == Purpose::RoundTrip);
    models.map(|model| model.id.as_str()).filter(|id| !id.ends_with("-other"))
}

#[test]
fn a_missing_file_is_file_not_found() {
    let mut desk = Desk::new();
    let path = desk.path("none.json");
    assert_eq!(code(desk.engine.load(&path, &LoadOptions::default())), "file-not-found");
}

#[test]
fn a_file_that_cannot_be_deserialized_is_not_a_session_file() {
    let mut desk = Desk::new();
    let path = desk.path("foreign.json");
    for content in ["", "text", "[1, 2]", "{}", r#"{"SessionId": "a", "History": []}"#, "\u{0}GGSQ"] {
        fs::write(&path, content).expect("a file");
        let code = code(desk.engine.load(&path, &LoadOptions::default()));
        assert!(["not-a-session-file", "file-truncated"].contains(&code), "{content:?}: {code}");
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_names_the_version_it_needs() {
    let mut desk = Desk::new();
    let id = desk.chat("newer");
    let path = desk.save(&id, "newer.json");
    let text = fs::read_to_string(&path).expect("a file");
    let own = format!("\"{}\"", FormatVersion::CURRENT);
    for version in ["2.3", "3.0"] {
        let edited = text.replacen(&own, &format!("\"{version}\""), 1);
        assert_ne!(edited, text);
        fs::write(&path, edited).expect("a file");
        let error = desk.engine.load(&path, &LoadOptions::default()).expect_err("a refusal");
        assert_eq!(error.code(), Some("format-too-new"), "{error}");
        assert!(error.to_string().contains(version), "{error}");
    }
}

#[test]
fn a_reader_of_an_older_version_refuses_what_it_does_not_know() {
    let mut desk = Desk::new();
    let id = desk.chat("older-reader");
    let path = desk.save(&id, "older-reader.json");
    for newest in [FormatVersion::V1_0, FormatVersion::V1_1] {
        let options = LoadOptions::default().reader_format(newest);
        assert_eq!(code(desk.engine.load(&path, &options)), "format-too-new", "{newest}");
    }
}

#[test]
fn loading_replaces_a_live_session_of_the_same_id() {
    let mut desk = Desk::new();
    let id = desk.chat("twice");
    let path = desk.save(&id, "twice.json");
    let saved = desk.said(&id);
    desk.say(&id, "This was never saved.");
    let loaded = desk.load(&path);
    assert!(loaded.receipt.replaced);
    assert_eq!(desk.said(&id), saved);
    assert_eq!(desk.engine.sessions().count(), 1);
}

#[test]
fn a_load_that_is_refused_leaves_the_live_session_answering_exactly_as_before() {
    let mut harmed = Desk::new();
    let id = harmed.chat("unharmed");
    let path = harmed.save(&id, "unharmed.json");
    let mut bytes = fs::read(&path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let options = LoadOptions::default().policy(up_to(Route::Direct));
    harmed.engine.load(&path, &options).expect_err("a refusal");

    let mut untouched = Desk::new();
    untouched.chat("unharmed");
    assert_eq!(harmed.tokens(&id), untouched.tokens(&id));
    assert_eq!(harmed.score(&id), untouched.score(&id));
}
