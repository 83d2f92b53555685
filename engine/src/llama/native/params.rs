//! Settings of a context, in llama.cpp's form.

use std::num::NonZeroU32;

use crate::llama::sys;

/// Settings of a context.
#[derive(Debug, Clone, Copy)]
pub(in crate::llama) struct LlamaContextParams(pub(super) sys::llama_context_params);

impl Default for LlamaContextParams {
    fn default() -> Self {
        // SAFETY: takes nothing and returns a value.
        Self(unsafe { sys::llama_context_default_params() })
    }
}

macro_rules! fields {
    ($($with:ident: $field:ident $type:ty),* $(,)?) => {
        $(pub(in crate::llama) fn $with(mut self, value: $type) -> Self {
            self.0.$field = value;
            self
        })*
    };
}

impl LlamaContextParams {
    fields! {
        with_n_seq_max: n_seq_max u32,
        with_n_batch: n_batch u32,
        with_n_ubatch: n_ubatch u32,
        with_n_threads: n_threads i32,
        with_n_threads_batch: n_threads_batch i32,
        with_swa_full: swa_full bool,
        with_rope_freq_base: rope_freq_base f32,
        with_rope_freq_scale: rope_freq_scale f32,
        with_yarn_ext_factor: yarn_ext_factor f32,
        with_yarn_attn_factor: yarn_attn_factor f32,
        with_yarn_beta_fast: yarn_beta_fast f32,
        with_yarn_beta_slow: yarn_beta_slow f32,
        with_yarn_orig_ctx: yarn_orig_ctx u32,
        with_offload_kqv: offload_kqv bool,
        with_op_offload: op_offload bool,
        with_no_perf: no_perf bool,
    }

    pub(in crate::llama) fn n_threads(&self) -> i32 {
        self.0.n_threads
    }

    pub(in crate::llama) fn with_n_ctx(mut self, n_ctx: Option<NonZeroU32>) -> Self {
        self.0.n_ctx = n_ctx.map_or(0, NonZeroU32::get);
        self
    }

    /// llama.cpp's own default, 0, is what the model says by then, and an earlier context can have changed that.
    pub(in crate::llama) fn with_n_ctx_unless_given(mut self, n_ctx: u32) -> Self {
        if self.0.n_ctx == 0 {
            self.0.n_ctx = n_ctx;
        }
        self
    }

    pub(in crate::llama) fn with_type_k(mut self, kv_type: KvCacheType) -> Self {
        self.0.type_k = kv_type.0;
        self
    }

    pub(in crate::llama) fn with_type_v(mut self, kv_type: KvCacheType) -> Self {
        self.0.type_v = kv_type.0;
        self
    }

    pub(in crate::llama) fn with_rope_scaling_type(mut self, scaling: RopeScalingType) -> Self {
        self.0.rope_scaling_type = scaling.0;
        self
    }

    #[cfg(llama_flash_attn_type)]
    pub(in crate::llama) fn with_flash_attention_policy(
        mut self,
        policy: sys::llama_flash_attn_type,
    ) -> Self {
        self.0.flash_attn_type = policy;
        self
    }

    #[cfg(not(llama_flash_attn_type))]
    pub(in crate::llama) fn with_flash_attn(mut self, on: bool) -> Self {
        self.0.flash_attn = on;
        self
    }

    #[cfg_attr(not(llama_kv_unified), expect(unused_mut, unused_variables, reason = "always unified there"))]
    pub(in crate::llama) fn with_kv_unified(mut self, unified: bool) -> Self {
        #[cfg(llama_kv_unified)]
        {
            self.0.kv_unified = unified;
        }
        self
    }
}

/// A type that K or V can have, by ggml's names.
#[derive(Debug, Clone, Copy)]
pub(in crate::llama) struct KvCacheType(sys::ggml_type);

impl KvCacheType {
    pub(in crate::llama) const F32: Self = Self(sys::GGML_TYPE_F32);
    pub(in crate::llama) const F16: Self = Self(sys::GGML_TYPE_F16);
    pub(in crate::llama) const BF16: Self = Self(sys::GGML_TYPE_BF16);
    pub(in crate::llama) const Q8_0: Self = Self(sys::GGML_TYPE_Q8_0);
    pub(in crate::llama) const Q5_1: Self = Self(sys::GGML_TYPE_Q5_1);
    pub(in crate::llama) const Q5_0: Self = Self(sys::GGML_TYPE_Q5_0);
    pub(in crate::llama) const Q4_1: Self = Self(sys::GGML_TYPE_Q4_1);
    pub(in crate::llama) const Q4_0: Self = Self(sys::GGML_TYPE_Q4_0);
    pub(in crate::llama) const IQ4_NL: Self = Self(sys::GGML_TYPE_IQ4_NL);
}

/// How RoPE is scaled, by llama.cpp's number.
#[derive(Debug, Clone, Copy)]
pub(in crate::llama) struct RopeScalingType(sys::llama_rope_scaling_type);

impl From<i32> for RopeScalingType {
    fn from(number: i32) -> Self {
        Self(number)
    }
}
