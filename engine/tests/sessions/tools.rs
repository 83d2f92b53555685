//! Chats with tools and reasoning: saved in the middle, loaded elsewhere, and continued as if nothing had happened.

use std::fs;
use std::path::Path;

use intact_engine::{
    Axis, Details, Engine, EngineError, EngineOptions, Generation, Hooks, LoadOptions, Message, Role, Route,
    SaveOptions, StartOptions, TemplateInputs, ToolCall,
};
use intact_format::message::KvStatus;
use intact_format::parameters::CacheCleanupStrategy;
use intact_format::session::read;
use intact_format::version::FormatVersion;
use serde::Deserialize;

use crate::support::{context, converse, engine, options, per_family, save, score};

const TOOLS: &str = r#"[
    {"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
]"#;

/// Small templates in the manner of public ones: see `engine/src/template/tools.toml`.
#[derive(Deserialize)]
struct Templates {
    feature: Vec<Feature>,
}

#[derive(Deserialize)]
struct Feature {
    name: String,
    source: String,
    arguments: Option<String>,
}

fn features() -> Vec<Feature> {
    let table = include_str!("../../src/template/tools.toml");
    toml::from_str::<Templates>(table).expect("a table of templates").feature
}

fn feature(name: &str) -> Feature {
    features().into_iter().find(|feature| feature.name == name).expect("a feature of that name")
}

fn with_template(model: &str, source: &str) -> EngineOptions {
    let hooks = Hooks { chat_template: Some(source.to_owned()), ..Hooks::default() };
    options(model).context(context(4096)).hooks(hooks)
}

fn open(model: &str, feature: &Feature) -> Engine {
    Engine::create(with_template(model, &feature.source)).expect("an engine")
}

fn inputs(feature: &Feature) -> TemplateInputs {
    TemplateInputs { tools: Some(TOOLS.to_owned()), arguments: feature.arguments.clone(), date: None }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall::new(id, name, arguments)
}

/// A part of the conversation.
type Step = fn(&mut Engine, &Feature);

