//! Damaged, swapped, forged: refused or evaluated again, and live sessions stay bit by bit as they were.

use std::fs;
use std::path::Path;

use intact_engine::{Engine, Hooks, LoadOptions, SaveOptions, sidecar_path};
use intact_format::kv_type::KvType;
use intact_format::parameters::{ContextParameters, FlashAttentionMode};
use intact_format::route::{LoadPolicy, Route};
use intact_format::session::read;
use intact_format::version::FormatVersion;

use crate::support::{
    FAMILIES, TURNS, context, converse, engine, forge, load, options, per_family, refusal, save, say, score,
    start, uninterrupted, with_context,
};

type Damage = fn(&Path);

fn change(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("bytes");
    edit(&mut bytes);
    fs::write(path, bytes).expect("written");
}

const DOCUMENT_DAMAGE: [(&str, Damage); 6] = [
    ("gone", |file| fs::remove_file(file).expect("removed")),
    ("empty", |file| change(file, Vec::clear)),
    ("cut in half", |file| change(file, |bytes| bytes.truncate(bytes.len() / 2))),
    ("a digit flipped in the middle", |file| {
        change(file, |bytes| {
            let middle = bytes.len() / 2;
            let digit = (middle..bytes.len()).find(|&at| bytes[at].is_ascii_digit()).expect("a digit");
            bytes[digit] ^= 1;
        });
    }),
    ("another word said", |file| {
        let text = fs::read_to_string(file).expect("text");
        fs::write(file, text.replace("sunny", "rainy")).expect("written");
    }),
    ("not a session at all", |file| fs::write(file, b"{\"hello\": 1}").expect("written")),
];

const IMAGE_DAMAGE: [(&str, Damage); 5] = [
    ("gone", |file| fs::remove_file(sidecar_path(file)).expect("removed")),
    ("empty", |file| change(&sidecar_path(file), Vec::clear)),
    ("cut in half", |file| change(&sidecar_path(file), |bytes| bytes.truncate(bytes.len() / 2))),
    ("a bit flipped in the middle", |file| {
        change(&sidecar_path(file), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        });
    }),
    ("all its bytes changed", |file| {
        change(&sidecar_path(file), |bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte));
    }),
];

fn a_damaged_document_is_refused_and_the_live_session_stays_as_it_was(model: &str) {
    for (what, damage) in DOCUMENT_DAMAGE {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.json");
        let mut engine = engine(model);
        converse(&mut engine, "it");
        save(&mut engine, "it", &file);
        damage(&file);
        refusal(&mut engine, &file, &LoadOptions::default());
        assert!(score(&mut engine, "it") == uninterrupted(model), "{model}: {what}");
    }
}

per_family!(a_damaged_document_is_refused_and_the_live_session_stays_as_it_was);

#[test]
fn a_damaged_image_is_refused_where_nothing_else_is_allowed_and_the_live_session_stays_as_it_was() {
    let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
    let understood = FAMILIES.into_iter().map(|model| (model, false));
    for (model, forget_layouts) in understood.chain([("gemma3", true)]) {
        for (what, damage) in IMAGE_DAMAGE {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("it.json");
            let options = options(model).hooks(Hooks { forget_layouts, ..Hooks::default() });
            let mut engine = Engine::create(options).expect("an engine");
            converse(&mut engine, "it");
            save(&mut engine, "it", &file);
            damage(&file);
            let code = refusal(&mut engine, &file, &strict);
            assert!(code.starts_with("image-"), "{model}: {what}: {code}");
            assert!(score(&mut engine, "it") == uninterrupted(model), "{model}: {what}");
            let receipt = load(&mut engine, &file).receipt;
            assert_eq!(receipt.route, Route::Reprefilled, "{model}: {what}");
            assert!(receipt.replaced, "{model}: {what}");
        }
    }
}

fn the_image_of_another_session_is_not_taken(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mine, other) = (folder.path().join("mine.json"), folder.path().join("other.json"));
    let mut engine = engine(model);
    converse(&mut engine, "mine");
    start(&mut engine, "other");
    say(&mut engine, "other", TURNS[2]);
    save(&mut engine, "mine", &mine);
    save(&mut engine, "other", &other);
    fs::copy(sidecar_path(&other), sidecar_path(&mine)).expect("swapped");
    assert_eq!(load(&mut engine, &mine).receipt.route, Route::Reprefilled, "{model}");
}

per_family!(the_image_of_another_session_is_not_taken);

#[test]
fn a_forged_image_is_found_before_a_conversion_could_hide_it() {
    for model in FAMILIES.into_iter().filter(|model| *model != "mamba2") {
        let folder = tempfile::tempdir().expect("a folder");
        let (mine, other) = (folder.path().join("mine.json"), folder.path().join("other.json"));
        let mut writer = engine(model);
        converse(&mut writer, "mine");
        start(&mut writer, "other");
        // One token at the beginning: what it changes at the end is less than what quantizing does.
        let (question, reply) = TURNS[0];
        say(&mut writer, "other", (&question.replace('?', "!"), reply));
        TURNS[1..].iter().for_each(|turn| say(&mut writer, "other", *turn));
        save(&mut writer, "mine", &mine);
        save(&mut writer, "other", &other);
        let theirs = read(&fs::read(&other).expect("bytes"), FormatVersion::CURRENT).expect("a document");
        forge(&mine, |document| document.image = theirs.document.image);
        fs::copy(sidecar_path(&other), sidecar_path(&mine)).expect("swapped");
        let mut reader = with_context(
            model,
            ContextParameters {
                type_k: Some(KvType::Q4_0),
                type_v: Some(KvType::Q4_0),
                flash_attention_mode: Some(FlashAttentionMode::Enabled),
                ..context(1024)
            },
        );
        let receipt = load(&mut reader, &mine).receipt;
        assert_eq!(receipt.route, Route::Reprefilled, "{model}: {receipt:?}");
        assert!(receipt.because.contains("before any conversion"), "{model}: {}", receipt.because);
    }
}

fn a_session_that_does_not_say_what_it_said_is_refused(model: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.json");
    let mut engine = engine(model);
    converse(&mut engine, "it");
    save(&mut engine, "it", &file);
    forge(&file, |document| {
        let canary = document.canary.as_mut().expect("a canary");
        canary.top_k.iter_mut().for_each(|top| top.logit += 3.0);
    });
    assert_eq!(refusal(&mut engine, &file, &LoadOptions::default()), "canary-failed", "{model}");
    assert!(score(&mut engine, "it") == uninterrupted(model), "{model}");
}

per_family!(a_session_that_does_not_say_what_it_said_is_refused);

#[test]
fn tokens_that_the_vocabulary_does_not_have_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("it.json");
    let mut engine = engine("llama");
    converse(&mut engine, "it");
    let older = SaveOptions::to(&file).format(FormatVersion::V1_1);
    engine.save("it", &older).expect("saved");
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs::read(&file).expect("bytes")).expect("JSON");
    *document.pointer_mut("/History/1/TokenIds/0").expect("a token") = 1_000_000.into();
    fs::write(&file, document.to_string()).expect("written");
    assert_eq!(refusal(&mut engine, &file, &LoadOptions::default()), "tokenizer-differs");
    assert!(score(&mut engine, "it") == uninterrupted("llama"));
}
