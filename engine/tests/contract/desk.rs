//! What every promise is tried with: a fixture model, an engine over it, and a folder for its files.

use std::path::{Path, PathBuf};

use intact_engine::llama::Token;
use intact_engine::{
    Engine, EngineError, EngineOptions, Generation, LoadOptions, LoadParameters, Loaded, Reply, SaveOptions,
    StartOptions,
};
use intact_format::message::{Message, Role};
use intact_format::parameters::{ContextParameters, Parameters};
use intact_format::route::{LoadPolicy, Route};
use intact_format::version::FormatVersion;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const MODEL: &str = "llama";
pub(crate) const OTHER_WEIGHTS: &str = "llama-other";
pub(crate) const OTHER_QUANTIZATION: &str = "llama-q8_0";
pub(crate) const SYSTEM_PROMPT: &str = "Be brief.";

/// An engine with a folder of its own.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
}

/// What a preset would give: nothing of it is a default, so a test sees where parameters come from.
pub(crate) fn tuned() -> Parameters {
    let mut parameters = Parameters::default();
    parameters.chat_parameters.system_prompt = SYSTEM_PROMPT.to_owned();
    parameters.chat_parameters.max_tokens = 24;
    parameters.sampler_parameters.temperature = 1.3;
    parameters.sampler_parameters.top_p = 0.99;
    parameters.sampler_parameters.seed = 7;
    parameters
}

pub(crate) fn model(id: &str) -> PathBuf {
    intact_fixtures::cached(id).expect("a fixture model")
}

pub(crate) fn engine(id: &str, parameters: Parameters) -> Engine {
    engine_with(id, |options| options.parameters = parameters)
}

pub(crate) fn engine_with(id: &str, change: impl FnOnce(&mut EngineOptions)) -> Engine {
    let context = ContextParameters {
        context_size: Some(512),
        n_threads: Some(1),
        n_threads_batch: Some(1),
        ..ContextParameters::default()
    };
    let mut options = EngineOptions::default().model(model(id)).context(context);
    change(&mut options);
    Engine::create(options).expect("an engine")
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::of(engine(MODEL, tuned()))
    }

    pub(crate) fn of(engine: Engine) -> Self {
        Self { engine, folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A session with two exchanges.
    pub(crate) fn chat(&mut self, id: &str) -> String {
        let id = self.start(id);
        self.say(&id, "Plan a trip to Madrid in May.");
        self.say(&id, "Three museums worth visiting?");
        id
    }

    pub(crate) fn start(&mut self, id: &str) -> String {
        let options = StartOptions::default().id(id.to_owned());
        self.engine.start(options).expect("a session").to_string()
    }

    pub(crate) fn say(&mut self, id: &str, text: &str) -> Reply {
        self.engine.send_to(id, text, &short(), &mut |_| ()).expect("a reply")
    }

    pub(crate) fn save(&mut self, id: &str, name: &str) -> PathBuf {
        self.save_as(id, name, FormatVersion::CURRENT)
    }

    pub(crate) fn save_as(&mut self, id: &str, name: &str, format: FormatVersion) -> PathBuf {
        let path = self.path(name);
        self.engine.save(id, &SaveOptions::to(&path).format(format)).expect("a save");
        path
    }

    pub(crate) fn load(&mut self, path: &Path) -> Loaded {
        self.engine.load(path, &LoadOptions::default()).expect("a load")
    }

    pub(crate) fn load_with(&mut self, path: &Path, parameters: LoadParameters) -> Loaded {
        self.engine.load(path, &LoadOptions::default().parameters(parameters)).expect("a load")
    }

    pub(crate) fn messages(&self, id: &str) -> Vec<Message> {
        self.engine.session(id).expect("a session").chat().messages().to_vec()
    }

    pub(crate) fn said(&self, id: &str) -> Vec<(Role, String)> {
        self.messages(id).into_iter().map(|message| (message.role, message.content)).collect()
    }

    pub(crate) fn tokens(&self, id: &str) -> Vec<Token> {
        self.engine.session(id).expect("a session").timeline().tokens().to_vec()
    }

    /// The bits of the logits after the session's last token and after each token of a text.
    pub(crate) fn score(&mut self, id: &str) -> Vec<Vec<u32>> {
        let session = self.engine.session_mut(id).expect("a session");
        let (_, rows) = session.score("Which one has the shortest queues?", 16).expect("logits");
        rows.iter().map(|row| row.iter().map(|logit| logit.to_bits()).collect()).collect()
    }
}

/// A reply of few tokens.
pub(crate) fn short() -> Generation {
    Generation::default().max_tokens(12)
}

/// A policy that allows everything up to a route.
pub(crate) fn up_to(route: Route) -> LoadPolicy {
    match route {
        Route::Direct => LoadPolicy::STRICT,
        Route::Transcoded | Route::Reprefilled => LoadPolicy::TOKENS,
        Route::Replayed => LoadPolicy::ALL,
    }
}

pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, EngineError>) -> &'static str {
    outcome.expect_err("a refusal").code().expect("a code")
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}