/// A developer and a question, two calls after some thinking, the answer to one of them; the other answer and what is said
/// then; another question, a third call, its answer, and what is said then.
const STEPS: [Step; 6] = [
    |engine, feature| {
        let options = StartOptions::default().id("tools").system_prompt("Be brief.").inputs(inputs(feature));
        engine.start(options).expect("started");
        let asked = [
            Message::new(0, Role::Developer, "Prefer metric units."),
            Message::new(0, Role::User, "How is it?"),
        ];
        tell(engine, asked, "<call>weather in two cities</call>");
        let calls = vec![
            call("call00001", "weather", r#"{"city": "Köln", "day":1}"#),
            call("call00002", "weather", r#"{"city":"Madrid"}"#),
        ];
        read_reply(engine, Message::calling(calls).with_reasoning("Ask both."));
    },
    |engine, _| {
        let answer = Message::answering("call00001", "21 °C");
        engine.session_mut("tools").expect("live").add([answer]).expect("added");
    },
    |engine, _| {
        tell(engine, [Message::answering("call00002", "33 °C")], "Warm. When do you go?");
        let read = Message::new(0, Role::Assistant, "Warm. When do you go?").with_reasoning("Answer.");
        read_reply(engine, read);
    },
    |engine, _| {
        tell(engine, [Message::new(0, Role::User, "Now?")], "<call>clock</call>");
        read_reply(engine, Message::calling(vec![call("call00003", "clock", "{}")]));
    },
    |engine, _| tell(engine, [Message::answering("call00003", "noon")], "It is noon there."),
    |engine, _| tell(engine, [Message::new(0, Role::User, "Thanks.")], "You are welcome."),
];

fn tell<const N: usize>(engine: &mut Engine, messages: [Message; N], reply: &str) {
    let session = engine.session_mut("tools").expect("live");
    session.tell(messages, &Generation::default().forced(reply), &mut |_| {}).expect("told");
}

fn read_reply(engine: &mut Engine, message: Message) {
    engine.session_mut("tools").expect("live").read_reply(message).expect("read");
}

/// All that a session says, with its tokens, and its next logits.
fn outcome(engine: &mut Engine) -> (Vec<Message>, Option<TemplateInputs>, Vec<Vec<u32>>) {
    let session = engine.session("tools").expect("live");
    let (messages, inputs) = (session.chat().messages().to_vec(), session.inputs());
    (messages, inputs, score(engine, "tools"))
}

fn restored_at_every_step_it_is_the_uninterrupted_session(model: &str, feature: &Feature) {
    let name = &feature.name;
    let mut control = open(model, feature);
    STEPS.iter().for_each(|step| step(&mut control, feature));
    let expected = outcome(&mut control);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tools.json");
    for after in 1..STEPS.len() {
        let mut writer = open(model, feature);
        STEPS[..after].iter().for_each(|step| step(&mut writer, feature));
        save(&mut writer, "tools", &file);
        drop(writer);
        let mut reader = open(model, feature);
        let loaded = reader.load(&file, &LoadOptions::default()).expect("loaded").receipt;
        assert_eq!((loaded.route, loaded.tokens_evaluated), (Route::Direct, 1), "{model}, {name}, {after}");
        let format = loaded.axes.iter().find(|axis| axis.axis == Axis::Format);
        assert!(format.is_none_or(|axis| axis.saved == axis.here), "{model}, {name}: {format:?}");
        STEPS[after..].iter().for_each(|step| step(&mut reader, feature));
        let found = outcome(&mut reader);
        assert_eq!((found.0, found.1), (expected.0.clone(), expected.1.clone()), "{model}, {name}, {after}");
        assert!(found.2 == expected.2, "{model}, {name}: other logits when restored after step {after}");
    }
}

fn a_chat_with_tools_goes_on_where_it_was_saved(model: &str) {
    let feature = feature("arguments as they are, in a text");
    restored_at_every_step_it_is_the_uninterrupted_session(model, &feature);
}

per_family!(a_chat_with_tools_goes_on_where_it_was_saved);

#[test]
fn it_does_under_every_template_that_is_known() {
    for feature in features() {
        restored_at_every_step_it_is_the_uninterrupted_session("llama", &feature);
    }
}

fn saved(feature: &Feature, steps: usize, folder: &Path) -> (Engine, std::path::PathBuf) {
    let mut engine = open("llama", feature);
    STEPS[..steps].iter().for_each(|step| step(&mut engine, feature));
    let file = folder.join("tools.json");
    save(&mut engine, "tools", &file);
    (engine, file)
}

#[test]
fn only_what_needs_the_newest_format_is_written_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut engine, file) = saved(&features()[0], 2, folder.path());
    let written = |file: &Path| {
        let bytes = fs::read(file).expect("bytes");
        read(&bytes, FormatVersion::CURRENT).expect("a session")
    };
    let whole = written(&file);
    assert_eq!(whole.written_as, FormatVersion::V2_2);
    assert_eq!(whole.document.passport.as_ref().map(|passport| passport.format), Some(FormatVersion::V2_2));
    let older = LoadOptions::default().reader_format(FormatVersion::V2_1);
    let refused = engine.load(&file, &older).expect_err("too new");
    assert_eq!(refused.code(), Some("format-too-new"));

    let plain = folder.path().join("plain.json");
    let mut other = Engine::create(options("llama")).expect("an engine");
    converse(&mut other, "plain");
    save(&mut other, "plain", &plain);
    let text = written(&plain);
    assert_eq!(text.written_as, FormatVersion::V2_1);
    assert_eq!(text.document.passport.map(|passport| passport.format), Some(FormatVersion::V2_1));

    let lower = folder.path().join("lower.json");
    let noted =
        engine.save("tools", &SaveOptions::to(&lower).format(FormatVersion::V2_1)).expect("saved").notes;
    assert!(noted.iter().any(|note| note.contains("cannot hold the tool calls")), "{noted:?}");
    let loaded = open("llama", &features()[0]).load(&lower, &LoadOptions::default()).expect("loaded");
    assert_eq!(loaded.receipt.route, Route::Direct, "the tokens are the same");
}

#[test]
fn the_day_of_a_session_stays_where_its_template_asks_for_it() {
    let feature = feature("the day and tools in the system prompt");
    let folder = tempfile::tempdir().expect("a folder");
    let dated = |engine: &mut Engine| {
        let inputs = inputs(&feature).on("2024-02-29").expect("a day");
        engine.session_mut("tools").expect("live").set_inputs(&inputs).expect("given");
    };
    let (mut engine, file) = saved(&feature, 2, folder.path());
    dated(&mut engine);
    save(&mut engine, "tools", &file);
    let mut reader = open("llama", &feature);
    reader.load(&file, &LoadOptions::default()).expect("loaded");
    let session = reader.session("tools").expect("live");
    assert_eq!(session.inputs(), engine.session("tools").expect("live").inputs());
    let tokens = session.timeline().tokens();
    let text =
        String::from_utf8(tokens.iter().flat_map(|&token| session.model().piece(token, true)).collect());
    assert!(text.expect("text").contains("29 Feb 2024"));
    // Evaluated again by its messages, it is the same too.
    let by_messages = LoadOptions::default().policy([Route::Replayed].into_iter().collect());
    let saved = session.timeline().tokens().to_vec();
    reader.load(&file, &by_messages).expect("replayed");
    let here = reader.session("tools").expect("live").timeline().tokens();
    assert_eq!(here, saved);
}

