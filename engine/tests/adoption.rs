//! Adopting what llama.cpp releases wrote on their own: the golden sequence files of seven of them, with the newest one
//! alone, and everything that must be refused.

use std::fs;
use std::path::{Path, PathBuf};

use intact_engine::llama::Container as Kept;
use intact_engine::{
    AdoptOptions, Adopted, Engine, Generation, Hooks, LoadOptions, Message, SaveOptions, StartOptions,
    TemplateInputs, ToolCall,
};
use intact_format::foreign::ForeignFile;
use intact_format::kv_type::KvType;
use intact_format::layout::{CacheFormat, Container, Layout, Rotation, Section, encode, parse};
use intact_format::message::Role;
use intact_format::parameters::ContextParameters;
use intact_format::route::{Refusal, RefusalCode, Route};
use tempfile::TempDir;

const RELEASES: [&str; 7] = ["b5686", "b7119", "b8233", "b8783", "b10410", "0.4.1", "0.6.0"];
const FORMS: [&str; 6] = ["f16", "f16-turned", "q8_0", "q8_0-turned", "q4_0", "q8_0-windowed"];

/// A folder for one test's files, and engines over fixture models.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    }
}

fn engine_with(model: &str, context: ContextParameters) -> Engine {
    let folder = intact_fixtures::default_dir().expect("a folder for models");
    let model = intact_fixtures::ensure(model, &folder).expect("a fixture model");
    Engine::builder(model).context(context).build().expect("an engine")
}

fn small() -> ContextParameters {
    ContextParameters {
        context_size: Some(256),
        n_threads: Some(1),
        n_threads_batch: Some(1),
        ..ContextParameters::default()
    }
}

fn engine(model: &str) -> Engine {
    engine_with(model, small())
}

fn golden(release: &str, form: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/releases");
    folder.join(release).join(form).with_extension("ggsq")
}

fn model_of(form: &str) -> &'static str {
    if form.ends_with("windowed") { "gemma3" } else { "llama" }
}

