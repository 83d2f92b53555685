//! What a restored session is held to: the noise of its model, and cells that the model computes again.

use intact_engine::{Engine, Hooks, LoadOptions, SaveOptions, sidecar_path};
use intact_format::kv_type::KvType;
use intact_format::noise::Noise;
use intact_format::parameters::{ContextParameters, FlashAttentionMode};
use intact_format::route::{LoadPolicy, Route};
use intact_format::session::read;
use intact_format::version::FormatVersion;

use crate::support::{
    FAMILIES, context, converse, engine, load, options, refusal, save, score, uninterrupted, with_context,
};

/// One fixture under every quantization of its weights.
const QUANTIZED: [&str; 3] = ["llama-q8_0", "llama-q4_0", "llama-q4_K"];

fn noise(file: &std::path::Path) -> Option<Noise> {
    let bytes = std::fs::read(file).expect("a document");
    read(&bytes, FormatVersion::CURRENT).expect("a session").document.noise
}

#[test]
fn a_save_records_how_far_the_model_is_from_itself_and_measures_it_once() {
    for model in FAMILIES.into_iter().chain(QUANTIZED) {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (folder.path().join("first.json"), folder.path().join("second.json"));
        let mut writer = engine(model);
        converse(&mut writer, "noise");
        save(&mut writer, "noise", &first);
        let measured = noise(&first).expect("noise was measured");
        assert!(measured.positions >= 8 && measured.kl.is_finite(), "{model}: {measured:?}");
        assert!(measured.kl < 0.1 && measured.cells() < 0.1, "{model} is far from itself: {measured:?}");
        save(&mut writer, "noise", &second);
        assert_eq!(noise(&second), Some(measured), "{model}");
        assert!(
            score(&mut writer, "noise") == uninterrupted(model),
            "{model}: the session goes on as it was"
        );
    }
}

#[test]
fn a_save_that_is_not_to_measure_records_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("quick.json");
    let mut writer = Engine::create(options("llama").skip_noise(true)).expect("an engine");
    converse(&mut writer, "quick");
    save(&mut writer, "quick", &file);
    assert_eq!(noise(&file), None);
    let older = SaveOptions::to(&file).format(FormatVersion::V2_0);
    writer.save("quick", &older).expect("saved");
    assert_eq!(load(&mut writer, &file).receipt.route, Route::Direct);
}

#[test]
fn a_missing_image_never_costs_the_session_however_coarse_the_weights_are() {
    for model in FAMILIES.into_iter().chain(QUANTIZED) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("alone.json");
        let mut writer = engine(model);
        converse(&mut writer, "alone");
        save(&mut writer, "alone", &file);
        std::fs::remove_file(sidecar_path(&file)).expect("removed");
        let receipt = load(&mut engine(model), &file).receipt;
        assert_eq!(receipt.route, Route::Reprefilled, "{model}: {receipt:?}");
        assert!(receipt.canary.expect("a canary").kl < 0.1, "{model}: {receipt:?}");
    }
}

/// The hash of the weights is what keeps others out. Where it says nothing, their KV still is none of the saved one's.
#[test]
fn other_weights_that_pass_for_the_saved_ones_never_get_the_saved_kv() {
    let changes: [(&str, ContextParameters); 4] = [
        ("nothing else", context(1024)),
        ("threads", ContextParameters { n_threads: Some(2), ..context(1024) }),
        (
            "flash attention",
            ContextParameters { flash_attention_mode: Some(FlashAttentionMode::Disabled), ..context(1024) },
        ),
        (
            "a quantized cache",
            ContextParameters { type_k: Some(KvType::Q8_0), type_v: Some(KvType::Q8_0), ..context(1024) },
        ),
    ];
    for (model, other) in [("llama", "llama-other"), ("qwen3", "qwen3-other"), ("gemma3", "gemma3-other")] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mine.json");
        let mut writer = with_context(
            model,
            ContextParameters { flash_attention_mode: Some(FlashAttentionMode::Enabled), ..context(1024) },
        );
        converse(&mut writer, "mine");
        save(&mut writer, "mine", &file);
        for (what, context) in &changes {
            let disguised = options(other)
                .context(context.clone())
                .hooks(Hooks { assumed_sha256: Some(writer.identity().sha256.clone()), ..Hooks::default() });
            let mut reader = Engine::create(disguised).expect("an engine");
            let image = LoadPolicy::from_iter([Route::Direct, Route::Transcoded]);
            let image = LoadOptions::default().policy(image);
            assert_eq!(refusal(&mut reader, &file, &image), "canary-failed", "{model}, {what}");
        }
    }
}

#[test]
fn settings_that_move_the_logits_further_than_noise_are_told_and_do_not_cost_the_kv() {
    for model in QUANTIZED {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("settings.json");
        let with = |mode| {
            with_context(model, ContextParameters { flash_attention_mode: Some(mode), ..context(1024) })
        };
        let modes = [FlashAttentionMode::Enabled, FlashAttentionMode::Disabled];
        for (saved, here) in [(modes[0], modes[1]), (modes[1], modes[0])] {
            let mut writer = with(saved);
            converse(&mut writer, "settings");
            save(&mut writer, "settings", &file);
            let receipt = load(&mut with(here), &file).receipt;
            assert_eq!(receipt.route, Route::Transcoded, "{model}: {receipt:?}");
            assert_eq!(receipt.tokens_evaluated, 1, "{model}: {receipt:?}");
        }
    }
}
