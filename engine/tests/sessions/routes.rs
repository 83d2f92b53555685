//! Loading where something differs: the route, the parameters, the formats.

use intact_engine::{
    Engine, Hooks, LoadOptions, LoadParameters, Replay, SaveOptions, StartOptions, sidecar_path,
};
use intact_format::kv_type::KvType;
use intact_format::media::MediaMetadata;
use intact_format::parameters::{ContextParameters, FlashAttentionMode};
use intact_format::route::{LoadPolicy, Route};
use intact_format::version::FormatVersion;

use crate::support::{
    context, converse, engine, forge, load, options, per_family, refusal, save, score, start, uninterrupted,
    with_context, with_parameters,
};

#[test]
fn each_difference_takes_its_route_and_a_strict_policy_refuses_it_by_its_axis() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("axes.json");
    let mut writer = engine("llama");
    converse(&mut writer, "axes");
    save(&mut writer, "axes", &file);

    let q5 = ContextParameters { type_k: Some(KvType::Q5_1), type_v: Some(KvType::Q5_1), ..context(1024) };
    let rope = ContextParameters { rope_freq_base: Some(500_000.0), ..context(1024) };
    let cases: [(&str, Engine, &str); 4] = [
        ("other weights", engine("llama-other"), "weights-differ"),
        ("another quantization", engine("llama-q8_0"), "weights-differ"),
        ("another KV type", with_context("llama", q5), "kv-type-differs"),
        ("another RoPE base", with_context("llama", rope), "rope-differs"),
    ];
    let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
    for (what, mut reader, code) in cases {
        assert_eq!(refusal(&mut reader, &file, &strict), code, "{what}");
        assert_eq!(reader.sessions().count(), 0, "{what}");
        let check = reader.check(&file, &LoadOptions::default()).expect("a check");
        let receipt = load(&mut reader, &file).receipt;
        assert_eq!(receipt.route, Route::Reprefilled, "{what}: {receipt:?}");
        assert_eq!(check.route.expect("a route"), receipt.route, "{what}: the check said so");
        assert_eq!(receipt.tokens_restored, 0, "{what}");
        assert!(!receipt.because.is_empty(), "{what}");
    }
    let mut smaller = with_context("llama", context(512));
    assert_eq!(load(&mut smaller, &file).receipt.route, Route::Direct, "a smaller context with room for it");
    let mut too_small = with_context("llama", context(256));
    assert_eq!(refusal(&mut too_small, &file, &LoadOptions::default()), "context-too-small");
}

#[test]
fn v_is_turned_where_flash_attention_differs() {
    let with = |model, mode| {
        with_context(model, ContextParameters { flash_attention_mode: Some(mode), ..context(1024) })
    };
    let modes = [FlashAttentionMode::Enabled, FlashAttentionMode::Disabled];
    for model in ["llama", "qwen2", "qwen3", "gemma3"] {
        for (saved, here) in [(modes[0], modes[1]), (modes[1], modes[0])] {
            let folder = tempfile::tempdir().expect("a folder");
            let (file, back) = (folder.path().join("turn.json"), folder.path().join("back.json"));
            let mut writer = with(model, saved);
            converse(&mut writer, "turn");
            save(&mut writer, "turn", &file);
            let mut reader = with(model, here);
            let receipt = load(&mut reader, &file).receipt;
            assert_eq!(receipt.route, Route::Transcoded, "{model}: {receipt:?}");
            assert_eq!(receipt.tokens_evaluated, 1, "{model}");
            save(&mut reader, "turn", &back);
            let mut home = with(model, saved);
            assert_eq!(load(&mut home, &back).receipt.route, Route::Transcoded, "{model}");
        }
    }
}

#[test]
fn another_model_gets_the_text_where_that_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text.json");
    let mut writer = engine("llama");
    converse(&mut writer, "text");
    save(&mut writer, "text", &file);
    let mut reader = engine("mamba2");
    let everything = LoadOptions::default().policy(LoadPolicy::ALL);
    let receipt = reader.load(&file, &everything).expect("loaded").receipt;
    assert!(matches!(receipt.route, Route::Reprefilled | Route::Replayed), "{receipt:?}");
    let (left, right) = (writer.session("text").expect("live"), reader.session("text").expect("live"));
    let said = |engine: &intact_engine::session::Session| {
        engine.chat().messages().iter().map(|m| m.content.clone()).collect::<Vec<_>>()
    };
    assert_eq!(said(left), said(right));
}