fn adopt(engine: &mut Engine, path: &Path) -> Adopted {
    engine
        .adopt(path, &AdoptOptions::default().id("adopted"))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn refusal(engine: &mut Engine, path: &Path) -> Refusal {
    refused_with(engine, path, &AdoptOptions::default())
}

fn refused_with(engine: &mut Engine, path: &Path, options: &AdoptOptions) -> Refusal {
    let before = engine.sessions().count();
    let error = engine.adopt(path, options).expect_err("refused");
    assert_eq!(engine.sessions().count(), before, "live sessions are as they were");
    error.refusal().cloned().unwrap_or_else(|| panic!("a typed refusal instead of {error}"))
}

#[test]
fn sequence_files_of_every_release_become_sessions_that_load_directly() {
    let bench = Bench::new();
    for release in RELEASES {
        for form in FORMS {
            let what = format!("{form} of {release}");
            let mut reader = engine(model_of(form));
            let adopted = adopt(&mut reader, &golden(release, form));
            println!("{what}: {}", adopted.proof);
            let path = bench.folder.path().join(format!("{release}-{form}.json"));
            reader.save("adopted", &SaveOptions::to(&path)).expect("saved");

            let loaded = engine(model_of(form)).load(&path, &LoadOptions::default()).expect("loaded");
            let receipt = loaded.receipt;
            assert_eq!(
                (receipt.route, receipt.tokens_evaluated),
                (Route::Direct, 1),
                "{what}: {}",
                receipt.because
            );
            assert_eq!(receipt.canary.expect("a canary").max_abs, 0.0, "{what}");
            let origin = receipt.axes.iter().find(|axis| axis.axis.name() == "migrations").expect("the axis");
            assert!(origin.saved.contains("sequence file"), "{what}: {}", origin.saved);
        }
    }
}

#[test]
fn a_sequence_file_says_only_which_releases_may_have_written_it() {
    let writers = |release, form| adopt(&mut engine(model_of(form)), &golden(release, form)).writers;
    let before = "a llama.cpp release with the state layout of b5913 or b8215";
    let rotated = "a llama.cpp release with the state layout of b8619 or b9028";
    assert!(writers("b8233", "q8_0").starts_with(before));
    assert_eq!(writers("b8783", "q8_0"), rotated);
    assert_eq!(writers("b10410", "q4_0"), rotated);
    assert_eq!(
        writers("b8783", "f16"),
        format!("{before} or b8619 or b9028"),
        "without rotation it is all the same"
    );
    assert_eq!(writers("b5686", "f16"), "a llama.cpp release with the state layout of b5485");
    assert_eq!(writers("0.6.0", "q8_0"), "a llama.cpp release with the state layout of 0.6.0");
}

/// The very bytes of a release that rotates, turned back as `LLAMA_ATTN_ROT_DISABLE=1` writes them: the same version, the
/// same length, nothing in the file tells.
#[test]
fn a_state_written_with_rotation_turned_off_is_recognised_by_its_numbers() {
    let bench = Bench::new();
    for form in ["q8_0", "q4_0"] {
        let bytes = fs::read(golden("b8783", form)).expect("a golden file");
        let turned_off = bench
            .file(form, &rewritten(&bytes, "b8619", Rotation { keys: 64, values: 64 }, Rotation::default()));
        assert_eq!(fs::read(&turned_off).expect("it").len(), bytes.len());
        let right = adopt(&mut engine("llama"), &turned_off);
        assert!(right.proof.allowed.admits(&right.proof.cells), "{form}: {}", right.proof);

        // What no release writes is no reading: rotated twice by another size.
        let other = Rotation { keys: 32, values: 32 };
        let garbled = bench.file(form, &rewritten(&bytes, "b8619", Rotation { keys: 64, values: 64 }, other));
        let refusal = refusal(&mut engine("llama"), &garbled);
        assert_eq!(refusal.code, RefusalCode::RecomputationDiffers, "{form}: {refusal}");
    }
}

/// A sequence file of this layout with its K and V in another rotation, and no word about it.
fn rewritten(bytes: &[u8], layout: &str, from: Rotation, to: Rotation) -> Vec<u8> {
    let file = ForeignFile::read(bytes).expect("a sequence file");
    let layout = Layout::by_id(layout).expect("a layout");
    let fit = file.fits().into_iter().find(|fit| fit.layout == layout).expect("it fits");
    let mut state = parse(file.state, layout, &fit.shape, Container::File).expect("a state");
    for section in &mut state.sections {
        let Section::Attention(cache) = section else { panic!("attention") };
        cache.rotation = Some(from);
        let format = cache.format().expect("a format");
        *cache = cache.convert(&CacheFormat { rotation: to, ..format }).expect("converted").section;
    }
    let mut out = bytes[..file.state_offset].to_vec();
    out.extend(encode(&state, layout, Container::File).expect("bytes"));
    out
}

#[test]
fn other_weights_of_the_same_shape_are_refused() {
    for form in ["f16", "q8_0", "q4_0"] {
        for model in ["llama-other", "llama-q4_0"] {
            let refusal = refusal(&mut engine(model), &golden("0.6.0", form));
            assert_eq!(refusal.code, RefusalCode::RecomputationDiffers, "{form} with {model}: {refusal}");
        }
    }
}

#[test]
fn a_model_of_another_shape_is_refused() {
    for (model, codes) in [
        ("qwen3", [RefusalCode::ModelDiffers, RefusalCode::RecomputationDiffers]),
        ("gemma3", [RefusalCode::ModelDiffers; 2]),
        ("mamba2", [RefusalCode::ModelDiffers; 2]),
    ] {
        let refusal = refusal(&mut engine(model), &golden("0.6.0", "f16"));
        assert!(codes.contains(&refusal.code), "{model}: {refusal}");
    }
}

#[test]
fn another_type_than_the_one_asked_for_is_refused() {
    let q8_0 = ContextParameters { type_k: Some(KvType::Q8_0), type_v: Some(KvType::Q8_0), ..small() };
    let refusal = refusal(&mut engine_with("llama", q8_0), &golden("0.6.0", "f16"));
    assert_eq!(refusal.code, RefusalCode::KvTypeDiffers, "{refusal}");
    assert!(refusal.message.contains("f16") && refusal.message.contains("q8_0"), "{refusal}");
}

#[test]
fn a_state_that_is_cut_short_is_refused_wherever_it_ends() {
    let bench = Bench::new();
    let bytes = fs::read(golden("0.6.0", "f16")).expect("a golden file");
    let mut engine = engine("llama");
    for kept in [0, 3, 11, 40, bytes.len() / 2, bytes.len() - 1] {
        let refusal = refusal(&mut engine, &bench.file("short", &bytes[..kept]));
        let codes = [RefusalCode::StateTruncated, RefusalCode::StateUnknown, RefusalCode::NotAState];
        assert!(codes.contains(&refusal.code), "{kept} bytes: {refusal}");
    }
    let longer = [&bytes[..], &[0; 4]].concat();
    let refusal = refusal(&mut engine, &bench.file("long", &longer));
    assert_eq!(refusal.code, RefusalCode::StateUnknown, "{refusal}");
}

/// A sequence file with other tokens.
fn with_tokens(bytes: &[u8], file: &ForeignFile<'_>, tokens: &[i32]) -> Vec<u8> {
    let count = u32::try_from(tokens.len()).expect("a few").to_le_bytes();
    let words: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    [&bytes[..8], &count, &words, file.state].concat()
}

#[test]
fn tokens_and_positions_that_are_not_those_of_the_cells_are_refused() {
    let bench = Bench::new();
    let mut engine = engine("llama");
    let bytes = fs::read(golden("0.6.0", "f16")).expect("a golden file");
    let file = ForeignFile::read(&bytes).expect("a sequence file");
    for (name, tokens, code) in [
        ("none", vec![], RefusalCode::TokensMissing),
        ("fewer", file.tokens[1..].to_vec(), RefusalCode::TokensDisagree),
        ("more", [&file.tokens[..], &[1, 2]].concat(), RefusalCode::TokensDisagree),
        ("stray", [&file.tokens[1..], &[99_999]].concat(), RefusalCode::TokenizerDiffers),
        ("other", file.tokens.iter().rev().copied().collect(), RefusalCode::RecomputationDiffers),
    ] {
        let refusal = refusal(&mut engine, &bench.file(name, &with_tokens(&bytes, &file, &tokens)));
        assert_eq!(refusal.code, code, "{name}: {refusal}");
    }
    // The position of the second cell, behind the first one's: position, one owner, its id.
    let mut shifted = bytes.clone();
    let second = file.state_offset + 8 + 12;
    assert_eq!(shifted[second..second + 4], 1_i32.to_le_bytes());
    shifted[second..second + 4].copy_from_slice(&7_000_i32.to_le_bytes());
    let refusal = refusal(&mut engine, &bench.file("shifted", &shifted));
    assert_eq!(refusal.code, RefusalCode::PositionsDisagree, "{refusal}");
}

#[test]
fn a_token_that_was_not_evaluated_yet_is_taken_along() {
    let bench = Bench::new();
    let bytes = fs::read(golden("0.6.0", "f16")).expect("a golden file");
    let file = ForeignFile::read(&bytes).expect("a sequence file");
    let tokens = [&file.tokens[..], &[5]].concat();
    let pending = with_tokens(&bytes, &file, &tokens);
    let adopted = adopt(&mut engine("llama"), &bench.file("pending", &pending));
    assert_eq!(adopted.tokens, tokens.len());
}

fn said() -> Vec<(Role, String)> {
    vec![(Role::User, "Where to?".into()), (Role::Assistant, "To the sea.".into())]
}

#[test]
fn the_conversation_is_the_one_given_or_one_message_of_the_tokens_text() {
    let path = golden("0.6.0", "f16");
    let mut with = engine("llama");
    let options = AdoptOptions::default().id("with").history(said());
    let adopted = with.adopt(&path, &options).expect("adopted");
    let session = with.session("with").expect("it");
    let messages: Vec<_> =
        session.chat().messages().iter().map(|message| (message.role, message.content.clone())).collect();
    assert_eq!(messages, said());
    assert!(
        adopted.notes.iter().any(|note| note.contains("2 messages given were found")),
        "{:?}",
        adopted.notes
    );
    with.send("And then?", &Generation::default().max_tokens(3).greedy(true), &mut |_| {})
        .expect("it goes on");

    let mut without = engine("llama");
    let adopted = adopt(&mut without, &path);
    let messages = without.session("adopted").expect("it").chat().messages().to_vec();
    assert_eq!((messages.len(), messages[0].role), (1, Role::Assistant));
    assert!(messages[0].content.contains("To the sea."), "{}", messages[0].content);
    assert!(
        adopted.notes.iter().any(|note| note.contains("one message of the assistant")),
        "{:?}",
        adopted.notes
    );

    let other = AdoptOptions::default()
        .history(vec![(Role::User, "Where to?".into()), (Role::Assistant, "To the hills.".into())]);
    let refusal = refused_with(&mut engine("llama"), &path, &other);
    assert_eq!(refusal.code, RefusalCode::HistoryDiffers, "{refusal}");
    assert!(refusal.message.contains("message 2"), "{refusal}");
}

/// Programs that chat keep a state before the last token of a reply is evaluated, and know its end from their chat alone.
#[test]
fn the_end_of_the_last_message_that_a_state_lacks_is_evaluated() {
    let bench = Bench::new();
    let mut writer = engine("llama");
    writer.start(StartOptions::default().id("kept")).expect("started");
    let forced = Generation::default().forced("To the sea.");
    writer.send_to("kept", "Where to?", &forced, &mut |_| {}).expect("said");
    let tokens = writer.session("kept").expect("it").timeline().tokens().to_vec();
    let path = bench.folder.path().join("kept.json");
    let [_, file] = writer.blind_save("kept", &path, Kept::SequenceFile).expect("kept");

    let mut reader = engine("llama");
    let options = AdoptOptions::default().id("kept").history(said());
    let adopted = reader.adopt(&file, &options).expect("adopted");
    assert_eq!((adopted.tokens, adopted.restored), (tokens.len(), tokens.len() - 2));
    assert_eq!(reader.session("kept").expect("it").timeline().tokens(), tokens);
    assert!(
        adopted
            .notes
            .iter()
            .any(|note| note.contains("The last 1 tokens of the last one are not in the state")),
        "{:?}",
        adopted.notes
    );
    let score = |engine: &mut Engine| {
        engine.session_mut("kept").expect("it").score("And then?", 4).expect("it goes on")
    };
    assert_eq!(score(&mut reader), score(&mut writer), "bit for bit");
}

#[test]
fn a_chat_with_tools_is_adopted_with_all_that_was_said() {
    const TEMPLATE: &str = "{{ tools | tojson if tools }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}\
        {% for c in m.tool_calls or [] %}{{ c.function.name }} {{ c.function.arguments }}{% endfor %}<|im_end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let knowing_tools = || {
        let folder = intact_fixtures::default_dir().expect("a folder for models");
        let model = intact_fixtures::ensure("llama", &folder).expect("a fixture model");
        let hooks = Hooks { chat_template: Some(TEMPLATE.to_owned()), ..Hooks::default() };
        let context = ContextParameters { context_size: Some(1024), ..small() };
        Engine::builder(model).context(context).hooks(hooks).build().expect("an engine")
    };
    let bench = Bench::new();
    let tools = r#"[{"type": "function", "function": {"name": "clock", "parameters": {}}}]"#;
    let inputs = TemplateInputs { tools: Some(tools.to_owned()), ..TemplateInputs::default() };
    let said = || {
        vec![
            Message::new(0, Role::User, "What time is it?"),
            Message::calling(vec![ToolCall::new("a", "clock", r#"{"in":  "Rome"}"#)]),
            Message::answering("a", "It is noon."),
            Message::new(0, Role::Assistant, "It is noon in Rome."),
        ]
    };
    let mut writer = knowing_tools();
    writer.start(StartOptions::default().id("kept").inputs(inputs.clone())).expect("started");
    writer.session_mut("kept").expect("it").add(said()).expect("added");
    let path = bench.folder.path().join("kept.json");
    let [_, file] = writer.blind_save("kept", &path, Kept::SequenceFile).expect("kept");

    let mut reader = knowing_tools();
    let options = AdoptOptions::default().id("kept").history(said()).inputs(inputs);
    let adopted = reader.adopt(&file, &options).expect("adopted");
    assert!(
        adopted.notes.iter().any(|note| note.contains("as the chat template frames them")),
        "{adopted:?}"
    );
    let everything = |engine: &Engine| {
        let session = engine.session("kept").expect("it");
        (session.chat().messages().to_vec(), session.inputs(), session.timeline().tokens().to_vec())
    };
    assert_eq!(everything(&reader), everything(&writer));
    reader.session_mut("kept").expect("it").score("And then?", 4).expect("it goes on");
}

#[test]
fn a_history_that_leaves_something_out_or_exchanges_the_roles_is_refused() {
    let bench = Bench::new();
    let mut writer = engine("llama");
    writer.start(StartOptions::default().id("kept")).expect("started");
    let turns = [("Where to?", "To the sea."), ("And then?", "Home again.")];
    for (text, reply) in turns {
        let forced = Generation::default().forced(reply);
        writer.send_to("kept", text, &forced, &mut |_| {}).expect("said");
    }
    let path = bench.folder.path().join("kept.json");
    let [_, file] = writer.blind_save("kept", &path, Kept::SequenceFile).expect("kept");
    let whole: Vec<(Role, String)> = turns
        .iter()
        .flat_map(|(text, reply)| [(Role::User, (*text).to_owned()), (Role::Assistant, (*reply).to_owned())])
        .collect();
    let with = |history: &[(Role, String)]| AdoptOptions::default().history(history.to_vec());
    let half = refused_with(&mut engine("llama"), &file, &with(&whole[..2]));
    assert_eq!(half.code, RefusalCode::HistoryDiffers, "{half}");
    assert!(half.message.contains("something else was said behind them"), "{half}");
    let exchanged: Vec<_> = whole
        .iter()
        .map(|(role, text)| (if *role == Role::User { Role::Assistant } else { Role::User }, text.clone()))
        .collect();
    let exchanged = refused_with(&mut engine("llama"), &file, &with(&exchanged));
    assert_eq!(exchanged.code, RefusalCode::HistoryDiffers, "{exchanged}");
    engine("llama").adopt(&file, &with(&whole)).expect("adopted");
}

#[test]
fn raw_states_need_a_history_and_session_files_name_their_architecture() {
    let bench = Bench::new();
    let mut writer = engine("llama");
    writer.start(StartOptions::default().id("kept")).expect("started");
    let forced = Generation::default().forced("To the sea.");
    writer.send_to("kept", "Where to?", &forced, &mut |_| {}).expect("said");
    let mut kept = |container, name: &str| {
        let path = bench.folder.path().join(name);
        writer.blind_save("kept", &path, container).expect("kept")[1].clone()
    };
    for (container, name) in [(Kept::RawSequence, "sequence.json"), (Kept::RawContext, "context.json")] {
        let raw = kept(container, name);
        let refusal = refusal(&mut engine("llama"), &raw);
        assert_eq!(refusal.code, RefusalCode::TokensMissing, "{name}: {refusal}");
        let options = AdoptOptions::default().id("raw").history(said());
        let adopted = engine("llama").adopt(&raw, &options).expect("adopted");
        assert!(adopted.what.starts_with("raw state"), "{}", adopted.what);
    }
    let session = kept(Kept::SessionFile, "session.json");
    let adopted = adopt(&mut engine("llama"), &session);
    assert!(adopted.what.starts_with("session file"), "{}", adopted.what);
    let refusal = refusal(&mut engine("qwen2"), &session);
    assert_eq!(refusal.code, RefusalCode::ModelDiffers, "{refusal}");
    assert!(refusal.message.contains("llama") && refusal.message.contains("qwen2"), "{refusal}");
}

#[test]
fn recurrent_and_hybrid_states_are_verified_and_kept() {
    let bench = Bench::new();
    for model in ["mamba2", "lfm2"] {
        let mut writer = engine(model);
        writer.start(StartOptions::default().id("kept")).expect("started");
        let forced = Generation::default().forced("To the sea.");
        writer.send_to("kept", "Where to?", &forced, &mut |_| {}).expect("said");
        let path = bench.folder.path().join(format!("{model}.json"));
        let [_, file] = writer.blind_save("kept", &path, Kept::SequenceFile).expect("kept");
        let mut reader = engine(model);
        let adopted = adopt(&mut reader, &file);
        println!("{model}: {}", adopted.proof);
        assert!(adopted.proof.cells.cells > 0, "{model}: something was compared");
        let other = refusal(&mut engine(&format!("{model}-other")), &file);
        assert_eq!(other.code, RefusalCode::RecomputationDiffers, "{model}: {other}");
    }
}

#[test]
fn what_is_no_state_of_llama_cpp_is_refused_as_such() {
    let bench = Bench::new();
    let mut engine = engine("llama");
    for bytes in [&b""[..], b"GGUF", b"{\"Version\": \"2.0\"}", &[0; 4096], &[0xff; 4096]] {
        let refusal = refusal(&mut engine, &bench.file("any", bytes));
        assert_eq!(refusal.code, RefusalCode::NotAState, "{bytes:?}: {refusal}");
    }
    let missing = refusal(&mut engine, &bench.folder.path().join("missing"));
    assert_eq!(missing.code, RefusalCode::FileNotFound);
}
