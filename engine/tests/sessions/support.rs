//! An engine over a fixture model, and conversations to have with it.

use std::path::Path;

use intact_engine::{
    Engine, EngineError, EngineOptions, Generation, LoadOptions, Loaded, Replace, SaveOptions, StartOptions,
};
use intact_format::parameters::{ContextParameters, Parameters};
use intact_format::session::{SessionDocument, read, write};
use intact_format::version::FormatVersion;

/// One model of every memory kind and shape.
pub(crate) const FAMILIES: [&str; 7] =
    ["llama", "qwen2", "qwen3", "gemma3", "mamba2", "lfm2", "granite-hybrid"];

/// One test for each of [`FAMILIES`], named after it, which calls a function with the model.
macro_rules! per_family {
    ($check:ident) => {
        mod $check {
            #[test]
            fn llama() {
                super::$check("llama");
            }

            #[test]
            fn qwen2() {
                super::$check("qwen2");
            }

            #[test]
            fn qwen3() {
                super::$check("qwen3");
            }

            #[test]
            fn gemma3() {
                super::$check("gemma3");
            }

            #[test]
            fn mamba2() {
                super::$check("mamba2");
            }

            #[test]
            fn lfm2() {
                super::$check("lfm2");
            }

            #[test]
            fn granite_hybrid() {
                super::$check("granite-hybrid");
            }
        }
    };
}

pub(crate) use per_family;

pub(crate) const TURNS: [(&str, &str); 3] = [
    ("What is the weather like in Madrid?", "It is sunny, warm and a little windy today."),
    ("And in May? Größe 3, naïve café, 東京.", "Mild. Bring a jacket for the evenings, it can rain."),
    ("Three museums worth a visit?", "The Prado, the Reina Sofía and the Thyssen."),
];

pub(crate) fn options(model: &str) -> EngineOptions {
    EngineOptions::default()
        .model(intact_fixtures::cached(model).expect("a fixture model"))
        .context(context(1024))
}

pub(crate) fn context(length: u32) -> ContextParameters {
    ContextParameters {
        context_size: Some(length),
        n_threads: Some(1),
        n_threads_batch: Some(1),
        ..ContextParameters::default()
    }
}

pub(crate) fn engine(model: &str) -> Engine {
    Engine::create(options(model)).expect("an engine")
}

pub(crate) fn with_context(model: &str, context: ContextParameters) -> Engine {
    Engine::create(options(model).context(context)).expect("an engine")
}

pub(crate) fn with_parameters(model: &str, change: impl FnOnce(&mut Parameters)) -> Engine {
    let mut options = options(model);
    change(&mut options.parameters);
    Engine::create(options).expect("an engine")
}

pub(crate) fn start(engine: &mut Engine, id: &str) {
    let options = StartOptions::default().id(id).system_prompt("You are a patient guide.");
    engine.start(options).expect("started");
}

pub(crate) fn say(engine: &mut Engine, id: &str, (text, reply): (&str, &str)) {
    let forced = Generation::default().forced(reply);
    let said = engine.send_to(id, text, &forced, &mut |_| {}).expect("said");
    assert_eq!(said.text, reply);
}

pub(crate) fn converse(engine: &mut Engine, id: &str) {
    start(engine, id);
    TURNS.into_iter().for_each(|turn| say(engine, id, turn));
}

/// Bits of the logits after the last token and after each of the next ones.
pub(crate) fn score(engine: &mut Engine, id: &str) -> Vec<Vec<u32>> {
    let session = engine.session_mut(id).expect("a session");
    let (_, rows) = session.score("Which has the shortest queue?", 12).expect("logits");
    rows.iter().map(|row| row.iter().map(|logit| logit.to_bits()).collect()).collect()
}

/// The logits of the same conversation without any interruption.
pub(crate) fn uninterrupted(model: &str) -> Vec<Vec<u32>> {
    let mut engine = engine(model);
    converse(&mut engine, "control");
    score(&mut engine, "control")
}

pub(crate) fn save(engine: &mut Engine, id: &str, path: &Path) {
    let options = SaveOptions::to(path).replace(Replace::Any);
    engine.save(id, &options).expect("saved");
}

pub(crate) fn load(engine: &mut Engine, path: &Path) -> Loaded {
    engine.load(path, &LoadOptions::default()).expect("loaded")
}

/// The code of the refusal that this load gives.
pub(crate) fn refusal(engine: &mut Engine, path: &Path, options: &LoadOptions) -> &'static str {
    match engine.load(path, options) {
        Ok(loaded) => panic!("loaded: {loaded:?}"),
        Err(error @ EngineError::Refused(_)) => error.code().expect("a code"),
        Err(error) => panic!("{error}"),
    }
}

/// Changes a document and writes it again as the engine would, its digest right.
pub(crate) fn forge(path: &Path, change: impl FnOnce(&mut SessionDocument)) {
    let mut document =
        read(&std::fs::read(path).expect("bytes"), FormatVersion::CURRENT).expect("a document").document;
    change(&mut document);
    std::fs::write(path, write(&document, FormatVersion::CURRENT).expect("a document").bytes)
        .expect("written");
}