#[test]
fn every_format_comes_back_by_its_route() {
    for (format, route) in [
        (FormatVersion::V1_0, Route::Reprefilled),
        (FormatVersion::V1_1, Route::Reprefilled),
        (FormatVersion::V2_0, Route::Direct),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("old.json");
        let mut writer = engine("llama");
        converse(&mut writer, "old");
        let save = SaveOptions::to(&file).format(format);
        writer.save("old", &save).expect("saved");
        let mut reader = engine("llama");
        let receipt = load(&mut reader, &file).receipt;
        assert_eq!(receipt.route, route, "{format}: {receipt:?}");
        let tokens = |engine: &Engine| engine.session("old").expect("live").timeline().tokens().to_vec();
        assert_eq!(tokens(&reader), tokens(&writer), "{format}");
    }
}

#[test]
fn an_older_reader_refuses_a_newer_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("new.json");
    let mut engine = engine("llama");
    converse(&mut engine, "new");
    save(&mut engine, "new", &file);
    let older = LoadOptions::default().reader_format(FormatVersion::V1_1);
    assert_eq!(refusal(&mut engine, &file, &older), "format-too-new");
}

#[test]
fn parameters_are_the_saved_ones_the_presets_or_the_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tuned.json");
    let mut writer = with_parameters("llama", |parameters| {
        parameters.sampler_parameters.temperature = 0.25;
        parameters.chat_parameters.max_tokens = 17;
    });
    converse(&mut writer, "tuned");
    save(&mut writer, "tuned", &file);
    let mut reader = with_parameters("llama", |parameters| parameters.sampler_parameters.temperature = 1.5);
    for (source, temperature, max_tokens) in [
        (LoadParameters::Saved, 0.25, 17),
        (LoadParameters::Preset, 1.5, 2048),
        (LoadParameters::Defaults, 0.7, 2048),
    ] {
        let options = LoadOptions::default().parameters(source);
        let receipt = reader.load(&file, &options).expect("loaded").receipt;
        let parameters = reader.session("tuned").expect("live").parameters();
        assert_eq!(parameters.sampler_parameters.temperature, temperature, "{source:?}");
        assert_eq!(parameters.chat_parameters.max_tokens, max_tokens, "{source:?}");
        assert_eq!(receipt.parameters, parameters.digest(), "{source:?}");
        assert_eq!(receipt.replaced, source != LoadParameters::Saved, "{source:?}");
    }
}

#[test]
fn saved_parameters_that_ask_for_too_much_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("greedy.json");
    let mut writer = engine("llama");
    converse(&mut writer, "greedy");
    save(&mut writer, "greedy", &file);
    forge(&file, |document| {
        let parameters = document.parameters.as_mut().expect("parameters");
        parameters.context_parameters.context_size = Some(u32::MAX);
    });
    assert_eq!(refusal(&mut writer, &file, &LoadOptions::default()), "parameters-invalid");
    let defaults = LoadOptions::default().parameters(LoadParameters::Defaults);
    writer.load(&file, &defaults).expect("the defaults ask for nothing");
}

fn a_layout_that_is_not_known_gives_opaque_images_that_go_back_to_the_same_release_only(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("opaque.json");
    let forgetful = || {
        Engine::create(options(model).hooks(Hooks { forget_layouts: true, ..Hooks::default() }))
            .expect("an engine")
    };
    let mut writer = forgetful();
    converse(&mut writer, "opaque");
    let saved = writer.save("opaque", &SaveOptions::to(&file)).expect("saved");
    assert!(says_opaque(&saved.notes), "{model}: {:?}", saved.notes);
    let mut same = forgetful();
    let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
    let receipt = same.load(&file, &strict).expect("loaded").receipt;
    assert_eq!(receipt.route, Route::Direct, "{model}: {receipt:?}");
    assert!(says_opaque(&receipt.notes), "{model}: {:?}", receipt.notes);
    assert!(score(&mut same, "opaque") == uninterrupted(model), "{model}");
    assert!(score(&mut writer, "opaque") == uninterrupted(model), "{model}");

    let mut knowing = engine(model);
    assert_eq!(refusal(&mut knowing, &file, &strict), "layout-differs", "{model}");
    let receipt = load(&mut knowing, &file).receipt;
    assert_eq!(receipt.route, Route::Reprefilled, "{model}");
    assert!(receipt.because.contains("one of the layouts is not known"), "{model}: {}", receipt.because);
}

