//! Saving: at every moment of a session's life, and again.

use std::fs;

use intact_engine::{CancelToken, Engine, Generation, LoadOptions, SaveOptions, StartOptions, sidecar_path};
use intact_format::kv_type::KvType;
use intact_format::parameters::{ContextParameters, FlashAttentionMode, RopeScalingType};
use intact_format::route::{LoadPolicy, Route};
use intact_format::session::read;
use intact_format::version::FormatVersion;

use crate::support::{
    FAMILIES, TURNS, context, converse, engine, load, options, per_family, save, say, score, start,
    uninterrupted, with_context, with_parameters,
};

/// Saves what `prepare` made of a session, loads it into another engine, and compares both with one that was not saved.
fn comes_back(model: &str, what: &str, prepare: impl Fn(&mut Engine)) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.json");
    let mut writer = engine(model);
    prepare(&mut writer);
    save(&mut writer, "it", &file);
    let mut reader = engine(model);
    let receipt = load(&mut reader, &file).receipt;
    assert_eq!(receipt.route, Route::Direct, "{model}, {what}: {receipt:?}");
    assert!(receipt.tokens_evaluated <= 1, "{model}, {what}: {receipt:?}");

    let mut control = engine(model);
    prepare(&mut control);
    for engine in [&mut writer, &mut reader, &mut control] {
        say(engine, "it", ("One more thing.", "Yes?"));
    }
    let expected = score(&mut control, "it");
    assert!(score(&mut writer, "it") == expected, "{model}, {what}: the session that was saved");
    assert!(score(&mut reader, "it") == expected, "{model}, {what}: the session that was loaded");
}

fn a_session_comes_back_from_every_moment_of_its_life(model: &str) {
    comes_back(model, "empty", |engine| {
        let options = StartOptions::default().id("it");
        engine.start(options).expect("started");
    });
    comes_back(model, "a system prompt alone", |engine| start(engine, "it"));
    comes_back(model, "after one turn", |engine| {
        start(engine, "it");
        say(engine, "it", TURNS[0]);
    });
    comes_back(model, "after several turns", |engine| converse(engine, "it"));
    comes_back(model, "with its last token evaluated", |engine| {
        converse(engine, "it");
        score(engine, "it");
    });
    comes_back(model, "after a cancelled reply", |engine| {
        converse(engine, "it");
        let cancel = CancelToken::new();
        cancel.cancel();
        let generation = Generation::default().cancel(cancel);
        engine.send_to("it", "Never mind.", &generation, &mut |_| {}).expect_err("cancelled");
    });
}

per_family!(a_session_comes_back_from_every_moment_of_its_life);

#[test]
fn saving_again_writes_only_what_is_new() {
    for model in ["llama", "qwen2", "qwen3"] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("grows.json");
        let mut engine = engine(model);
        converse(&mut engine, "grows");
        for turn in TURNS {
            say(&mut engine, "grows", turn);
        }
        let first = engine.save("grows", &SaveOptions::to(&file)).expect("saved");
        say(&mut engine, "grows", ("Thanks.", "You are welcome."));
        let second = engine.save("grows", &SaveOptions::to(&file)).expect("saved again");
        let third = engine.save("grows", &SaveOptions::to(&file)).expect("and again");
        assert!(second.bytes < first.bytes, "{model}: {} then {}", first.bytes, second.bytes);
        let document = file.metadata().expect("a file").len();
        assert!(third.bytes <= document + 64, "{model}: nothing is new, {} bytes written", third.bytes);
        assert_eq!(load(&mut engine, &file).receipt.route, Route::Direct, "{model}");
    }
}

fn a_save_and_a_load_in_the_middle_of_a_session_change_nothing(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("relay.json");
    let mut runner = engine(model);
    start(&mut runner, "relay");
    for turn in TURNS {
        say(&mut runner, "relay", turn);
        save(&mut runner, "relay", &file);
        save(&mut runner, "relay", &file);
        runner = engine(model);
        load(&mut runner, &file);
        save(&mut runner, "relay", &file);
    }
    assert!(score(&mut runner, "relay") == uninterrupted(model), "{model}");
}

per_family!(a_save_and_a_load_in_the_middle_of_a_session_change_nothing);

#[test]
fn a_session_that_has_left_its_window_comes_back() {
    let window = ContextParameters { swa_full: Some(false), n_ubatch: Some(64), ..context(1024) };
    for model in FAMILIES {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("long.json");
        let engine = |model| with_context(model, window.clone());
        let mut writer = engine(model);
        let mut control = engine(model);
        for engine in [&mut writer, &mut control] {
            start(engine, "long");
            for turn in TURNS.into_iter().cycle().take(8) {
                say(engine, "long", turn);
            }
        }
        save(&mut writer, "long", &file);
        let mut reader = engine(model);
        assert_eq!(load(&mut reader, &file).receipt.route, Route::Direct, "{model}");
        let expected = score(&mut control, "long");
        assert!(score(&mut reader, "long") == expected, "{model}");
        assert!(score(&mut writer, "long") == expected, "{model}");
    }
}

