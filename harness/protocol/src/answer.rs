//! What a worker answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Role;

/// One line from a worker to the harness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Answer {
    /// A piece of generated text, before the reply of a request that asked for a stream.
    Event {
        /// Number of the request.
        seq: u64,
        /// The piece.
        text: String,
    },
    /// The one reply to a request.
    Reply {
        /// Number of the request.
        seq: u64,
        /// What became of it.
        outcome: Outcome,
    },
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum Outcome {
    /// Done.
    Ok {
        /// What it gave.
        result: Box<Replied>,
    },
    /// The subject decided against it and says why. Live sessions are as they were.
    Refused(Refusal),
    /// The subject cannot do this at all.
    Unsupported {
        /// What it cannot do.
        message: String,
        /// Where that is tracked, if anywhere.
        #[serde(default)]
        issue: Option<String>,
    },
    /// Something failed that the subject did not foresee.
    Error {
        /// What failed.
        message: String,
        /// Whether that is because the disk is full, or a quota used up: then nothing is known of the subject.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_room: bool,
    },
}

impl Outcome {
    /// Something failed, and not for lack of room.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self::Error { message: message.into(), no_room: false }
    }
}

/// A typed refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Stable, kebab-case name of the reason. Empty where the subject gives none: such a refusal is unclear.
    pub code: String,
    /// For a person: what differed, what that means, what to do.
    pub message: String,
    /// The axes that the refusal names.
    #[serde(default)]
    pub axes: Vec<String>,
}

/// What a request that was carried out gave, told apart by `op`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Replied {
    /// To `hello`.
    Hello(Hello),
    /// To `open`.
    Open(Opened),
    /// To `start`.
    Start,
    /// To `give`.
    Give,
    /// To `say`.
    Say(Said),
    /// To `clean-up`.
    CleanUp,
    /// To `save`.
    Save(Saved),
    /// To `load`.
    Load(Loaded),
    /// To `adopt`.
    Adopt(Adopted),
    /// To `check`.
    Check(Checked),
    /// To `score`.
    Score(Scored),
    /// To `forget`.
    Forget,
    /// To `floor`.
    Floor(Timings),
    /// To `bye`.
    Bye,
}

impl Replied {
    /// What it is called in messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Open(_) => "Open",
            Self::Start => "Start",
            Self::Give => "Give",
            Self::Say(_) => "Say",
            Self::CleanUp => "CleanUp",
            Self::Save(_) => "Save",
            Self::Load(_) => "Load",
            Self::Adopt(_) => "Adopt",
            Self::Check(_) => "Check",
            Self::Score(_) => "Score",
            Self::Forget => "Forget",
            Self::Floor(_) => "Floor",
            Self::Bye => "Bye",
        }
    }
}

/// The ability to score a session [afresh](crate::Score::afresh).
pub const AFRESH: &str = "afresh";

/// Who the worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The protocol version that it speaks.
    pub protocol: u32,
    /// Name of the subject: `engine`, `blind`, `node-llama-cpp`, ...
    pub subject: String,
    /// Version of the subject.
    pub version: String,
    /// The llama.cpp release inside, as a tag, a version or a commit.
    pub release: String,
    /// More versions that matter, by name.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// Operations that it carries out.
    pub operations: Vec<String>,
    /// Session file versions that it writes and reads; empty for a foreign subject.
    #[serde(default)]
    pub formats: Vec<String>,
    /// Named abilities, such as `layout:11/4`, `vision` or [`AFRESH`].
    #[serde(default)]
    pub features: Vec<String>,
}

/// What was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// `general.architecture` of the model.
    pub architecture: String,
    /// Memory kind: `plain`, `windowed`, `recurrent`, `hybrid`, ...; empty where the subject does not know.
    #[serde(default)]
    pub memory: String,
    /// Number of tokens in the vocabulary.
    pub n_vocab: u32,
    /// Context length of one session that the settings gave.
    pub n_ctx: u32,
    /// Length of the model's sliding window, in tokens, where it has one.
    #[serde(default)]
    pub window: Option<u32>,
    /// What the layout self-probe found: a layout id, or why images are opaque.
    #[serde(default)]
    pub layout: String,
    /// Things the user should know, such as a setting that llama.cpp overrode.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How a session advanced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The reply's text.
    pub text: String,
    /// Tokens of the whole session now.
    pub tokens: u32,
    /// Tokens that were evaluated for this.
    pub tokens_evaluated: u32,
    /// What was done to the earlier messages, one sentence each: that some left the full context, or were rendered anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took; the step `first-text` is the time until the first piece of a generated reply.
    #[serde(default)]
    pub timings: Timings,
}

