//! Replaying an archived history against a fresh session, which the seed's page shows as a recipe: here it is one call.

use intact_engine::{EngineError, Replay, StartOptions};
use intact_format::message::Role;
use intact_format::version::FormatVersion;

use crate::desk::{Desk, OTHER_WEIGHTS, engine, tuned};

fn archived(format: FormatVersion) -> (Desk, std::path::PathBuf) {
    let mut writer = Desk::new();
    let id = writer.chat("archived");
    let path = writer.save_as(&id, "archived.json", format);
    (writer, path)
}

fn replay(desk: &mut Desk, path: &std::path::Path, mode: Replay) -> Result<String, EngineError> {
    let replayed = desk.engine.replay(path, mode, StartOptions::default(), &mut |_| ())?;
    assert_eq!(desk.engine.current(), Some(&replayed.id));
    Ok(replayed.id.to_string())
}

#[test]
fn replaying_keeps_the_saved_replies_on_request() {
    for format in FormatVersion::ALL {
        let (writer, path) = archived(format);
        let mut reader = Desk::new();
        let id = replay(&mut reader, &path, Replay::KeepReplies).expect("a replay");
        assert_eq!(reader.said(&id), writer.said("archived"), "{format}");
        reader.say(&id, "Which one has the shortest queues?");
    }
}

#[test]
fn replaying_sends_the_users_turns_and_the_model_regenerates_its_replies() {
    let (writer, path) = archived(FormatVersion::CURRENT);
    let mut reader = Desk::of(engine(OTHER_WEIGHTS, tuned()));
    let id = replay(&mut reader, &path, Replay::Regenerate).expect("a replay");
    let turns = |desk: &Desk, id: &str, wanted: Role| -> Vec<String> {
        desk.said(id).into_iter().filter(|(role, _)| *role == wanted).map(|(_, content)| content).collect()
    };
    assert_eq!(turns(&reader, &id, Role::User), turns(&writer, "archived", Role::User));
    let (new, old) = (turns(&reader, &id, Role::Assistant), turns(&writer, "archived", Role::Assistant));
    assert_eq!(new.len(), old.len());
    assert_ne!(new, old, "other weights say the same");
}

#[test]
fn a_replay_applies_the_full_parameters_of_the_fresh_session() {
    let (_writer, path) = archived(FormatVersion::CURRENT);
    let mut parameters = tuned();
    parameters.chat_parameters.system_prompt = "Answer in Spanish.".to_owned();
    parameters.sampler_parameters.temperature = 0.1;
    let mut reader = Desk::of(engine(crate::desk::MODEL, parameters));
    let id = replay(&mut reader, &path, Replay::KeepReplies).expect("a replay");
    assert_eq!(reader.engine.session(&id).expect("a session").parameters(), reader.engine.parameters());
    assert_eq!(reader.said(&id)[0], (Role::System, "Answer in Spanish.".to_owned()));
}

#[test]
fn a_replay_leaves_the_session_it_comes_from_alone() {
    let (mut writer, path) = archived(FormatVersion::CURRENT);
    let before = writer.said("archived");
    let fresh = replay(&mut writer, &path, Replay::Regenerate).expect("a replay");
    assert_ne!(fresh, "archived");
    assert_eq!(writer.said("archived"), before);
}

#[test]
fn a_missing_file_cannot_be_replayed() {
    let mut desk = Desk::new();
    let path = desk.path("none.json");
    let error = replay(&mut desk, &path, Replay::KeepReplies).expect_err("a refusal");
    assert_eq!(error.code(), Some("file-not-found"));
    assert_eq!(desk.engine.sessions().count(), 0);
}
