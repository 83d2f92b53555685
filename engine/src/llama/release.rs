//! What differs between the releases of llama.cpp and of its crates that this engine is built against.

use super::binding::model::LlamaModel;
use super::binding::sampling::LlamaSampler;
use super::binding::token::LlamaToken;

use super::native::params::{KvCacheType, LlamaContextParams};
use super::{FlashAttention, Token};

/// The llama.cpp release inside, as `engine/tags.toml` names it.
pub const LLAMA_RELEASE: &str = env!("INTACT_LLAMA_RELEASE");

/// Version of the `llama-cpp-sys-2` package that vendors it.
pub const LLAMA_PACKAGE: &str = env!("INTACT_LLAMA_PACKAGE");

pub(super) fn tokenize(model: &LlamaModel, text: &str, add_special: bool, parse_special: bool) -> Vec<Token> {
    let tokens = model.vocab().tokenize(text.as_bytes(), add_special, parse_special);
    tokens.into_iter().map(|LlamaToken(token)| Token(token)).collect()
}

pub(super) fn piece(model: &LlamaModel, token: Token, special: bool) -> Vec<u8> {
    model.vocab().token_to_piece(LlamaToken(token.0), special, None)
}

pub(super) fn ends_generation(model: &LlamaModel, token: Token) -> bool {
    model.vocab().is_eog(LlamaToken(token.0))
}

pub(super) fn adds_bos(model: &LlamaModel) -> bool {
    model.vocab().should_add_bos()
}

pub(super) fn special(model: &LlamaModel) -> (Token, Token) {
    (Token(model.vocab().bos().0), Token(model.vocab().eos().0))
}

pub(super) fn penalties(
    n_vocab: i32,
    last_n: i32,
    repeat: f32,
    frequency: f32,
    presence: f32,
) -> LlamaSampler {
    LlamaSampler::penalties(n_vocab, last_n, repeat, frequency, presence)
}

#[cfg(llama_flash_attn_type)]
pub(super) fn with_flash_attention(params: LlamaContextParams, mode: FlashAttention) -> LlamaContextParams {
    params.with_flash_attention_policy(match mode {
        FlashAttention::Auto => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_AUTO,
        FlashAttention::Off => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        FlashAttention::On => llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_ENABLED,
    })
}

/// These releases do not choose by themselves: it is off unless it is asked for.
#[cfg(not(llama_flash_attn_type))]
pub(super) fn with_flash_attention(params: LlamaContextParams, mode: FlashAttention) -> LlamaContextParams {
    params.with_flash_attn(mode == FlashAttention::On)
}

/// The types that llama.cpp takes for K and V, by ggml's names.
pub(super) fn kv_type(name: &str) -> Option<KvCacheType> {
    Some(match name {
        "f32" => KvCacheType::F32,
        "f16" => KvCacheType::F16,
        "bf16" => KvCacheType::BF16,
        "q8_0" => KvCacheType::Q8_0,
        "q5_1" => KvCacheType::Q5_1,
        "q5_0" => KvCacheType::Q5_0,
        "q4_1" => KvCacheType::Q4_1,
        "q4_0" => KvCacheType::Q4_0,
        "iq4_nl" => KvCacheType::IQ4_NL,
        _ => return None,
    })
}

#[expect(unsafe_code, reason = "the crate does not offer llama_print_system_info")]
pub(super) fn system_info() -> String {
    // SAFETY: llama.cpp returns a pointer to a static, NUL-terminated string, or null; it is copied at once.
    unsafe {
        let text = llama_cpp_sys_2::llama_print_system_info();
        if text.is_null() {
            return String::new();
        }
        std::ffi::CStr::from_ptr(text).to_string_lossy().trim().to_owned()
    }
}
