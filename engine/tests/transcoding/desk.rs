//! Engines whose caches have a form of one's choice, and the same conversation with each.

use std::path::Path;

use intact_engine::{Engine, Generation, LoadOptions, Receipt, SaveOptions, StartOptions};
use intact_format::kv_type::KvType;
use intact_format::parameters::{ContextParameters, FlashAttentionMode};

/// What the next tokens' logits are: a row after the last token, and one after each of the next.
pub(crate) type Rows = Vec<Vec<f32>>;

const TURNS: [(&str, &str); 3] = [
    ("What is the weather like in Madrid?", "It is sunny, warm and a little windy today."),
    ("And in May? Größe 3, naïve café, 東京.", "Mild. Bring a jacket for the evenings, it can rain."),
    ("Three museums worth a visit?", "The Prado, the Reina Sofía and the Thyssen."),
];

/// The form of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) kind: KvType,
    pub(crate) flash: bool,
    pub(crate) unified: bool,
    pub(crate) sequences: u32,
}

pub(crate) const PLAIN: Form = Form { kind: KvType::F16, flash: true, unified: false, sequences: 1 };

pub(crate) fn of_kind(kind: KvType) -> Form {
    Form { kind, ..PLAIN }
}

impl Form {
    pub(crate) fn engine(self, model: &str) -> Engine {
        let mode = if self.flash { FlashAttentionMode::Enabled } else { FlashAttentionMode::Disabled };
        let context = ContextParameters {
            context_size: Some(1024 * self.sequences),
            n_threads: Some(1),
            n_threads_batch: Some(1),
            type_k: Some(self.kind),
            type_v: Some(self.kind),
            flash_attention_mode: Some(mode),
            kv_unified: Some(self.unified),
            n_seq_max: Some(self.sequences),
            ..ContextParameters::default()
        };
        let model = intact_fixtures::cached(model).expect("a fixture model");
        Engine::builder(model).context(context).build().expect("an engine")
    }
}

/// A session after the conversation.
pub(crate) fn conversed(mut engine: Engine, id: &str) -> Engine {
    let start = StartOptions::default().id(id).system_prompt("You are a patient guide.");
    engine.start(start).expect("started");
    for (text, reply) in TURNS {
        let forced = Generation::default().forced(reply);
        engine.send_to(id, text, &forced, &mut |_| {}).expect("said");
    }
    engine
}

pub(crate) fn score(engine: &mut Engine, id: &str) -> Rows {
    engine.session_mut(id).expect("a session").score("Which has the shortest queue?", 12).expect("logits").1
}

/// What a session says that was never interrupted.
pub(crate) fn live(model: &str, form: Form) -> Rows {
    score(&mut conversed(form.engine(model), "live"), "live")
}

pub(crate) fn save(model: &str, form: Form, file: &Path) {
    conversed(form.engine(model), "moved").save("moved", &SaveOptions::to(file)).expect("saved");
}

/// How a file was loaded, and what the session says then.
pub(crate) fn load(model: &str, form: Form, file: &Path, options: &LoadOptions) -> (Receipt, Rows) {
    let mut engine = form.engine(model);
    let receipt = engine.load(file, options).expect("loaded").receipt;
    (receipt, score(&mut engine, "moved"))
}
