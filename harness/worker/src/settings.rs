//! The protocol's settings as the engine's parameters.

use std::path::Path;

use intact_format::kv_type::{KvType, KvTypeError};
use intact_format::parameters::{ContextParameters, FlashAttentionMode, SamplerParameters};
use intact_protocol::{FlashAttention, Sampling, Settings, TINY_MODEL};

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

/// Sampler parameters with what is asked for in place of their own.
pub(crate) fn sample_as(parameters: &mut SamplerParameters, sampling: &Sampling) {
    fn put<T: Copy>(into: &mut T, value: Option<T>) {
        *into = value.unwrap_or(*into);
    }
    put(&mut parameters.seed, sampling.seed);
    put(&mut parameters.temperature, sampling.temperature);
    put(&mut parameters.top_k, sampling.top_k);
    put(&mut parameters.top_p, sampling.top_p);
    put(&mut parameters.repetition_penalty, sampling.repetition_penalty);
    put(&mut parameters.frequency_penalty, sampling.frequency_penalty);
    put(&mut parameters.dry_multiplier, sampling.dry_multiplier);
    put(&mut parameters.mirostat, sampling.mirostat);
}