#[test]
fn a_window_cache_that_has_wrapped_around_comes_back_bit_by_bit() {
    for mode in [FlashAttentionMode::Enabled, FlashAttentionMode::Disabled] {
        let window = ContextParameters {
            swa_full: Some(false),
            n_ubatch: Some(64),
            flash_attention_mode: Some(mode),
            ..context(2048)
        };
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("round.json");
        let conversation = |turns: usize| {
            let mut engine = with_context("gemma3", window.clone());
            start(&mut engine, "round");
            TURNS.into_iter().cycle().take(turns).for_each(|turn| say(&mut engine, "round", turn));
            engine
        };
        for turns in [4, 9, 12, 15, 18, 20] {
            let mut writer = conversation(turns);
            save(&mut writer, "round", &file);
            let mut reader = with_context("gemma3", window.clone());
            let receipt = load(&mut reader, &file).receipt;
            assert_eq!(receipt.route, Route::Direct, "{mode:?}, {turns} turns: {receipt:?}");
            let expected = score(&mut conversation(turns), "round");
            assert!(score(&mut reader, "round") == expected, "{mode:?}, {turns} turns");
        }
    }
}

fn sampling_goes_on_as_the_uninterrupted_session_would(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dice.json");
    let lively = |parameters: &mut intact_format::parameters::Parameters| {
        parameters.sampler_parameters.temperature = 1.3;
        parameters.sampler_parameters.top_k = 0;
    };
    let mut writer = with_parameters(model, lively);
    start(&mut writer, "dice");
    say(&mut writer, "dice", TURNS[0]);
    save(&mut writer, "dice", &file);
    let mut reader = engine(model);
    load(&mut reader, &file);
    let generation = Generation::default().max_tokens(64);
    let here = writer.send_to("dice", "Roll.", &generation, &mut |_| {}).expect("a reply");
    let there = reader.send_to("dice", "Roll.", &generation, &mut |_| {}).expect("a reply");
    assert_eq!(here.text, there.text, "{model}");
    assert_eq!(
        writer.session("dice").expect("live").timeline().tokens(),
        reader.session("dice").expect("live").timeline().tokens(),
        "{model}"
    );
}

per_family!(sampling_goes_on_as_the_uninterrupted_session_would);

#[test]
fn a_model_that_says_nothing_sound_is_saved_without_its_kv() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mute.json");
    let nonsense = ContextParameters { rope_freq_base: Some(-1.0), ..context(512) };
    let mut engine = with_context("llama", nonsense);
    start(&mut engine, "mute");
    say(&mut engine, "mute", TURNS[0]);
    let saved = engine.save("mute", &SaveOptions::to(&file)).expect("saved");
    assert_eq!((saved.files.len(), saved.notes.len()), (1, 1), "{saved:?}");
    assert_eq!(load(&mut engine, &file).receipt.route, Route::Reprefilled);
}

#[test]
fn settings_that_llama_cpp_would_hang_or_abort_at_are_refused_or_replaced() {
    let zeros = ContextParameters {
        n_batch: Some(0),
        n_seq_max: Some(0),
        n_threads: Some(0),
        n_threads_batch: Some(0),
        ..context(512)
    };
    let mut engine = with_context("llama", zeros);
    start(&mut engine, "zeros");
    say(&mut engine, "zeros", TURNS[0]);
    for excessive in [
        ContextParameters { n_threads: Some(100_000), ..context(512) },
        ContextParameters { n_seq_max: Some(257), ..context(512) },
    ] {
        let refused = with_context("llama", excessive).start(StartOptions::default());
        assert_eq!(refused.expect_err("too much").code(), Some("parameters-invalid"));
    }
}

/// The sizes are each usual; what they ask for together is gigabytes on a model that people use.
#[test]
fn a_file_that_asks_for_many_whole_contexts_is_refused_unless_they_were_asked_for_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.json");
    let trained = engine("llama").model().n_ctx_train();
    let many = ContextParameters { n_seq_max: Some(9), ..context(trained) };
    let mut writer = with_context("llama", many.clone());
    start(&mut writer, "it");
    say(&mut writer, "it", TURNS[0]);
    save(&mut writer, "it", &file);

    let refused = engine("llama").load(&file, &LoadOptions::default()).expect_err("too much");
    assert_eq!(refused.code(), Some("parameters-invalid"), "{refused}");
    assert!(refused.to_string().contains("ContextSize times NSeqMax"), "{refused}");
    let receipt = load(&mut with_context("llama", many), &file).receipt;
    assert_eq!(receipt.route, Route::Direct, "{receipt:?}");
}

