//! Engines and sessions from presets.

use intact_engine::preset::Preset;
use intact_engine::{EngineOptions, StartOptions};

use crate::desk::{Desk, MODEL, engine_with, json};

fn desk(preset: &Preset) -> Desk {
    Desk::of(engine_with(MODEL, |options| {
        let of_preset = EngineOptions::of_preset(preset);
        options.parameters = of_preset.parameters;
        options.preset = of_preset.preset;
    }))
}

#[test]
fn an_engine_is_created_from_a_preset_and_its_sessions_have_its_parameters() {
    let preset = Preset::by_name("Qwen25").expect("a preset");
    let mut desk = desk(&preset);
    let id = desk.start("preset");
    let session = desk.engine.session(&id).expect("a session");
    assert_eq!(session.parameters().sampler_parameters, preset.parameters.sampler_parameters);
    assert_eq!(session.parameters().chat_parameters, preset.parameters.chat_parameters);
    assert_eq!(desk.engine.preset(), Some("Qwen25Preset"));
}

#[test]
fn a_chat_can_start_with_a_preset_of_its_own() {
    let mut desk = desk(&Preset::by_name("Qwen25").expect("a preset"));
    let other = Preset::by_name("DeepSeekCoder2").expect("a preset");
    let id = desk.engine.start(StartOptions::of_preset(&other)).expect("a session");
    let session = desk.engine.session(id.as_str()).expect("a session");
    assert_eq!(session.parameters().sampler_parameters, other.parameters.sampler_parameters);
}

#[test]
fn a_preset_from_json_works_like_a_built_in_one_and_is_named_in_the_file() {
    let preset = Preset::from_json(
        r#"{"extends": "Qwen25Preset", "name": "Terse", "parameters": {"ChatParameters": {"SystemPrompt": "One word."}}}"#,
    )
    .expect("a preset");
    let mut desk = desk(&preset);
    let id = desk.start("terse");
    desk.say(&id, "Hello!");
    assert_eq!(desk.said(&id)[0].1, "One word.");
    let path = desk.save(&id, "terse.json");
    assert!(json(&path).to_string().contains(&preset.family()));
}
