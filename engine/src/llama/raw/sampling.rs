use std::ffi::{CString, c_char};
use std::ptr::NonNull;

use crate::llama::sys;

use super::model::LlamaModel;
use super::token::LlamaToken;
use super::token::data_array::LlamaTokenDataArray;
use super::token::logit_bias::LlamaLogitBias;

/// One of llama.cpp's samplers, or a chain of them. Null stands for one that llama.cpp did not make: it does nothing.
#[derive(Debug)]
pub(in crate::llama) struct LlamaSampler(Option<NonNull<sys::llama_sampler>>);

// SAFETY: a sampler is not bound to a thread, and is changed through an exclusive reference only.
unsafe impl Send for LlamaSampler {}
// SAFETY: as above.
unsafe impl Sync for LlamaSampler {}

macro_rules! samplers {
    ($($name:ident($($argument:ident: $type:ty),*) = $init:ident),* $(,)?) => {
        $(pub(in crate::llama) fn $name($($argument: $type),*) -> Self {
            // SAFETY: plain values.
            Self(NonNull::new(unsafe { sys::$init($($argument),*) }))
        })*
    };
}

impl LlamaSampler {
    samplers! {
        greedy() = llama_sampler_init_greedy,
        dist(seed: u32) = llama_sampler_init_dist,
        top_k(k: i32) = llama_sampler_init_top_k,
        top_p(p: f32, min_keep: usize) = llama_sampler_init_top_p,
        min_p(p: f32, min_keep: usize) = llama_sampler_init_min_p,
        typical(p: f32, min_keep: usize) = llama_sampler_init_typical,
        top_n_sigma(n: f32) = llama_sampler_init_top_n_sigma,
        temp_ext(temperature: f32, range: f32, exponent: f32) = llama_sampler_init_temp_ext,
        xtc(p: f32, threshold: f32, min_keep: usize, seed: u32) = llama_sampler_init_xtc,
        mirostat(n_vocab: i32, seed: u32, tau: f32, eta: f32, m: i32) = llama_sampler_init_mirostat,
        mirostat_v2(seed: u32, tau: f32, eta: f32) = llama_sampler_init_mirostat_v2,
    }

    pub(in crate::llama) fn chain(samplers: impl IntoIterator<Item = Self>, no_perf: bool) -> Self {
        // SAFETY: a plain value.
        let chain = unsafe { sys::llama_sampler_chain_init(sys::llama_sampler_chain_params { no_perf }) };
        for sampler in samplers {
            if let Some(sampler) = std::mem::ManuallyDrop::new(sampler).0 {
                // SAFETY: the chain lives and owns the sampler from here on.
                unsafe { sys::llama_sampler_chain_add(chain, sampler.as_ptr()) };
            }
        }
        Self(NonNull::new(chain))
    }

    pub(in crate::llama) fn penalties(
        n_vocab: i32,
        last_n: i32,
        repeat: f32,
        frequency: f32,
        presence: f32,
    ) -> Self {
        #[cfg(llama_penalties_n_vocab)]
        // SAFETY: plain values.
        let made = unsafe { sys::llama_sampler_init_penalties(n_vocab, last_n, repeat, frequency, presence) };
        #[cfg(not(llama_penalties_n_vocab))]
        let made = {
            let _grows_as_it_needs = n_vocab;
            // SAFETY: plain values.
            unsafe { sys::llama_sampler_init_penalties(last_n, repeat, frequency, presence) }
        };
        Self(NonNull::new(made))
    }

    /// # Panics
    /// If a breaker contains a NUL.
    pub(in crate::llama) fn dry(
        model: &LlamaModel,
        multiplier: f32,
        base: f32,
        allowed_length: i32,
        penalty_last_n: i32,
        breakers: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Self {
        let breakers: Vec<CString> = breakers
            .into_iter()
            .map(|breaker| CString::new(breaker.as_ref()).expect("a breaker without NUL"))
            .collect();
        let mut pointers: Vec<*const c_char> = breakers.iter().map(|breaker| breaker.as_ptr()).collect();
        // SAFETY: the vocabulary lives with the model; the breakers are NUL-terminated and copied by llama.cpp.
        let made = unsafe {
            sys::llama_sampler_init_dry(
                model.vocabulary(),
                #[cfg(any(not(llama_penalties_n_vocab), llama_loaded))]
                i32::try_from(model.n_ctx_train()).unwrap_or(i32::MAX),
                multiplier,
                base,
                allowed_length,
                penalty_last_n,
                pointers.as_mut_ptr(),
                pointers.len(),
            )
        };
        Self(NonNull::new(made))
    }

    pub(in crate::llama) fn logit_bias(n_vocab: i32, biases: &[LlamaLogitBias]) -> Self {
        let count = i32::try_from(biases.len()).unwrap_or(i32::MAX);
        // SAFETY: the wrapper is llama.cpp's own struct in memory, and the count is the slice's.
        Self(NonNull::new(unsafe {
            sys::llama_sampler_init_logit_bias(n_vocab, count, biases.as_ptr().cast())
        }))
    }

    pub(in crate::llama) fn accept(&mut self, token: LlamaToken) {
        if let Some(sampler) = self.0 {
            // SAFETY: the sampler lives.
            unsafe { sys::llama_sampler_accept(sampler.as_ptr(), token.0) };
        }
    }

    pub(in crate::llama) fn apply(&mut self, candidates: &mut LlamaTokenDataArray) {
        if let Some(sampler) = self.0 {
            // SAFETY: the sampler lives, and the array is a live one of the length that it says.
            candidates.lend(|array| unsafe { sys::llama_sampler_apply(sampler.as_ptr(), array) });
        }
    }
}

impl Drop for LlamaSampler {
    fn drop(&mut self) {
        if let Some(sampler) = self.0 {
            // SAFETY: nothing else refers to the sampler; a chain frees what it owns.
            unsafe { sys::llama_sampler_free(sampler.as_ptr()) };
        }
    }
}
