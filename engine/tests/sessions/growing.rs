//! Saving again: only what changed is written, and what is there together is the session's KV.

use std::fs;
use std::path::Path;

use intact_engine::llama::Part;
use intact_engine::{Engine, LoadOptions, Replace, SaveOptions, sidecar_path};
use intact_format::image::sidecar::Sidecar;
use intact_format::image::{CutOptions, ImageReference, Target, assemble, cut};
use intact_format::kv_type::KvType;
use intact_format::layout::Layout;
use intact_format::parameters::{CacheCleanupStrategy, ContextParameters, FlashAttentionMode};
use intact_format::route::{LoadPolicy, Route};
use intact_format::session::read;
use intact_format::version::FormatVersion;

use crate::support::{
    TURNS, context, converse, engine, load, options, per_family, say, score, start, with_context,
};

/// The KV of a saved session as one state, and the number of its chunks.
fn state(file: &Path) -> (Vec<u8>, usize) {
    let document =
        read(&fs::read(file).expect("bytes"), FormatVersion::CURRENT).expect("a document").document;
    let image = document.image.expect("an image");
    let ImageReference::Cells(cells) = &image else { panic!("{image:?}") };
    let layout = Layout::by_id(&cells.layout).expect("a layout");
    let chunks = Sidecar::open(sidecar_path(file)).expect("a sidecar").read_image(&image).expect("chunks");
    (assemble(&image, &chunks, &Target::blob(layout)).expect("one state"), chunks.len())
}

/// The KV of a live session whose last token is evaluated, without that token's: read as a whole and cut, not in parts.
fn live_state(engine: &mut Engine, id: &str) -> Vec<u8> {
    let probe = engine.survey().expect("a probe").probe;
    let here = probe.understood().expect("a known layout");
    let state = engine.session(id).expect("live").timeline().context().state(Part::Whole).expect("a state");
    let parsed = here.parse(state.bytes()).expect("understood");
    let options = CutOptions { drop_last: true, ..CutOptions::default() };
    let whole = cut(&parsed, here.layout, options).expect("cut");
    assemble(&whole.reference, &whole.chunks, &Target::blob(here.layout)).expect("one state")
}

/// Saves, and compares what is there together with the session's own state.
fn save_and_compare(engine: &mut Engine, id: &str, file: &Path, what: &str) {
    let options = SaveOptions::to(file).replace(Replace::Any);
    engine.save(id, &options).expect("saved");
    let there = state(file).0;
    if engine.session(id).expect("live").timeline().memory().can_be_cut() {
        assert!(there == live_state(engine, id), "{what}: the chunks are not the session's KV");
    }
    // Elsewhere there is nothing that could be kept.
    let folder = tempfile::tempdir().expect("a folder");
    let fresh = folder.path().join("fresh.json");
    engine.save(id, &SaveOptions::to(&fresh)).expect("saved elsewhere");
    assert!(there == state(&fresh).0, "{what}: another image than that of a first save");
}

/// What may happen to a session between two saves.
type Change = fn(&mut Engine, &Path);

const CHANGES: [(&str, Change); 9] = [
    ("nothing", |_, _| ()),
    ("a turn", |engine, _| say(engine, "it", TURNS[0])),
    ("a long turn", |engine, _| {
        let text = "What is there to see along the way? ".repeat(8);
        say(engine, "it", (&text, "Hills, mostly."));
    }),
    ("a rewind", |engine, _| {
        let session = engine.session_mut("it").expect("live");
        assert!(session.score("Not this.", 6).is_ok());
    }),
    ("a cancelled reply", |engine, _| {
        let cancel = intact_engine::cancel::CancelToken::new();
        cancel.cancel();
        let generation = intact_engine::Generation::default().cancel(cancel);
        engine.send_to("it", "Never mind.", &generation, &mut |_| {}).expect_err("cancelled");
    }),
    ("a clean-up of the oldest messages", |engine, _| {
        engine.clean_up(CacheCleanupStrategy::KeepSystemPromptAndHalf).expect("cleaned up");
        say(engine, "it", TURNS[1]);
    }),
    ("a load of what was saved", |engine, file| assert!(load(engine, file).receipt.replaced)),
    ("a load, and a turn", |engine, file| {
        load(engine, file);
        say(engine, "it", TURNS[2]);
    }),
    ("an older session in its place", |engine, file| {
        // A fork: the file goes on from another point than the live session.
        let folder = tempfile::tempdir().expect("a folder");
        let side = folder.path().join("side.json");
        engine.save("it", &SaveOptions::to(&side)).expect("saved");
        say(engine, "it", TURNS[0]);
        engine.save("it", &SaveOptions::to(file)).expect("saved");
        load(engine, &side);
        say(engine, "it", TURNS[1]);
    }),
];

