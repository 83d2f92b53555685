//! What differs between the releases of llama.cpp and of its crates that this engine is built against.

use std::borrow::Cow;

use intact_format::layout::Layout;

use super::binding::model::LlamaModel;
use super::binding::sampling::LlamaSampler;
use super::binding::token::LlamaToken;

use super::native::params::{KvCacheType, LlamaContextParams};
use super::{FlashAttention, Token};

/// The llama.cpp that everything runs on: of the package that this crate is linked with, or of the library that is open.
#[cfg(not(llama_loaded))]
static LINKED: Linked = Linked {
    release: Cow::Borrowed(env!("INTACT_LLAMA_RELEASE")),
    vendor: "llama-cpp-sys-2",
    version: Cow::Borrowed(env!("INTACT_LLAMA_PACKAGE")),
    states: States::OfRelease,
};

/// Which llama.cpp everything runs on, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Linked {
    /// The release, as `engine/tags.toml` names it where it is listed there.
    pub release: Cow<'static, str>,
    /// Who built it: a package's name, or `libllama` for a library.
    pub vendor: &'static str,
    /// The package's version; of a library, what it says of itself.
    pub version: Cow<'static, str>,
    /// How its states are laid out.
    pub states: States,
}

/// How the layout of a library's states is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum States {
    /// By the release.
    #[default]
    OfRelease,
    /// By states that it wrote: the release does not say it, or is none of llama.cpp's.
    Of(&'static Layout),
    /// It is not.
    Unknown,
}

impl Linked {
    /// The layout of its states, where it is known.
    #[must_use]
    pub fn layout(&self) -> Option<&'static Layout> {
        match self.states {
            States::OfRelease => Layout::of_release(&self.release),
            States::Of(layout) => Some(layout),
            States::Unknown => None,
        }
    }
}

/// The llama.cpp that everything runs on.
///
/// # Panics
/// In a program that opens its library at run time and has not done so.
#[must_use]
pub fn release() -> &'static Linked {
    #[cfg(llama_loaded)]
    return super::loaded::opened();
    #[cfg(not(llama_loaded))]
    &LINKED
}

/// Whether sequences can be told to share one cache. Releases where they cannot compute RoPE from the number of sequences.
pub(super) fn has_kv_unified() -> bool {
    #[cfg(llama_loaded)]
    return intact_libllama::library().has_kv_unified();
    #[cfg(not(llama_loaded))]
    cfg!(llama_kv_unified)
}

/// Whether adapters can be applied.
pub(super) fn adapters_are_offered() -> Result<(), &'static str> {
    #[cfg(llama_loaded)]
    let offered = intact_libllama::library().has_adapters();
    #[cfg(not(llama_loaded))]
    let offered = cfg!(llama_set_adapters);
    if offered { Ok(()) } else { Err("adapters are not offered for this release of llama.cpp") }
}

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
        FlashAttention::Auto => crate::llama::sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
        FlashAttention::Off => crate::llama::sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        FlashAttention::On => crate::llama::sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
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
        let text = crate::llama::sys::llama_print_system_info();
        if text.is_null() {
            return String::new();
        }
        std::ffi::CStr::from_ptr(text).to_string_lossy().trim().to_owned()
    }
}