/// What a save wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// Every file written, the session file first.
    pub files: Vec<PathBuf>,
    /// Bytes written.
    pub bytes: u64,
    /// Tokens of the session.
    pub tokens: u32,
    /// Digest of the parameters in force at the save, made as [`Receipt::parameters`] is, to tell whether they survived.
    #[serde(default)]
    pub parameters: Option<String>,
    /// What whoever loads it should know, one sentence each: that it can prove nothing, or that a disk did not flush.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took.
    #[serde(default)]
    pub timings: Timings,
}

/// What a load gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loaded {
    /// Id of the session, live now.
    pub session: String,
    /// How the load was carried out.
    pub receipt: Receipt,
    /// The chat as the subject holds it now, for comparison with what was said; `None` where it cannot tell.
    #[serde(default)]
    pub history: Option<Vec<Message>>,
    /// What the load did to another sequence that lives in the session's context, where it did something.
    #[serde(default)]
    pub harm: Option<String>,
}

/// What adopting a state gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Adopted {
    /// Id of the session, live now.
    pub session: String,
    /// What the file is, in words.
    pub what: String,
    /// Which releases may have written it, in words.
    pub writers: String,
    /// Tokens of the session.
    pub tokens: u32,
    /// Of these, the ones whose KV came from the file; the others were evaluated, and all were once to verify it.
    #[serde(default)]
    pub tokens_restored: u32,
    /// Cells that were compared with those that the model gives.
    pub cells_compared: u32,
    /// Normalised mean squared error of K in the layer where it is greatest.
    pub nmse_k: f64,
    /// The same of V.
    pub nmse_v: f64,
    /// The error that the type of the cache allows.
    pub nmse_allowed: f64,
    /// Greatest difference of a log-probability after the last token.
    pub logprob_distance: f32,
    /// Everything that was done, found or assumed, one sentence each.
    pub notes: Vec<String>,
}

/// One message of a chat, as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, without any template framing.
    pub text: String,
    /// It says nothing at all, which is not the same as an empty text: a null in OpenAI-style histories.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_text: bool,
    /// The name of the speaker, or of the tool that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the model thought before it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The tools that the model calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool's message: the id of the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// Its id, by which the answer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// Its arguments, to the letter as the model wrote them.
    pub arguments: String,
}

impl Message {
    /// A message that has nothing but a text.
    #[must_use]
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: text.into(),
            without_text: false,
            name: None,
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// How a load was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// `direct`, `transcoded`, `reprefilled`, `replayed`; `blind` for a subject that does not choose.
    pub route: String,
    /// Every axis that differed, and what that meant.
    #[serde(default)]
    pub axes: Vec<AxisReport>,
    /// Tokens whose KV came from the file.
    pub tokens_restored: u32,
    /// Tokens evaluated during the load.
    pub tokens_evaluated: u32,
    /// Largest logit distance of the canary, where there was one. `None` where it could not be compared.
    #[serde(default)]
    pub canary_distance: Option<f32>,
    /// Digest of the parameters in force after the load, to tell whether they survived.
    #[serde(default)]
    pub parameters: Option<String>,
    /// Further remarks, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How long it took.
    #[serde(default)]
    pub timings: Timings,
}

/// One axis of a passport: what was saved, what is here, what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AxisReport {
    /// Name of the axis.
    pub axis: String,
    /// The saved value.
    pub saved: String,
    /// The value here.
    pub here: String,
    /// `same`, `harmless`, `transcode`, `reprefill`, `replay` or `refuse`.
    pub consequence: String,
    /// Why, in a sentence that a user understands.
    pub reason: String,
}

/// Seconds by step, on the worker's monotonic clock. A total of zero means that the subject does not measure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    /// The whole request.
    pub total_seconds: f64,
    /// Parts of it by name, such as `read`, `verify`, `set`, `canary`.
    #[serde(default)]
    pub steps: BTreeMap<String, f64>,
    /// What was counted meanwhile, by name, where that was asked for: allocations, bytes read, calls to write, and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// The route a load would take; `refused` where none is allowed.
    pub route: String,
    /// Every axis, the ones that are the same too.
    pub axes: Vec<AxisReport>,
    /// The refusal a load would give.
    #[serde(default)]
    pub refusal: Option<Refusal>,
    /// Things the user should know, one sentence each: that the image is missing, or what the chat template does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where scored logits are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scored {
    /// The [`crate::Logits`] file.
    pub path: PathBuf,
    /// Rows in it: forced tokens + 1.
    pub rows: u32,
    /// Logits in a row.
    pub n_vocab: u32,
    /// The forced tokens.
    pub tokens: Vec<i32>,
}