#[test]
fn a_save_over_an_older_one_is_the_session_whatever_happened_in_between() {
    let q8 = ContextParameters { type_k: Some(KvType::Q8_0), type_v: Some(KvType::Q8_0), ..context(2048) };
    let transposed =
        ContextParameters { flash_attention_mode: Some(FlashAttentionMode::Disabled), ..context(2048) };
    let unified = ContextParameters { n_seq_max: Some(3), kv_unified: Some(true), ..context(1024) };
    let streams = ContextParameters { n_seq_max: Some(3), kv_unified: Some(false), ..context(2048) };
    for (model, parameters) in [
        ("llama", context(2048)),
        ("qwen2", q8),
        ("qwen3", transposed),
        ("llama", unified),
        ("llama", streams),
        ("gemma3", context(2048)),
        ("lfm2", context(2048)),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.json");
        let mut engine = with_context(model, parameters.clone());
        converse(&mut engine, "it");
        save_and_compare(&mut engine, "it", &file, "the first");
        for (what, change) in CHANGES {
            change(&mut engine, &file);
            save_and_compare(&mut engine, "it", &file, &format!("{model}, {parameters:?}: {what}"));
        }
        let mut reader = with_context(model, parameters.clone());
        let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
        let receipt = reader.load(&file, &strict).expect("loaded").receipt;
        assert_eq!(receipt.canary.map(|canary| canary.max_abs), Some(0.0), "{model}");
        assert!(score(&mut reader, "it") == score(&mut engine, "it"), "{model}, {parameters:?}");
    }
}

#[test]
fn many_short_turns_cost_what_is_new_and_do_not_leave_many_chunks() {
    for model in ["llama", "qwen3"] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.json");
        let mut engine = with_context(model, context(4096));
        start(&mut engine, "it");
        say(&mut engine, "it", (&"A long story about many people. ".repeat(60), "I see."));
        engine.save("it", &SaveOptions::to(&file)).expect("saved");
        let (mut written, mut tokens) = (0, 0);
        for _ in 0..24 {
            let before = engine.session("it").expect("live").timeline().tokens().len();
            say(&mut engine, "it", ("Go on.", "And then they left."));
            let saved = engine.save("it", &SaveOptions::to(&file)).expect("saved again");
            written += saved.bytes - file.metadata().expect("a file").len();
            tokens += saved.tokens - before;
        }
        let (bytes, chunks) = state(&file);
        let all = engine.session("it").expect("live").timeline().tokens().len();
        let of_one = bytes.len() as u64 / all as u64;
        // Every block is written again a few times at most.
        assert!(written < 4 * of_one * tokens as u64, "{model}: {written} bytes for {tokens} tokens");
        assert!(chunks <= 4 * all.div_ceil(256), "{model}: {chunks} chunks for {all} tokens");
        let mut reader = with_context(model, context(4096));
        assert_eq!(load(&mut reader, &file).receipt.route, Route::Direct, "{model}");
        assert!(score(&mut reader, "it") == score(&mut engine, "it"), "{model}");
    }
}

fn what_the_place_has_lost_is_written_again(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.json");
    let mut engine = engine(model);
    converse(&mut engine, "it");
    engine.save("it", &SaveOptions::to(&file)).expect("saved");
    fs::remove_file(sidecar_path(&file)).expect("removed");
    save_and_compare(&mut engine, "it", &file, model);
    // Another session's file, which has none of the chunks.
    start(&mut engine, "other");
    say(&mut engine, "other", TURNS[2]);
    let options = SaveOptions::to(&file).replace(Replace::Any);
    engine.save("other", &options).expect("saved over it");
    save_and_compare(&mut engine, "it", &file, model);
    assert_eq!(load(&mut engine, &file).receipt.route, Route::Direct, "{model}");
}

per_family!(what_the_place_has_lost_is_written_again);

fn a_context_that_another_session_has_left_is_as_good_as_a_new_one(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.json");
    let mut kept = Engine::create(options(model).spare_contexts(1)).expect("an engine");
    converse(&mut kept, "it");
    kept.save("it", &SaveOptions::to(&file)).expect("saved");
    start(&mut kept, "other");
    say(&mut kept, "other", TURNS[2]);
    for _ in 0..3 {
        kept.close("other").expect("closed");
        let receipt = load(&mut kept, &file).receipt;
        assert_eq!((receipt.route, receipt.replaced), (Route::Direct, true), "{model}");
        converse(&mut kept, "other");
    }
    let mut control = engine(model);
    converse(&mut control, "it");
    let expected = score(&mut control, "it");
    assert!(score(&mut kept, "it") == expected, "{model}: the session that was loaded");
    assert!(score(&mut kept, "other") == expected, "{model}: the session that was started");
}

per_family!(a_context_that_another_session_has_left_is_as_good_as_a_new_one);
