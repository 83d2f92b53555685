use intact_format::parameters::{CacheCleanupStrategy, Parameters};
use intact_format::preset::PresetDocument;

use super::{DEFAULT, DEFAULT_MODEL, Preset, PresetError, PresetLibrary, published_fields};

fn library() -> PresetLibrary {
    PresetLibrary::built_in().unwrap()
}

fn document(name: &str, extends: &str, temperature: f32) -> PresetDocument {
    let json = serde_json::json!({
        "name": name,
        "extends": extends,
        "parameters": { "SamplerParameters": { "Temperature": temperature } },
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn the_built_in_presets_are_the_ones_that_are_promised() {
    insta::assert_debug_snapshot!("names", library().names().collect::<Vec<_>>());
}

#[test]
fn every_built_in_preset_names_a_model_file_and_a_context() {
    for name in library().names().filter(|name| *name != DEFAULT) {
        let preset = Preset::by_name(name).unwrap();
        let source = &preset.parameters.model_source_parameters;
        let repository = source.hugging_face_repo_id.as_deref().unwrap();
        assert_eq!(repository.split('/').count(), 2, "{name}: {repository}");
        assert!(source.hugging_face_file_name.as_deref().unwrap().ends_with(".gguf"), "{name}");
        assert!(preset.parameters.context_parameters.context_size.unwrap() >= 2048, "{name}");
        assert!(!preset.description.is_empty(), "{name}");
        assert_eq!(preset.family(), preset.class_name());
    }
}

#[test]
fn vision_presets_and_no_others_have_a_projector() {
    let with: Vec<_> = library()
        .names()
        .filter(|name| Preset::by_name(name).unwrap().projector.is_some())
        .map(str::to_owned)
        .collect();
    assert_eq!(with, ["Qwen25VL3B", "Qwen3VL2B", "Gemma3Vision", "Ministral3Vision"]);
    let projector = Preset::by_name("Qwen3VL2B").unwrap().projector.unwrap();
    assert_eq!(projector.hugging_face_repo_id.as_deref(), Some("Qwen/Qwen3-VL-2B-Instruct-GGUF"));
}

#[test]
fn published_fields_are_told_apart_from_ours() {
    let published = published_fields("Qwen25Preset").unwrap();
    assert_eq!(published, ["HuggingFaceRepoId", "HuggingFaceFileName", "ContextSize"]);
    assert!(published_fields("TinyLlama").unwrap().is_empty());
    assert!(matches!(published_fields("Nothing"), Err(PresetError::Unknown { .. })));
}

#[test]
fn the_default_preset_has_the_librarys_defaults() {
    let preset = Preset::by_name(DEFAULT).unwrap();
    assert_eq!(preset.parameters, Parameters::default());
    assert_eq!(preset.extends, None);
}

#[test]
fn the_default_model_is_the_one_of_the_documentation() {
    let preset = Preset::by_name(DEFAULT_MODEL).unwrap();
    assert_eq!(preset.class_name(), "Qwen25Preset");
    let source = &preset.parameters.model_source_parameters;
    assert_eq!(source.hugging_face_repo_id.as_deref(), Some("bartowski/Qwen2.5-7B-Instruct-GGUF"));
    assert_eq!(source.hugging_face_file_name.as_deref(), Some("Qwen2.5-7B-Instruct-Q4_K_M.gguf"));
}

#[test]
fn class_names_are_names_too() {
    assert_eq!(Preset::by_name("Phi4Preset").unwrap(), Preset::by_name("Phi4").unwrap());
}

#[test]
fn an_unknown_name_is_answered_with_the_names_there_are() {
    let error = Preset::by_name("Qwen99").unwrap_err();
    assert!(matches!(error, PresetError::Unknown { .. }));
    assert!(error.to_string().contains("Qwen99") && error.to_string().contains("Qwen25_3B"), "{error}");
}

#[test]
fn a_preset_in_json_changes_what_it_says_and_keeps_the_rest() {
    let json = r#"{
        "extends": "Qwen25Preset",
        "name": "Terse",
        "parameters": {
            "SamplerParameters": { "Temperature": 0.2 },
            "ChatParameters": { "SystemPrompt": "Be brief.", "CacheCleanupStrategy": "KeepSystemPromptAndHalf" }
        }
    }"#;
    let preset = Preset::from_json(json).unwrap();
    let base = Preset::by_name("Qwen25").unwrap();
    assert_eq!(preset.name, "Terse");
    assert_eq!(preset.parameters.sampler_parameters.temperature, 0.2);
    assert_eq!(preset.parameters.sampler_parameters.top_k, base.parameters.sampler_parameters.top_k);
    assert_eq!(preset.parameters.chat_parameters.system_prompt, "Be brief.");
    let strategy = preset.parameters.chat_parameters.cache_cleanup_strategy;
    assert_eq!(strategy, CacheCleanupStrategy::KeepSystemPromptAndHalf);
    assert_eq!(preset.parameters.context_parameters, base.parameters.context_parameters);
}

#[test]
fn a_preset_without_extends_or_with_an_unknown_one_is_refused() {
    let missing = Preset::from_json(r#"{"parameters": {}}"#).unwrap_err();
    assert!(matches!(missing, PresetError::Json(_)));
    assert!(missing.to_string().contains("extends"), "{missing}");
    let unknown = Preset::from_json(r#"{"extends": "Nothing"}"#).unwrap_err();
    assert!(matches!(unknown, PresetError::Unknown { .. }), "{unknown}");
}

#[test]
fn parameters_that_do_not_exist_or_do_not_fit_are_refused_by_name() {
    for parameters in
        [r#"{"SamplerParameters": {"Temprature": 1}}"#, r#"{"SamplerParameters": {"TopK": "many"}}"#]
    {
        let error =
            Preset::from_json(&format!(r#"{{"extends": "Phi4", "parameters": {parameters}}}"#)).unwrap_err();
        assert!(matches!(error, PresetError::Parameters { .. }), "{error}");
    }
    let error = Preset::from_json(r#"{"extends": "Phi4", "parameters": {"NoSuchSet": {}}}"#).unwrap_err();
    assert!(matches!(error, PresetError::Json(_)), "{error}");
}

#[test]
fn a_preset_without_a_name_goes_by_the_name_of_what_it_extends() {
    let preset = Preset::from_json(r#"{"extends": "Qwen25Preset"}"#).unwrap();
    assert_eq!(preset.name, "Qwen25");
    assert_eq!(preset.family(), "Qwen25Preset");
}

#[test]
fn presets_extend_presets_that_extend_presets() {
    let mut library = library();
    library.add(document("Middle", "Qwen3", 0.5)).unwrap();
    library.add(document("Top", "Middle", 0.1)).unwrap();
    let top = library.by_name("Top").unwrap();
    assert_eq!(top.parameters.sampler_parameters.temperature, 0.1);
    assert_eq!(top.parameters.chat_parameters.max_tokens, 4096);
    assert!(top.family().starts_with("Qwen3Preset+"), "{}", top.family());
}

#[test]
fn presets_that_extend_each_other_in_a_circle_are_refused() {
    let mut library = library();
    library.add(document("A", "B", 0.5)).unwrap();
    library.add(document("B", "C", 0.5)).unwrap();
    library.add(document("C", "A", 0.5)).unwrap();
    let error = library.by_name("A").unwrap_err();
    assert_eq!(error.to_string(), "presets extend each other in a circle: A -> B -> C -> A");
    let error = library.from_document(document("D", "B", 0.5)).unwrap_err();
    assert!(matches!(error, PresetError::Cycle { .. }), "{error}");
}

#[test]
fn a_name_that_is_taken_cannot_be_added_again() {
    let error = library().add(document("Phi4", "Qwen3", 0.5)).unwrap_err();
    assert!(matches!(error, PresetError::Taken { .. }));
}

#[test]
fn what_is_written_reads_back_to_the_same_parameters() {
    let mut custom = Preset::by_name("Gemma3").unwrap();
    custom.name = "Mine".to_owned();
    custom.extends = Some("Gemma3".to_owned());
    custom.parameters.sampler_parameters.seed = 7;
    custom.parameters.context_parameters.context_size = None;
    let presets =
        library().names().map(|name| Preset::by_name(name).unwrap()).chain([custom]).collect::<Vec<_>>();
    for preset in presets {
        for include_defaults in [false, true] {
            let json = preset.to_json(include_defaults).unwrap();
            let read = Preset::from_json(&json).unwrap();
            assert_eq!(read.parameters, preset.parameters, "{json}");
            assert_eq!(read.name, preset.name);
        }
    }
}

#[test]
fn without_defaults_only_what_differs_is_written() {
    let preset = Preset::from_json(
        r#"{"extends": "Qwen25", "name": "Terse", "parameters": {"SamplerParameters": {"Temperature": 0.25}}}"#,
    )
    .unwrap();
    insta::assert_snapshot!("terse", preset.to_json(false).unwrap());
    let complete = preset.to_json(true).unwrap();
    assert!(complete.contains("DryBase") && complete.contains("ReleaseTag"));
}

#[test]
fn a_custom_preset_that_is_configured_identically_is_of_the_same_family() {
    let same = Preset::from_json(
        r#"{"extends": "Qwen25", "name": "Mine", "parameters": {
            "ModelSourceParameters": {"ModelFilePath": "/models/mine.gguf"}, "SamplerParameters": {"TopK": 20}}}"#,
    )
    .unwrap();
    assert_eq!(same.family(), "Qwen25Preset");
    let warmer = Preset::from_json(
        r#"{"extends": "Qwen25", "name": "Mine", "parameters": {"SamplerParameters": {"Temperature": 1.5}}}"#,
    )
    .unwrap();
    assert!(warmer.family().starts_with("Qwen25Preset+"));
}