per_family!(a_layout_that_is_not_known_gives_opaque_images_that_go_back_to_the_same_release_only);

fn says_opaque(notes: &[String]) -> bool {
    notes.iter().any(|note| note.contains("opaque (the layouts were forgotten on purpose)"))
}

#[test]
fn a_manifest_is_written_and_compared_and_aborts_where_it_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept.json");
    let mut writer = engine("llama");
    converse(&mut writer, "kept");
    let compare = LoadOptions::default().manifest(true);
    save(&mut writer, "kept", &file);
    assert_eq!(refusal(&mut writer, &file, &compare), "manifest-missing");
    let saved = writer.save("kept", &SaveOptions::to(&file).manifest(true)).expect("saved");
    let manifest = folder.path().join("session.manifest.json");
    assert!(saved.files.contains(&manifest));
    writer.load(&file, &compare).expect("nothing differs");
    let text = std::fs::read_to_string(&manifest).expect("a manifest").replace("llama.gguf", "other.gguf");
    std::fs::write(&manifest, text).expect("written");
    assert_eq!(refusal(&mut writer, &file, &compare), "manifest-differs");
    writer.load(&file, &LoadOptions::default()).expect("not compared");
}

#[test]
fn a_history_is_replayed_with_its_replies_kept_or_generated_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("again.json");
    let mut engine = engine("llama");
    converse(&mut engine, "again");
    save(&mut engine, "again", &file);

    let kept =
        engine.replay(&file, Replay::KeepReplies, StartOptions::default(), &mut |_| {}).expect("replayed");
    assert_ne!(kept.id.as_str(), "again");
    assert_eq!(engine.current(), Some(&kept.id));
    let tokens = |id: &str| engine.session(id).expect("live").timeline().tokens().to_vec();
    assert_eq!(tokens(kept.id.as_str()), tokens("again"));

    let mut brief = with_parameters("llama", |parameters| parameters.chat_parameters.max_tokens = 4);
    let fresh = StartOptions::default().id("fresh");
    let replayed = brief.replay(&file, Replay::Regenerate, fresh, &mut |_| {}).expect("replayed");
    assert_eq!(replayed.replies.len(), 3);
    let messages = brief.session("fresh").expect("live").chat().messages();
    assert_eq!(messages.len(), 7, "the saved system prompt, and three turns");
    assert_eq!(messages[1].content, crate::support::TURNS[0].0);

    start(&mut brief, "other");
    let missing = brief.replay(
        folder.path().join("none.json"),
        Replay::KeepReplies,
        StartOptions::default(),
        &mut |_| {},
    );
    assert_eq!(missing.expect_err("no file").code(), Some("file-not-found"));
}

#[test]
fn a_chat_with_a_picture_comes_back_with_its_kv_and_is_never_evaluated_again_without_the_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("picture.json");
    let mut writer = engine("llama");
    converse(&mut writer, "picture");
    save(&mut writer, "picture", &file);
    forge(&file, |document| {
        let png = MediaMetadata { width: 640, height: 480, ..MediaMetadata::of(b"\x89PNG\r\n\x1a\n") };
        document.history[1].media.push(MediaMetadata { file_name: Some("cat.png".into()), ..png });
    });
    assert_eq!(load(&mut engine("llama"), &file).receipt.route, Route::Direct);

    let mut other = engine("llama-other");
    let check = other.check(&file, &LoadOptions::default()).expect("a check");
    let told = check.route.expect_err("no route");
    assert_eq!(told.code.as_str(), "media-missing");
    assert!(told.message.contains("cat.png (image/png, 640 × 480 pixels)"), "{told}");
    assert_eq!(refusal(&mut other, &file, &LoadOptions::default()), "media-missing");

    std::fs::remove_file(sidecar_path(&file)).expect("removed");
    assert_eq!(refusal(&mut engine("llama"), &file, &LoadOptions::default()), "media-missing");
}
