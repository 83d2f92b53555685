//! What the harness asks of a worker.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Message;

/// One line from the harness to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Number of the request, echoed by the answer; strictly increasing on one connection.
    pub seq: u64,
    /// What is asked.
    pub request: Request,
}

/// A request, told apart by `op`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Who are you? The first request on every connection.
    Hello(HelloRequest),
    /// Load a model and take these settings for every session from now on. Replaces what was open before.
    Open(Box<Open>),
    /// Start a session and say nothing.
    Start(Start),
    /// Give a session's chat template something besides the messages, such as tools; starts the session if it is not live.
    Give(Give),
    /// Advance a session by one message; starts the session if it is not live.
    Say(Say),
    /// Unload messages of a session to make room, by a strategy.
    CleanUp(CleanUp),
    /// Save a live session to a file; the session goes on unchanged.
    Save(Save),
    /// Load a session file; the session is live afterwards. A refusal must leave live sessions unharmed.
    Load(Load),
    /// Make a session of a state that llama.cpp itself wrote, after verifying it against the model.
    Adopt(Adopt),
    /// Would this file load here, and how? Changes nothing.
    Check(Check),
    /// Evaluate given tokens one at a time and write the logits of each to a file. Advances the session.
    Score(Score),
    /// Drop a live session.
    Forget(Forget),
    /// Do a piece of work that no change of the subject can make faster or slower, and say how long it took.
    Floor(Floor),
    /// Leave; the worker answers and exits with status 0.
    Bye,
}

impl Request {
    /// The name of every operation, as on the wire.
    pub const OPERATIONS: [&'static str; 14] = [
        "hello", "open", "start", "give", "say", "clean-up", "save", "load", "adopt", "check", "score",
        "forget", "floor", "bye",
    ];

    /// The name of its operation, as on the wire.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Open(_) => "open",
            Self::Start(_) => "start",
            Self::Give(_) => "give",
            Self::Say(_) => "say",
            Self::CleanUp(_) => "clean-up",
            Self::Save(_) => "save",
            Self::Load(_) => "load",
            Self::Adopt(_) => "adopt",
            Self::Check(_) => "check",
            Self::Score(_) => "score",
            Self::Forget(_) => "forget",
            Self::Floor(_) => "floor",
            Self::Bye => "bye",
        }
    }
}

/// Arguments of `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelloRequest {
    /// The protocol version that the harness speaks, [`crate::PROTOCOL`].
    pub protocol: u32,
}

/// Arguments of `open`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    /// The GGUF model file.
    pub model: PathBuf,
    /// Settings of the contexts that sessions will live in.
    #[serde(default)]
    pub settings: Settings,
    /// Name of the preset that sessions are created from; none means the library's defaults.
    #[serde(default)]
    pub preset: Option<String>,
    /// Where the model came from, if it came from a hub: `owner/name`.
    #[serde(default)]
    pub model_repo: Option<String>,
    /// Play a release whose layout is unknown: the worker must then fall back to opaque images. A test hook.
    #[serde(default)]
    pub forget_layouts: bool,
    /// Let the texts of control tokens be control tokens where a message says them; otherwise they are text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control_tokens_in_content: bool,
}

impl Open {
    /// A model with these settings, and nothing out of the ordinary.
    #[must_use]
    pub fn new(model: impl Into<PathBuf>, settings: Settings) -> Self {
        Self {
            model: model.into(),
            settings,
            preset: None,
            model_repo: None,
            forget_layouts: false,
            control_tokens_in_content: false,
        }
    }
}

/// A model file below this many bytes is faster with one thread than with several: llama.cpp's threads wait for each other
/// by spinning, longer than such a model takes.
pub const TINY_MODEL: u64 = 64 << 20;

