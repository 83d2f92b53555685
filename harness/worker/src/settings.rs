//! The protocol's settings as the engine's parameters.

use std::path::Path;

use intact_format::kv_type::{KvType, KvTypeError};
use intact_format::parameters::{ContextParameters, FlashAttentionMode};
use intact_protocol::{FlashAttention, Settings};

/// A model file below this many bytes is faster with one thread than with several.
const TINY_MODEL: u64 = 64 << 20;

/// Context parameters that hold for every session of this worker.
pub(crate) fn context_parameters(
    settings: &Settings,
    model: &Path,
) -> Result<ContextParameters, KvTypeError> {
    let kind = |name: &Option<String>| name.as_deref().map(str::parse::<KvType>).transpose();
    let tiny = model.metadata().is_ok_and(|file| file.len() < TINY_MODEL);
    let threads = settings.threads.or(tiny.then_some(1));
    Ok(ContextParameters {
        context_size: settings.n_ctx,
        n_batch: settings.n_batch,
        n_ubatch: settings.n_ubatch,
        n_seq_max: settings.n_seq_max,
        n_threads: threads,
        n_threads_batch: threads,
        type_k: kind(&settings.type_k)?,
        type_v: kind(&settings.type_v)?,
        flash_attention_mode: settings.flash_attention.map(|mode| match mode {
            FlashAttention::Auto => FlashAttentionMode::Auto,
            FlashAttention::On => FlashAttentionMode::Enabled,
            FlashAttention::Off => FlashAttentionMode::Disabled,
        }),
        kv_unified: settings.kv_unified,
        swa_full: settings.swa_full,
        rope_freq_base: settings.rope_freq_base,
        rope_freq_scale: settings.rope_freq_scale,
        yarn_ext_factor: settings.yarn_ext_factor,
        ..ContextParameters::default()
    })
}

/// Settings that were asked for and cannot be applied.
pub(crate) fn inapplicable(settings: &Settings) -> Option<&'static str> {
    if !settings.lora.is_empty() {
        Some("LoRA adapters")
    } else if !settings.control_vectors.is_empty() {
        Some("control vectors")
    } else {
        None
    }
}