#[test]
fn an_engine_can_live_on_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    sendable(&engine("llama"));
}

#[test]
fn the_default_file_is_the_id_with_json_behind_it() {
    assert_eq!(sidecar_path("a/b.json".as_ref()), std::path::Path::new("a/b.kv"));
    let mut engine = engine("llama");
    start(&mut engine, "by-default");
    let saved = engine.save("by-default", &SaveOptions::default()).expect("saved");
    let expected = std::path::Path::new("by-default.json");
    let existed = saved.files.iter().map(fs::remove_file).all(|removed| removed.is_ok());
    assert_eq!((saved.path.as_path(), existed), (expected, true));
}

#[test]
fn every_cache_type_and_layout_comes_back() {
    let q8 = ContextParameters { type_k: Some(KvType::Q8_0), type_v: Some(KvType::Q8_0), ..context(1024) };
    let q4 = ContextParameters { type_k: Some(KvType::Q4_0), type_v: Some(KvType::Q4_0), ..context(1024) };
    let off = ContextParameters { flash_attention_mode: Some(FlashAttentionMode::Disabled), ..context(1024) };
    let streams = ContextParameters { n_seq_max: Some(3), kv_unified: Some(false), ..context(512) };
    let unified = ContextParameters { n_seq_max: Some(3), kv_unified: Some(true), ..context(512) };
    let window = ContextParameters { swa_full: Some(false), ..context(1024) };
    for parameters in [q8, q4, off, streams, unified, window] {
        for model in FAMILIES {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("typed.json");
            let mut writer = with_context(model, parameters.clone());
            converse(&mut writer, "typed");
            save(&mut writer, "typed", &file);
            let mut reader = with_context(model, parameters.clone());
            let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
            reader.load(&file, &strict).unwrap_or_else(|error| panic!("{model}, {parameters:?}: {error}"));
            let expected = score(&mut writer, "typed");
            assert!(score(&mut reader, "typed") == expected, "{model}, {parameters:?}");
        }
    }
}

#[test]
fn a_context_with_a_yarn_of_its_own_changes_nothing_for_later_sessions() {
    let mut engine = with_context("llama", context(0));
    let before = engine.survey().expect("a survey").passport;
    let mut parameters = engine.parameters().clone();
    let stretched = &mut parameters.context_parameters;
    stretched.rope_scaling_type = Some(RopeScalingType::Yarn);
    stretched.rope_freq_scale = Some(0.25);
    let mut other =
        Engine::create(options("llama").context(ContextParameters::default())).expect("an engine");
    let passport = |engine: &mut Engine| {
        let passport = engine.survey().expect("a survey").passport;
        (passport.rope, passport.cache, engine.model().n_ctx_train())
    };
    let usual = passport(&mut other);
    other.start(StartOptions::default().parameters(parameters)).expect("started");
    assert_eq!(passport(&mut other), usual);
    assert_eq!((before.rope, before.cache.n_ctx), (usual.0, engine.model().n_ctx_train()));
    // 0 is the trained length, which llama.cpp would have changed by now.
    let mut zero = other.parameters().clone();
    zero.context_parameters.context_size = Some(0);
    let id = other.start(StartOptions::default().parameters(zero)).expect("started");
    let n_ctx = other.session(id.as_str()).expect("live").timeline().context().n_ctx();
    assert_eq!(n_ctx, engine.model().n_ctx_train());
}

#[cfg(unix)]
#[test]
fn a_model_file_that_is_written_to_while_it_is_in_use_gives_no_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model.gguf");
    fs::copy(intact_fixtures::cached("llama").expect("a model"), &model).expect("copied");
    let mut engine = Engine::create(options("llama").model(model.clone())).expect("an engine");
    converse(&mut engine, "it");
    let file = folder.path().join("it.json");
    let saved = |engine: &mut Engine| {
        let saved = engine.save("it", &SaveOptions::to(&file)).expect("saved");
        let document =
            read(&fs::read(&file).expect("bytes"), FormatVersion::CURRENT).expect("a document").document;
        (document.image.is_some(), saved.notes.concat())
    };
    assert_eq!(saved(&mut engine), (true, String::new()));
    fs::set_permissions(&model, fs::metadata(&model).expect("a file").permissions()).expect("touched");
    assert!(saved(&mut engine).0, "its content is the same");

    let times = fs::metadata(&model).expect("a file").modified().expect("a time");
    let written = fs::File::options().write(true).open(&model).expect("open");
    std::os::unix::fs::FileExt::write_all_at(&written, b"!", 40).expect("written");
    written.set_modified(times).expect("set back");
    let (image, notes) = saved(&mut engine);
    assert!(!image && notes.contains("written to since it was loaded"), "{notes}");
}