/// Settings of a context. `None` means the subject's own default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Context length of one session, in tokens.
    pub n_ctx: Option<u32>,
    /// Logical batch size, in tokens.
    pub n_batch: Option<u32>,
    /// Physical batch size, in tokens.
    pub n_ubatch: Option<u32>,
    /// Sequences that one context has room for.
    pub n_seq_max: Option<u32>,
    /// Threads for single tokens and for batches.
    pub threads: Option<u32>,
    /// KV type of K, by ggml's name: `f16`, `q8_0`, `q4_0`, ...
    pub type_k: Option<String>,
    /// KV type of V, by ggml's name.
    pub type_v: Option<String>,
    /// Flash attention.
    pub flash_attention: Option<FlashAttention>,
    /// One cache shared by all sequences (`true`), or a stream for each (`false`).
    pub kv_unified: Option<bool>,
    /// Keep the whole context in sliding-window caches too.
    pub swa_full: Option<bool>,
    /// RoPE base frequency.
    pub rope_freq_base: Option<f32>,
    /// RoPE frequency scale.
    pub rope_freq_scale: Option<f32>,
    /// YaRN extrapolation mix factor.
    pub yarn_ext_factor: Option<f32>,
    /// Keep another sequence alive in the context of each session, with cells between those of the session, so that the
    /// cache is fragmented. A test hook.
    pub fragmented: bool,
    /// How replies are sampled where they are neither forced nor greedy.
    pub sampling: Option<Sampling>,
    /// LoRA adapter files with their scales.
    pub lora: Vec<(PathBuf, f32)>,
    /// Control vector files with their scales.
    pub control_vectors: Vec<(PathBuf, f32)>,
}

/// How replies are sampled. `None` means the subject's own default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Seed of the random numbers.
    pub seed: Option<u32>,
    /// Temperature.
    pub temperature: Option<f32>,
    /// Only so many of the likeliest tokens.
    pub top_k: Option<i32>,
    /// Only the likeliest tokens that make up this share.
    pub top_p: Option<f32>,
    /// Penalty on tokens that were there before.
    pub repetition_penalty: Option<f32>,
    /// Penalty that grows with how often they were.
    pub frequency_penalty: Option<f32>,
    /// Multiplier of the penalty on repeated sequences.
    pub dry_multiplier: Option<f32>,
    /// Mirostat, version 1 or 2; 0 for none.
    pub mirostat: Option<u8>,
}

/// Whether flash attention is used. It decides how V is laid out in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FlashAttention {
    /// llama.cpp decides.
    Auto,
    /// Always: V is stored by token.
    On,
    /// Never: V is stored transposed.
    Off,
}

/// Who speaks in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The system prompt.
    System,
    /// Who builds on the model, as some chats tell them from the system.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

/// Arguments of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Id of the session.
    pub session: String,
    /// System prompt.
    #[serde(default)]
    pub system: Option<String>,
}

/// Arguments of `give`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Give {
    /// Id of the session; started if it is not live.
    pub session: String,
    /// System prompt of a session that this request starts.
    #[serde(default)]
    pub system: Option<String>,
    /// What the chat template is given from now on. What is not there stays as it was; an empty list takes all tools away.
    pub inputs: Inputs,
}

/// What a chat template is given besides the messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inputs {
    /// The tools that the model may call: a JSON array of their definitions, as a text that keeps the order of its keys.
    pub tools: Option<String>,
    /// Named values that some templates know, such as `enable_thinking`: a JSON object, as a text.
    pub arguments: Option<String>,
    /// The day on which the chat is rendered, `2026-04-23`; none is the day on which the model was opened.
    pub date: Option<String>,
}

/// Arguments of `clean-up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CleanUp {
    /// Id of the live session.
    pub session: String,
    /// The strategy, by the subject's own name.
    pub strategy: String,
}

