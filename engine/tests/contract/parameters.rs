//! Which parameters a loaded session has.

use intact_engine::LoadParameters;
use intact_format::parameters::{ChatParameters, SamplerParameters};
use intact_format::version::FormatVersion;

use crate::desk::{Desk, MODEL, SYSTEM_PROMPT, engine, tuned};

/// The saving engine's parameters, and another engine's with other ones.
fn saved_elsewhere(format: FormatVersion) -> (Desk, std::path::PathBuf, Desk) {
    let mut writer = Desk::new();
    let id = writer.chat("parameters");
    let path = writer.save_as(&id, "parameters.json", format);
    let mut parameters = tuned();
    parameters.sampler_parameters.temperature = 0.2;
    parameters.chat_parameters.max_tokens = 99;
    (writer, path, Desk::of(engine(MODEL, parameters)))
}

/// "`LoadChatSession` creates the new session with default parameters": temperature 0.7, top-p 0.9, no system prompt, at
/// most 2048 tokens.
#[test]
fn defaults_reproduce_the_reset_of_parameters() {
    let (_writer, path, mut reader) = saved_elsewhere(FormatVersion::CURRENT);
    reader.load_with(&path, LoadParameters::Defaults);
    let parameters = reader.engine.session("parameters").expect("a session").parameters();
    assert_eq!(parameters.sampler_parameters, SamplerParameters::default());
    assert_eq!(parameters.chat_parameters, ChatParameters::default());
    assert_eq!(parameters.sampler_parameters.temperature, 0.7);
    assert_eq!(parameters.sampler_parameters.top_p, 0.9);
    assert_eq!(parameters.chat_parameters.max_tokens, 2048);
    assert_eq!(parameters.chat_parameters.system_prompt, "");
}

#[test]
fn the_parameters_of_the_original_session_come_back_by_default() {
    let (writer, path, mut reader) = saved_elsewhere(FormatVersion::CURRENT);
    reader.load(&path);
    let original = writer.engine.session("parameters").expect("a session").parameters();
    let restored = reader.engine.session("parameters").expect("a session").parameters();
    assert_eq!(restored, original);
    assert_eq!(restored.chat_parameters.system_prompt, SYSTEM_PROMPT);
}

/// "A helper for preset-aware loading is on the roadmap": it is here.
#[test]
fn a_load_can_take_the_parameters_of_the_preset() {
    let (_writer, path, mut reader) = saved_elsewhere(FormatVersion::CURRENT);
    reader.load_with(&path, LoadParameters::Preset);
    let parameters = reader.engine.session("parameters").expect("a session").parameters();
    assert_eq!(parameters.sampler_parameters.temperature, 0.2);
    assert_eq!(parameters.chat_parameters.max_tokens, 99);
}

#[test]
fn a_file_that_keeps_no_parameters_takes_the_engines_and_says_so() {
    for format in [FormatVersion::V1_0, FormatVersion::V1_1] {
        let (_writer, path, mut reader) = saved_elsewhere(format);
        let loaded = reader.load(&path);
        assert!(
            loaded.receipt.notes.iter().any(|note| note.contains("parameters")),
            "{:?}",
            loaded.receipt.notes
        );
        let parameters = reader.engine.session("parameters").expect("a session").parameters();
        assert_eq!(parameters.chat_parameters.max_tokens, 99, "{format}");
    }
}

#[test]
fn the_receipt_tells_which_parameters_are_in_force() {
    let (_writer, path, mut reader) = saved_elsewhere(FormatVersion::CURRENT);
    let digests: Vec<_> = [LoadParameters::Saved, LoadParameters::Preset, LoadParameters::Defaults]
        .into_iter()
        .map(|source| {
            let digest = reader.load_with(&path, source).receipt.parameters;
            assert_eq!(digest, reader.engine.session("parameters").expect("a session").parameters().digest());
            digest
        })
        .collect();
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}

/// The history still begins with the system prompt that was in force, whatever the parameters say now.
#[test]
fn a_reset_does_not_change_what_was_said() {
    let (writer, path, mut reader) = saved_elsewhere(FormatVersion::CURRENT);
    reader.load_with(&path, LoadParameters::Defaults);
    assert_eq!(reader.said("parameters"), writer.said("parameters"));
}
