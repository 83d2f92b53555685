//! Everything that must match for saved KV to mean the same thing, and what follows where it does not.

mod axis;
mod compare;
mod rules;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use axis::{Axis, UnknownAxis};
pub use compare::{Consequence, Difference, compare, worst};

use crate::canary::CanaryRule;
use crate::identity::ModelIdentity;
use crate::kv_type::KvType;
use crate::parameters::RopeScalingType;
use crate::version::FormatVersion;

/// What was in force where a session was saved, or is in force where it shall be loaded. Effective values: what llama.cpp
/// uses, not what it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Passport {
    /// Version of the engine.
    pub engine: String,
    /// Format version of the session file; of the newest format that is known, for a reader.
    pub format: FormatVersion,
    /// The llama.cpp release, as a tag, a version or a commit.
    pub release: String,
    /// Name of the layout that the release gives its state; none where it is not known, so that images are opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// The model.
    pub model: ModelIdentity,
    /// The KV cache.
    pub cache: CacheSettings,
    /// How positions are written into K.
    pub rope: RopeSettings,
    /// What is applied on top of the weights, in order.
    pub adapters: Vec<Adapter>,
    /// The preset that the session was created from; none for the library's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// What evaluates the model.
    pub machine: Machine,
    /// When the session was saved; for a reader, now.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub saved_at: Timestamp,
    /// What was done to the image since, oldest first: the release above is then the last one that it was rewritten for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
}

/// A rewriting of the image for another release, without that release and without the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// The release that the image was for.
    pub from: String,
    /// The release that it is for now.
    pub to: String,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What was done, in words.
    pub steps: Vec<String>,
    /// How close the canary can be since.
    pub canary: CanaryRule,
}

/// The settings that decide what is in a KV cache and how it lies there. Batch sizes are none: a session comes back bit for
/// bit where they differ, which the matrix' axis `reader_ubatch` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// Type of K.
    pub type_k: KvType,
    /// Type of V.
    pub type_v: KvType,
    /// Whether V is stored transposed, which it is without flash attention.
    pub v_transposed: bool,
    /// Size of the Hadamard rotation of K; 0 for none.
    pub rotation_k: u32,
    /// Size of the Hadamard rotation of V; 0 for none.
    pub rotation_v: u32,
    /// Whether all sequences share one cache.
    pub unified: bool,
    /// Streams of the cache.
    pub streams: u32,
    /// Sequences that the context has room for.
    pub n_seq_max: u32,
    /// Context length of one sequence in tokens.
    pub n_ctx: u32,
    /// Whether sliding-window caches keep the whole context; none for a model without such a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swa_full: Option<bool>,
}

/// How positions are written into K.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RopeSettings {
    /// How RoPE is stretched.
    pub scaling: RopeScalingType,
    /// Base frequency.
    pub base: f32,
    /// Frequency scale.
    pub scale: f32,
    /// YaRN extrapolation mix factor.
    pub yarn_ext_factor: f32,
    /// YaRN magnitude scale.
    pub yarn_attn_factor: f32,
    /// YaRN low correction dimension.
    pub yarn_beta_fast: f32,
    /// YaRN high correction dimension.
    pub yarn_beta_slow: f32,
    /// Context length that the model was trained with.
    pub yarn_orig_ctx: u32,
}

/// Something that is applied on top of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// What it is.
    pub kind: AdapterKind,
    /// File name without its folder.
    pub file: String,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// How strongly it is applied.
    pub scale: f32,
}

/// What an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// Low-rank changes to the weights.
    Lora,
    /// A vector added to the activations.
    ControlVector,
}

/// What evaluates the model. None of it changes what KV means; all of it can change the last bits of a logit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The ggml backend.
    pub backend: String,
    /// The instruction sets in use, sorted.
    pub cpu_features: Vec<String>,
    /// Threads that evaluate single tokens.
    pub threads: u32,
    /// Whether flash attention is used.
    pub flash_attention: bool,
}