/// Arguments of `say`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Say {
    /// Id of the session; started if it is not live.
    pub session: String,
    /// System prompt of a session that this request starts.
    #[serde(default)]
    pub system: Option<String>,
    /// The user's message.
    pub text: String,
    /// The assistant's reply, forced token by token as if it had been sampled. `None`: the model generates it.
    #[serde(default)]
    pub reply: Option<String>,
    /// Most tokens to generate where the reply is not forced.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Generate greedily, whatever the sampler parameters say.
    #[serde(default)]
    pub greedy: bool,
    /// Cancel the reply after so many tokens: the answer is a refusal with the code `cancelled`, and the user's message
    /// stays.
    #[serde(default)]
    pub cancel_after: Option<u32>,
    /// Send the reply's text piece by piece as events.
    #[serde(default)]
    pub stream: bool,
}

/// Arguments of `save`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Save {
    /// Id of the live session.
    pub session: String,
    /// The session file to write. Subjects may write files beside it that start with the same name.
    pub path: PathBuf,
    /// Format version to write, `major.minor`; none means the subject's own newest.
    #[serde(default)]
    pub format: Option<String>,
    /// Also write the manifest file beside it.
    #[serde(default)]
    pub manifest: bool,
    /// Replace only what this session was loaded from or saved to, unless somebody else has saved to it since. Otherwise
    /// any session file is replaced. For subjects that know whose file is whose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

/// Where a loaded session takes its parameters from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterSource {
    /// Those that were saved.
    #[default]
    Saved,
    /// Those of the preset in force.
    Preset,
    /// The library's defaults.
    Defaults,
}

/// Arguments of `load`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// The session file.
    pub path: PathBuf,
    /// For subjects whose files carry no session id: the id that the session gets.
    #[serde(default)]
    pub session: Option<String>,
    /// Read as if this were the newest version known, `major.minor`: plays an older reader.
    #[serde(default)]
    pub reader_format: Option<String>,
    /// Routes that are allowed: `direct`, `transcoded`, `reprefilled`, `replayed`; none means the subject's default.
    /// `transcoded-lossless` is `transcoded` where no number is rounded to a type that holds less.
    #[serde(default)]
    pub routes: Option<Vec<String>>,
    /// Where the parameters come from.
    #[serde(default)]
    pub parameters: ParameterSource,
    /// Compare against the manifest file beside the session file, and refuse when an axis differs.
    #[serde(default)]
    pub manifest: bool,
}

/// Arguments of `adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Adopt {
    /// A slot file of llama-server, a sequence file, a session file of one sequence, or a raw state.
    pub path: PathBuf,
    /// Id of the session that it becomes.
    pub session: String,
    /// The conversation; `None` makes one message of the tokens' text.
    #[serde(default)]
    pub history: Option<Vec<Message>>,
    /// What the chat template was given besides the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
}

/// Arguments of `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The session file.
    pub path: PathBuf,
    /// Routes that are allowed; none means the subject's default.
    #[serde(default)]
    pub routes: Option<Vec<String>>,
    /// Compare against the manifest file too.
    #[serde(default)]
    pub manifest: bool,
}

/// Arguments of `score`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Id of the live session.
    pub session: String,
    /// Text whose tokens are forced, one evaluation each.
    pub text: String,
    /// Most tokens of it that are used.
    pub max_tokens: u32,
    /// Where the logits go: a [`crate::Logits`] file. Row 0 is the distribution after the session's last token,
    /// row `i` the one after the `i`-th forced token.
    pub path: PathBuf,
    /// Do that with a copy of the session whose tokens are evaluated again from the first one on, in another batch shape
    /// than turn by turn; the session itself is not advanced. What differs is noise that no save has made. Asked only of
    /// workers whose features name it: [`crate::AFRESH`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub afresh: bool,
}

/// Arguments of `forget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forget {
    /// Id of the live session.
    pub session: String,
}

/// Arguments of `floor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Floor {
    /// What is done with the bytes.
    pub work: Work,
    /// How many bytes; a worker may refuse more than it has room for.
    pub bytes: u64,
    /// How many times; the answer is the time of one.
    pub times: u32,
}

/// Work on bytes in memory that depends on the machine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Copy them once: memory's speed.
    Copy,
    /// Fold them into one number, each step waiting for the one before: a core's speed.
    Fold,
}
