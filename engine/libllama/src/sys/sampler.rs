//! Samplers.

use std::ffi::c_char;

use super::{call, call_or, llama_sampler, llama_token, llama_vocab, log_error};
use crate::library::library;

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct llama_token_data {
    pub id: llama_token,
    pub logit: f32,
    pub p: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct llama_token_data_array {
    pub data: *mut llama_token_data,
    pub size: usize,
    pub selected: i64,
    pub sorted: bool,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct llama_logit_bias {
    pub token: llama_token,
    pub bias: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct llama_sampler_chain_params {
    pub no_perf: bool,
}

macro_rules! samplers {
    ($($name:ident($($argument:ident: $type:ty),*) = $function:ident),* $(,)?) => {
        $(pub unsafe fn $name($($argument: $type),*) -> *mut llama_sampler {
            call!($function($($argument),*))
        })*
    };
}

samplers! {
    llama_sampler_chain_init(params: llama_sampler_chain_params) = sampler_chain_init,
    llama_sampler_init_greedy() = sampler_init_greedy,
    llama_sampler_init_dist(seed: u32) = sampler_init_dist,
    llama_sampler_init_top_k(k: i32) = sampler_init_top_k,
    llama_sampler_init_top_p(p: f32, min_keep: usize) = sampler_init_top_p,
    llama_sampler_init_min_p(p: f32, min_keep: usize) = sampler_init_min_p,
    llama_sampler_init_typical(p: f32, min_keep: usize) = sampler_init_typical,
    llama_sampler_init_temp_ext(temperature: f32, range: f32, exponent: f32) = sampler_init_temp_ext,
    llama_sampler_init_mirostat(n_vocab: i32, seed: u32, tau: f32, eta: f32, m: i32) = sampler_init_mirostat,
    llama_sampler_init_mirostat_v2(seed: u32, tau: f32, eta: f32) = sampler_init_mirostat_v2,
    llama_sampler_init_logit_bias(n_vocab: i32, count: i32, biases: *const llama_logit_bias) = sampler_init_logit_bias,
}

pub unsafe fn llama_sampler_chain_add(chain: *mut llama_sampler, sampler: *mut llama_sampler) {
    call!(sampler_chain_add(chain, sampler));
}

pub unsafe fn llama_sampler_accept(sampler: *mut llama_sampler, token: llama_token) {
    call!(sampler_accept(sampler, token));
}

pub unsafe fn llama_sampler_apply(sampler: *mut llama_sampler, candidates: *mut llama_token_data_array) {
    call!(sampler_apply(sampler, candidates));
}

pub unsafe fn llama_sampler_free(sampler: *mut llama_sampler) {
    call!(sampler_free(sampler));
}

pub unsafe fn llama_sampler_init_top_n_sigma(n: f32) -> *mut llama_sampler {
    call_or!(absent("top-n-sigma"), sampler_init_top_n_sigma(n))
}

pub unsafe fn llama_sampler_init_xtc(
    p: f32,
    threshold: f32,
    min_keep: usize,
    seed: u32,
) -> *mut llama_sampler {
    call_or!(absent("XTC"), sampler_init_xtc(p, threshold, min_keep, seed))
}

pub unsafe fn llama_sampler_init_penalties(
    n_vocab: i32,
    last_n: i32,
    repeat: f32,
    frequency: f32,
    presence: f32,
) -> *mut llama_sampler {
    let library = library();
    let Some(form) = library.penalties else { return absent("penalties in a known form") };
    form.penalties(&library.functions, (n_vocab, last_n), [repeat, frequency, presence])
}

/// `n_ctx_train` is an argument of some releases only.
#[expect(clippy::too_many_arguments, reason = "as llama.cpp has them")]
pub unsafe fn llama_sampler_init_dry(
    vocab: *const llama_vocab,
    n_ctx_train: i32,
    multiplier: f32,
    base: f32,
    allowed_length: i32,
    last_n: i32,
    breakers: *mut *const c_char,
    count: usize,
) -> *mut llama_sampler {
    let library = library();
    let Some(form) = library.penalties else { return absent("DRY in a known form") };
    let lengths = [allowed_length, last_n];
    // SAFETY: as the caller promises.
    unsafe { form.dry(&library.functions, vocab, n_ctx_train, [multiplier, base], lengths, breakers, count) }
}

fn absent(what: &str) -> *mut llama_sampler {
    log_error(&format!("this library has no sampler for {what}"));
    std::ptr::null_mut()
}