#[test]
fn tools_that_are_given_later_are_told_as_if_they_had_been_there() {
    let feature = &features()[0];
    let mut early = open("llama", feature);
    let mut late = open("llama", feature);
    let question = || [Message::new(0, Role::User, "How is it?")];
    early.start(StartOptions::default().id("tools").inputs(inputs(feature))).expect("started");
    tell(&mut early, question(), "Fine.");
    late.start(StartOptions::default().id("tools")).expect("started");
    tell(&mut late, question(), "Fine.");
    assert_ne!(outcome(&mut early).0, outcome(&mut late).0);
    let mut late = open("llama", feature);
    late.start(StartOptions::default().id("tools")).expect("started");
    tell(&mut late, question(), "Fine.");
    late.session_mut("tools").expect("live").set_inputs(&inputs(feature)).expect("given");
    let tokens = |engine: &Engine| engine.session("tools").expect("live").timeline().tokens().to_vec();
    let mut early = open("llama", feature);
    early.start(StartOptions::default().id("tools").inputs(inputs(feature))).expect("started");
    tell(&mut early, question(), "Fine.");
    assert_eq!(tokens(&late), tokens(&early));
}

#[test]
fn what_cannot_be_told_is_an_error_and_the_session_is_as_it_was() {
    let mut engine = engine("llama");
    converse(&mut engine, "tools");
    let before = engine.session("tools").expect("live").chat().messages().to_vec();
    let session = engine.session_mut("tools").expect("live");
    let generation = Generation::default().forced("Yes.");
    let mut told =
        |message: Message| session.tell([message], &generation, &mut |_| {}).expect_err("impossible");
    let impossible = [
        Message::new(0, Role::System, "Late."),
        Message::new(0, Role::User, "Hm.").with_reasoning("Hm."),
        Message { role: Role::User, ..Message::answering("id", "Hm.") },
    ];
    for message in impossible {
        assert_eq!(told(message).code(), Some("message-impossible"));
    }
    // The template of this model knows no tools.
    let calls = Message::calling(vec![call("id", "clock", "{}")]);
    assert_eq!(told(calls).code(), Some("template-refused"));
    let tools = TemplateInputs { tools: Some(TOOLS.to_owned()), ..TemplateInputs::default() };
    let given = session.set_inputs(&tools).expect_err("not shown");
    assert!(matches!(given, EngineError::Template(_)), "{given}");
    let read = Message::calling(vec![call("id", "clock", "{}")]);
    assert_eq!(session.read_reply(read).expect_err("not shown").code(), Some("template-refused"));
    let started = engine.start(StartOptions::default().id("other").inputs(tools)).expect_err("not shown");
    assert_eq!(started.code(), Some("template-refused"));
    let session = engine.session("tools").expect("live");
    assert_eq!(session.chat().messages(), before);
    assert_eq!(session.inputs(), None);
    let details: Vec<&Details> = session.chat().messages().iter().map(|message| &message.details).collect();
    assert!(details.iter().all(|details| **details == Details::default()));
}

#[test]
fn a_full_context_keeps_what_a_tool_answers_with_the_call() {
    let feature = &features()[0];
    let hooks = Hooks { chat_template: Some(feature.source.clone()), ..Hooks::default() };
    let mut options = options("llama").context(context(1024)).hooks(hooks);
    options.parameters.chat_parameters.cache_cleanup_strategy = CacheCleanupStrategy::RemoveOldestMessages;
    let mut engine = Engine::create(options).expect("an engine");
    engine.start(StartOptions::default().id("tools")).expect("started");
    for turn in 0..20 {
        let id = format!("call{turn:05}");
        tell(&mut engine, [Message::new(0, Role::User, "What does it say there, word by word?")], "<call>");
        read_reply(&mut engine, Message::calling(vec![call(&id, "clock", "{}")]));
        let answer = Message::answering(id, "It says a great many things. ".repeat(3));
        let session = engine.session_mut("tools").expect("live");
        session.tell([answer], &Generation::default().forced("Well."), &mut |_| {}).expect("told");
        let loaded: Vec<Role> = session.chat().loaded().map(|message| message.role).collect();
        assert!(loaded.ends_with(&[Role::Assistant, Role::Tool, Role::Assistant]), "{loaded:?}");
        assert_ne!(loaded.first(), Some(&Role::Tool), "{loaded:?}");
    }
    let session = engine.session("tools").expect("live");
    assert!(session.chat().messages().iter().any(|message| message.status == KvStatus::Unloaded));
}
