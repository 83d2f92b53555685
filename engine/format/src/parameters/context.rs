//! The context that sessions live in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kv_type::KvType;

/// The context that sessions live in. `None` (JSON `null`) means llama.cpp's own default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ContextParameters {
    /// Context length in tokens.
    pub context_size: Option<u32>,
    /// Logical batch size in tokens.
    #[serde(rename = "NBatch")]
    pub n_batch: Option<u32>,
    /// Physical batch size in tokens.
    #[serde(rename = "NUbatch")]
    pub n_ubatch: Option<u32>,
    /// Sequences that the context has room for.
    #[serde(rename = "NSeqMax")]
    pub n_seq_max: Option<u32>,
    /// Threads that evaluate single tokens.
    #[serde(rename = "NThreads")]
    pub n_threads: Option<u32>,
    /// Threads that evaluate batches.
    #[serde(rename = "NThreadsBatch")]
    pub n_threads_batch: Option<u32>,
    /// How RoPE is stretched.
    pub rope_scaling_type: Option<RopeScalingType>,
    /// RoPE base frequency.
    pub rope_freq_base: Option<f32>,
    /// RoPE frequency scale.
    pub rope_freq_scale: Option<f32>,
    /// YaRN extrapolation mix factor.
    pub yarn_ext_factor: Option<f32>,
    /// YaRN magnitude scale.
    pub yarn_attn_factor: Option<f32>,
    /// YaRN low correction dimension.
    pub yarn_beta_fast: Option<f32>,
    /// YaRN high correction dimension.
    pub yarn_beta_slow: Option<f32>,
    /// Context length that the model was trained with, for YaRN.
    pub yarn_orig_ctx: Option<u32>,
    /// Causal or not.
    pub attention_type: Option<AttentionType>,
    /// Whether flash attention is used; it decides how V is laid out.
    pub flash_attention_mode: Option<FlashAttentionMode>,
    /// How embeddings are pooled.
    pub pooling_type: Option<PoolingType>,
    /// Whether embeddings are computed.
    pub embeddings: Option<bool>,
    /// Type of K in the cache.
    pub type_k: Option<KvType>,
    /// Type of V in the cache.
    pub type_v: Option<KvType>,
    /// Whether the KV cache and its operations go to the accelerator.
    pub offload_kqv: Option<bool>,
    /// Fragmentation from which the cache is defragmented. llama.cpp ignores it by now.
    pub defrag_threshold: Option<f32>,
    /// Whether sliding-window caches keep the whole context.
    pub swa_full: Option<bool>,
    /// One cache shared by all sequences, or a stream for each.
    pub kv_unified: Option<bool>,
    /// Whether operations on host tensors go to the accelerator.
    pub op_offload: Option<bool>,
    /// Whether timings are left out.
    pub no_perf: Option<bool>,
}

/// How RoPE is stretched beyond the trained context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RopeScalingType {
    /// What the model file says.
    Unspecified,
    /// Not at all.
    None,
    /// All frequencies alike.
    Linear,
    /// By frequency.
    Yarn,
    /// With the model's own factors.
    LongRope,
}

impl RopeScalingType {
    /// The name in passports and what is said of them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::None => "none",
            Self::Linear => "linear",
            Self::Yarn => "yarn",
            Self::LongRope => "longrope",
        }
    }
}

/// Which tokens a token attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AttentionType {
    /// What the model file says.
    Unspecified,
    /// The ones before it.
    Causal,
    /// All.
    NonCausal,
}

/// Whether flash attention is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FlashAttentionMode {
    /// llama.cpp decides.
    Auto,
    /// Never: V is stored transposed.
    Disabled,
    /// Always: V is stored by token.
    Enabled,
}

/// How the embeddings of a sequence become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PoolingType {
    /// What the model file says.
    Unspecified,
    /// Not at all.
    None,
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
    /// A ranking head's.
    Rank,
}
