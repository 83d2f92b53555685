//! Settings of a context, in our own words.

use std::num::NonZeroU32;

use super::native::params::{KvCacheType, LlamaContextParams, RopeScalingType};

use super::{LlamaError, release};

/// Settings of a context. `None` means llama.cpp's own default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContextSettings {
    /// Context length of one sequence, in tokens.
    pub n_ctx: Option<u32>,
    /// Logical batch size, in tokens.
    pub n_batch: Option<u32>,
    /// Physical batch size, in tokens.
    pub n_ubatch: Option<u32>,
    /// Sequences that the context has room for.
    pub n_seq_max: Option<u32>,
    /// Threads for single tokens.
    pub threads: Option<u32>,
    /// Threads for batches.
    pub threads_batch: Option<u32>,
    /// Type of K, by ggml's name.
    pub type_k: Option<String>,
    /// Type of V, by ggml's name.
    pub type_v: Option<String>,
    /// Flash attention.
    pub flash_attention: Option<FlashAttention>,
    /// One cache for all sequences, or a stream for each.
    pub kv_unified: Option<bool>,
    /// Have one sequence more than asked for, where it can share the cache of the others and costs nothing: see
    /// [`Context::slice`](super::Context::slice).
    pub scratch: bool,
    /// Keep the whole context in sliding-window caches too.
    pub swa_full: Option<bool>,
    /// RoPE scaling type, by llama.cpp's number.
    pub rope_scaling_type: Option<i32>,
    /// RoPE base frequency.
    pub rope_freq_base: Option<f32>,
    /// RoPE frequency scale.
    pub rope_freq_scale: Option<f32>,
    /// YaRN extrapolation mix factor.
    pub yarn_ext_factor: Option<f32>,
    /// YaRN magnitude scaling factor.
    pub yarn_attn_factor: Option<f32>,
    /// YaRN low correction dimension.
    pub yarn_beta_fast: Option<f32>,
    /// YaRN high correction dimension.
    pub yarn_beta_slow: Option<f32>,
    /// YaRN original context length.
    pub yarn_orig_ctx: Option<u32>,
    /// Keep K, Q and V on the accelerator.
    pub offload_kqv: Option<bool>,
    /// Offload host operations to the accelerator.
    pub op_offload: Option<bool>,
    /// Do not measure time.
    pub no_perf: Option<bool>,
}

/// Whether flash attention is used. It decides how V is laid out in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashAttention {
    /// llama.cpp decides.
    Auto,
    /// Never: V is stored transposed.
    Off,
    /// Always: V is stored by token.
    On,
}

macro_rules! set {
    ($params:ident: $($value:expr => $with:ident),* $(,)?) => {
        $(if let Some(value) = $value { $params = $params.$with(value); })*
    };
}

/// Most sequences that llama.cpp gives a context.
const MAX_SEQUENCES: u32 = 256;

impl ContextSettings {
    /// The sequence beside those that were asked for, where there can be one: in a cache that all sequences share.
    /// Releases that cannot be told to share compute RoPE from the number of sequences, so they get no other number.
    pub(super) fn scratch_sequence(&self) -> Option<u32> {
        let sequences = self.n_seq_max.unwrap_or(1).max(1);
        let shared = sequences == 1 || self.kv_unified == Some(true);
        (release::has_kv_unified() && self.scratch && shared && sequences < MAX_SEQUENCES)
            .then_some(sequences)
    }

    /// llama.cpp's form. `n_ctx` of one sequence becomes the length of the whole context.
    pub(super) fn to_params(&self) -> Result<LlamaContextParams, LlamaError> {
        let sequences = self.n_seq_max.unwrap_or(1).max(1);
        let scratch = self.scratch_sequence();
        let threads = |count: Option<u32>| count.map(|count| i32::try_from(count).unwrap_or(i32::MAX));
        let mut params = LlamaContextParams::default();
        set!(params:
            Some(scratch.map_or(sequences, |scratch| scratch + 1)) => with_n_seq_max,
            self.n_ctx.map(|length| NonZeroU32::new(length.saturating_mul(sequences))) => with_n_ctx,
            self.n_batch => with_n_batch,
            self.n_ubatch => with_n_ubatch,
            threads(self.threads) => with_n_threads,
            threads(self.threads_batch.or(self.threads)) => with_n_threads_batch,
            kv_type(self.type_k.as_deref())? => with_type_k,
            kv_type(self.type_v.as_deref())? => with_type_v,
            scratch.map(|_| true).or(self.kv_unified) => with_kv_unified,
            self.swa_full => with_swa_full,
            self.rope_scaling_type.map(RopeScalingType::from) => with_rope_scaling_type,
            self.rope_freq_base => with_rope_freq_base,
            self.rope_freq_scale => with_rope_freq_scale,
            self.yarn_ext_factor => with_yarn_ext_factor,
            self.yarn_attn_factor => with_yarn_attn_factor,
            self.yarn_beta_fast => with_yarn_beta_fast,
            self.yarn_beta_slow => with_yarn_beta_slow,
            self.yarn_orig_ctx => with_yarn_orig_ctx,
            self.offload_kqv => with_offload_kqv,
            self.op_offload => with_op_offload,
            self.no_perf => with_no_perf,
        );
        Ok(match self.flash_attention {
            Some(mode) => release::with_flash_attention(params, mode),
            None => params,
        })
    }
}

fn kv_type(name: Option<&str>) -> Result<Option<KvCacheType>, LlamaError> {
    name.map(|name| release::kv_type(name).ok_or_else(|| LlamaError::KvType(name.to_owned()))).transpose()
}
