//! What the engine is asked for, and what it gives back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use intact_format::canary::CanaryDistance;
use intact_format::digest::Digest;
use intact_format::layout::Distances;
use intact_format::parameters::{ContextParameters, Parameters};
use intact_format::passport::Difference;
use intact_format::route::{LoadPolicy, Refusal, Route};
use intact_format::session_id::SessionId;
use intact_format::transcode::Steps;
use intact_format::version::FormatVersion;

use crate::preset::Preset;

/// How an engine is made.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The model file; `None` takes the one that the parameters name.
    pub model: Option<PathBuf>,
    /// Where the model came from, `owner/name`; `None` takes what the file's path or the parameters tell.
    pub model_repository: Option<String>,
    /// Name of the preset that the parameters come from.
    pub preset: Option<String>,
    /// The parameters that sessions start with.
    pub parameters: Parameters,
    /// Context parameters that hold for every session of this engine, whatever its parameters say: field by field, where
    /// given.
    pub context: ContextParameters,
    /// LoRA adapters that every session has, in order, and how strongly each is applied.
    pub lora: Vec<(PathBuf, f32)>,
    /// Control vectors that every session has, and how strongly each is applied.
    pub control_vectors: Vec<(PathBuf, f32)>,
    /// How many contexts that sessions have left are kept, emptied, for sessions to come. Making a context can take longer
    /// than restoring a session into it; keeping one costs its memory.
    pub spare_contexts: usize,
    /// Let `<|im_end|>` and the like be control tokens where a message says them. Otherwise what somebody says is text, and only
    /// the chat template can write control tokens.
    pub control_tokens_in_content: bool,
    /// Do not measure how far the model is from itself. Saves then do not record it, which spares the first one the
    /// evaluation of about 100 tokens; loads under other settings than the saved ones are then evaluated again more often.
    pub skip_noise: bool,
    /// Take the model file for one of this SHA-256, so that other weights pass for those that a session was saved with. For
    /// tests.
    pub assumed_sha256: Option<String>,
    /// Keep another sequence alive in the context of every session, with cells between those of the session. For tests.
    pub fragmented: bool,
    /// Play a llama.cpp release whose state layout is not known: images become opaque. For tests.
    pub forget_layouts: bool,
}

/// How a session is started.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Its id; `None` generates one.
    pub id: Option<String>,
    /// Name of its preset; `None` takes the engine's.
    pub preset: Option<String>,
    /// Its parameters; `None` takes the engine's.
    pub parameters: Option<Parameters>,
    /// Its system prompt; `None` takes the parameters'.
    pub system_prompt: Option<String>,
}

/// How a session is saved.
#[derive(Debug, Clone, Default)]
pub struct SaveOptions {
    /// The session file; `None` is `<id>.json` in the working directory.
    pub path: Option<PathBuf>,
    /// The format; `None` is the newest.
    pub format: Option<FormatVersion>,
    /// Write the manifest file beside it too.
    pub manifest: bool,
    /// What it may take the place of.
    pub replace: Replace,
}

/// What a save to a file may take the place of. Only ever a session file: nothing else is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Replace {
    /// The session's own file: the one that it was loaded from or saved to, unless somebody else has saved to it since.
    #[default]
    Own,
    /// Whatever session is there.
    Any,
    /// Nothing: there must be no such file.
    Never,
}

/// What a save wrote.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The session file.
    pub path: PathBuf,
    /// Every file written, the session file first.
    pub files: Vec<PathBuf>,
    /// Bytes written: the document, and the chunks that were not there yet.
    pub bytes: u64,
    /// Tokens of the session.
    pub tokens: usize,
    /// What the format cannot hold, and what else the user should know.
    pub notes: Vec<String>,
    /// How long it took.
    pub timings: Timings,
}

/// How a session is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The routes that may be taken.
    pub policy: LoadPolicy,
    /// Where the parameters come from.
    pub parameters: LoadParameters,
    /// Compare with the manifest file too, and refuse where it differs.
    pub manifest: bool,
    /// Read as a reader would whose newest format this is.
    pub reader_format: Option<FormatVersion>,
    /// The id that the session must have; another one is [`EngineError::OtherSession`](crate::EngineError::OtherSession), and
    /// nothing live is touched. None takes any.
    pub expect: Option<SessionId>,
}

/// Where a loaded session takes its parameters from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LoadParameters {
    /// Those that were saved; the engine's where the file has none.
    #[default]
    Saved,
    /// Those of the engine, which are its preset's.
    Preset,
    /// The library's defaults, as in the seed system.
    Defaults,
}

/// A session that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its id; it is the current session now.
    pub id: SessionId,
    /// How it was loaded.
    pub receipt: Receipt,
}

/// How a load was carried out.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The route.
    pub route: Route,
    /// Why not a better one; empty for the best.
    pub because: String,
    /// Every axis, the ones that are the same too.
    pub axes: Vec<Difference>,
    /// Tokens whose KV came from the file.
    pub tokens_restored: usize,
    /// Tokens that were evaluated.
    pub tokens_evaluated: u64,
    /// How far the model is from what it said when the session was saved; none where the file has no canary.
    pub canary: Option<CanaryDistance>,
    /// What was done to the saved KV, on the route that does something to it.
    pub transcoding: Option<Transcoding>,
    /// Digest of the parameters in force.
    pub parameters: Digest,
    /// A live session of the same id was replaced.
    pub replaced: bool,
    /// Further remarks, one sentence each.
    pub notes: Vec<String>,
    /// How long it took.
    pub timings: Timings,
}

/// What was done to the saved KV, and how far it is from what was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcoding {
    /// Every step with its loss.
    pub steps: Steps,
    /// Normalised mean squared error of all numbers of K; 0 where none changed.
    pub nmse_k: f64,
    /// The same of V.
    pub nmse_v: f64,
}

/// What a load would do.
#[derive(Debug, Clone)]
pub struct Check {
    /// The route, or why there is none.
    pub route: Result<Route, Refusal>,
    /// Why not a better one; empty for the best.
    pub because: String,
    /// Every axis, the ones that are the same too.
    pub axes: Vec<Difference>,
    /// Further remarks, one sentence each.
    pub notes: Vec<String>,
}

/// How long the parts of an operation took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    /// The whole operation.
    pub total: Duration,
    /// Its parts by name.
    pub steps: BTreeMap<&'static str, Duration>,
}

impl Transcoding {
    /// The steps with what was measured.
    #[must_use]
    pub fn of(steps: Steps, distances: &Distances) -> Self {
        Self { steps, nmse_k: distances.keys.nmse(), nmse_v: distances.values.nmse() }
    }
}

/// One sentence.
impl fmt::Display for Transcoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, nmse_k, nmse_v } = self;
        write!(f, "The saved KV was transcoded ({steps}); error of K {nmse_k:.1e}, of V {nmse_v:.1e}.")
    }
}

impl EngineOptions {
    /// An engine with the parameters of a preset.
    #[must_use]
    pub fn of_preset(preset: &Preset) -> Self {
        Self { preset: Some(preset.family()), parameters: preset.parameters.clone(), ..Self::default() }
    }
}

impl StartOptions {
    /// A session with the parameters of a preset.
    #[must_use]
    pub fn of_preset(preset: &Preset) -> Self {
        Self { preset: Some(preset.family()), parameters: Some(preset.parameters.clone()), ..Self::default() }
    }
}

impl SaveOptions {
    /// A save to a path, in the newest format.
    #[must_use]
    pub fn to(path: impl AsRef<Path>) -> Self {
        Self { path: Some(path.as_ref().to_owned()), ..Self::default() }
    }
}
