//! When a session file can move, and what happens when an axis differs: never garbled output.

use intact_engine::{EngineOptions, LoadOptions};
use intact_format::passport::{Axis, Consequence};
use intact_format::route::{LoadPolicy, Route};
use intact_format::version::FormatVersion;

use crate::desk::{Desk, MODEL, OTHER_QUANTIZATION, OTHER_WEIGHTS, code, engine, engine_with, tuned, up_to};

fn saved(format: FormatVersion) -> (Desk, std::path::PathBuf) {
    let mut writer = Desk::new();
    let id = writer.chat("ported");
    let path = writer.save_as(&id, "ported.json", format);
    (writer, path)
}

fn with(policy: LoadPolicy) -> LoadOptions {
    LoadOptions::default().policy(policy)
}

#[test]
fn the_same_version_model_and_release_restore_the_session_as_it_was() {
    let (mut writer, path) = saved(FormatVersion::CURRENT);
    let mut reader = Desk::new();
    let receipt = reader.engine.load(&path, &with(LoadPolicy::STRICT)).expect("a load").receipt;
    assert_eq!(receipt.route, Route::Direct);
    assert_eq!(reader.score("ported"), writer.score("ported"));
}

#[test]
fn files_of_every_older_version_still_load() {
    for format in FormatVersion::ALL {
        let (writer, path) = saved(format);
        let mut reader = Desk::new();
        reader.load(&path);
        assert_eq!(reader.said("ported"), writer.said("ported"), "{format}");
        assert_eq!(reader.tokens("ported"), writer.tokens("ported"), "{format}");
    }
}

/// "The session file is architecture-independent": a file without KV is evaluated again, wherever that is.
#[test]
fn a_file_without_kv_is_evaluated_again() {
    for format in [FormatVersion::V1_0, FormatVersion::V1_1] {
        let (writer, path) = saved(format);
        let mut reader = Desk::new();
        let receipt = reader.load(&path).receipt;
        assert_eq!(receipt.route, Route::Reprefilled, "{format}");
        assert_eq!(receipt.tokens_restored, 0);
        assert_eq!(receipt.tokens_evaluated, writer.tokens("ported").len() as u64, "{format}");
    }
}

#[test]
fn other_weights_or_another_quantization_are_refused_by_name_where_only_the_saved_kv_is_allowed() {
    let (_writer, path) = saved(FormatVersion::CURRENT);
    for model in [OTHER_WEIGHTS, OTHER_QUANTIZATION] {
        let mut reader = Desk::of(engine(model, tuned()));
        let error = reader.engine.load(&path, &with(LoadPolicy::STRICT)).expect_err("a refusal");
        assert_eq!(error.code(), Some("weights-differ"), "{model}: {error}");
        let text = error.to_string();
        let (there, here) = (Desk::new().engine.identity().sha256.clone(), &reader.engine.identity().sha256);
        assert!(
            text.contains("model-content") && text.contains(&there) && text.contains(here),
            "{model}: {text}"
        );
        assert_eq!(reader.engine.sessions().count(), 0);
    }
}

/// "A different model produces garbled output": never here. The saved tokens are evaluated again, as its own session.
#[test]
fn a_session_on_other_weights_is_evaluated_again_and_never_garbled() {
    for model in [OTHER_WEIGHTS, OTHER_QUANTIZATION] {
        let (_writer, path) = saved(FormatVersion::CURRENT);
        let mut reader = Desk::of(engine(model, tuned()));
        let outcome = reader.engine.load(&path, &with(up_to(Route::Replayed)));
        let receipt = outcome.expect("a load").receipt;
        assert!(receipt.route >= Route::Reprefilled, "{model}: {}", receipt.route.as_str());
        assert_eq!(receipt.tokens_restored, 0, "{model}");

        let mut fresh = Desk::of(engine(model, tuned()));
        let again = fresh.engine.load(&path, &with(up_to(Route::Replayed))).expect("a load");
        assert_eq!(again.receipt.route, receipt.route);
        assert_eq!(reader.score("ported"), fresh.score("ported"), "{model}");
    }
}

#[test]
fn another_preset_is_named_and_does_no_harm() {
    let preset = |name: &'static str| {
        Desk::of(engine_with(MODEL, |options: &mut EngineOptions| {
            options.parameters = tuned();
            options.preset = Some(name.to_owned());
        }))
    };
    let mut writer = preset("Qwen25Preset");
    let id = writer.chat("preset");
    let path = writer.save(&id, "preset.json");
    let mut reader = preset("Phi4Preset");
    let options = LoadOptions::default().parameters(intact_engine::LoadParameters::Preset);
    let receipt = reader.engine.load(&path, &options).expect("a load").receipt;
    let difference =
        receipt.axes.iter().find(|difference| difference.axis == Axis::Preset).expect("the axis");
    assert_eq!((difference.saved.as_str(), difference.here.as_str()), ("Qwen25Preset", "Phi4Preset"));
    assert_eq!(difference.consequence, Consequence::Harmless);
    assert_eq!(receipt.route, Route::Direct);
}

#[test]
fn a_check_says_before_the_load_what_the_load_will_do() {
    let (_writer, path) = saved(FormatVersion::CURRENT);
    for (model, policy) in [
        (MODEL, LoadPolicy::STRICT),
        (MODEL, LoadPolicy::TOKENS),
        (OTHER_WEIGHTS, LoadPolicy::STRICT),
        (OTHER_QUANTIZATION, LoadPolicy::STRICT),
    ] {
        let mut reader = Desk::of(engine(model, tuned()));
        let check = reader.engine.check(&path, &with(policy)).expect("a check");
        assert_eq!(reader.engine.sessions().count(), 0, "a check changes nothing");
        match (check.route, reader.engine.load(&path, &with(policy))) {
            (Ok(route), Ok(loaded)) => assert_eq!(route, loaded.receipt.route),
            (Err(refusal), Err(error)) => assert_eq!(Some(refusal.code.as_str()), error.code()),
            (check, load) => panic!("{model}: {check:?} and {load:?}"),
        }
    }
}

#[test]
fn a_session_that_is_longer_than_the_context_is_refused() {
    let mut writer = Desk::new();
    let id = writer.chat("long");
    for _ in 0..4 {
        writer.say(&id, "Tell me more about the museums of Madrid.");
    }
    let path = writer.save(&id, "long.json");
    let mut reader = Desk::of(engine_with(MODEL, |options| options.context.context_size = Some(256)));
    assert!(writer.tokens(&id).len() > 256, "{} tokens", writer.tokens(&id).len());
    assert_eq!(code(reader.engine.load(&path, &LoadOptions::default())), "context-too-small");
}
