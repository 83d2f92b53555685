//! Context parameters: whose count, and what llama.cpp makes of them.

use intact_format::parameters::{
    AttentionType, ContextParameters, FlashAttentionMode, Parameters, ParametersOverlay, PoolingType,
    RopeScalingType,
};

use crate::error::EngineError;
use crate::llama::{ContextSettings, FlashAttention, Model};

/// Most sequences that llama.cpp gives a context.
const MAX_SEQUENCES: u32 = 256;
/// Sequences of the longest context that a file may ask for.
const USUAL_SEQUENCES: u64 = 8;
/// Most threads that ggml starts.
const MAX_THREADS: u32 = 512;
/// Fewest tokens of a context: what finds out about its memory evaluates some, and so does every message.
const LEAST_CONTEXT: u32 = 8;
/// Tokens of a batch that are always allowed.
const MAX_BATCH: u32 = 4096;

/// `parameters` with the context parameters of `forced` in place of its own, where they are given.
pub(crate) fn with_forced(parameters: &Parameters, forced: &ContextParameters) -> Parameters {
    let forced = Parameters { context_parameters: forced.clone(), ..Parameters::default() };
    ParametersOverlay::between(&Parameters::default(), &forced)
        .and_then(|overlay| overlay.apply(parameters))
        .unwrap_or_else(|_| parameters.clone())
}

/// Why context parameters that came from a file cannot be used: they ask for more than the model can make use of.
pub(crate) fn excess(
    parameters: &ContextParameters,
    own: &ContextParameters,
    model: &Model,
) -> Option<String> {
    let most = model.n_ctx_train().max(own.context_size.unwrap_or(0));
    let beyond = beyond([
        ("ContextSize", parameters.context_size, most),
        ("NBatch", parameters.n_batch, most.max(MAX_BATCH)),
        ("NUbatch", parameters.n_ubatch, most.max(MAX_BATCH)),
    ]);
    let cells = |parameters: &ContextParameters| {
        let length = parameters.context_size.unwrap_or(0);
        u64::from(length) * u64::from(parameters.n_seq_max.unwrap_or(1).max(1))
    };
    // Some sequences beside the session's are no surprise; hundreds of the whole trained context are.
    let most = (u64::from(most) * USUAL_SEQUENCES).max(cells(own));
    let together = (cells(parameters) > most).then(|| {
        format!("ContextSize times NSeqMax is {}, and at most {most} is possible", cells(parameters))
    });
    beyond.or(together)
}

/// Why no context can have these parameters, whoever asks for them: llama.cpp would hang or abort.
fn impossible(parameters: &ContextParameters) -> Option<String> {
    let short = parameters.context_size.filter(|length| (1..LEAST_CONTEXT).contains(length));
    let short =
        short.map(|length| format!("ContextSize is {length}, and at least {LEAST_CONTEXT} is needed"));
    // llama.cpp makes room for one token of each sequence in a batch, and there can be one sequence more beside a session's.
    let least = parameters.n_seq_max.unwrap_or(1).max(1).saturating_add(1);
    let batch = parameters.n_batch.filter(|batch| (1..least).contains(batch));
    let batch = batch.map(|batch| format!("NBatch is {batch}, and at least {least} is needed"));
    short.or(batch).or_else(|| {
        beyond([
            ("NSeqMax", parameters.n_seq_max, MAX_SEQUENCES),
            ("NThreads", parameters.n_threads, MAX_THREADS),
            ("NThreadsBatch", parameters.n_threads_batch, MAX_THREADS),
        ])
    })
}

fn beyond<const N: usize>(limits: [(&str, Option<u32>, u32); N]) -> Option<String> {
    limits.into_iter().find_map(|(name, value, most)| {
        let value = value.filter(|&value| value > most)?;
        Some(format!("{name} is {value}, and at most {most} is possible"))
    })
}

/// llama.cpp's form of context parameters.
///
/// # Errors
/// [`EngineError::Unsupported`] for what makes a context that cannot chat, [`EngineError::Parameters`] for what llama.cpp
/// would hang or abort at.
pub(crate) fn settings(parameters: &ContextParameters) -> Result<ContextSettings, EngineError> {
    if let Some(what) = unsuitable(parameters) {
        return Err(EngineError::Unsupported { what: what.to_owned() });
    }
    if let Some(what) = impossible(parameters) {
        return Err(EngineError::Parameters { what });
    }
    // llama.cpp aborts at 0 where it needs a number; a count of 0 stands for its default here.
    let some = |count: Option<u32>| count.filter(|&count| count > 0);
    Ok(ContextSettings {
        n_ctx: parameters.context_size,
        n_batch: some(parameters.n_batch),
        n_ubatch: parameters.n_ubatch,
        n_seq_max: some(parameters.n_seq_max),
        threads: some(parameters.n_threads),
        threads_batch: some(parameters.n_threads_batch),
        type_k: parameters.type_k.map(|kind| kind.name().to_owned()),
        type_v: parameters.type_v.map(|kind| kind.name().to_owned()),
        flash_attention: parameters.flash_attention_mode.map(|mode| match mode {
            FlashAttentionMode::Auto => FlashAttention::Auto,
            FlashAttentionMode::Disabled => FlashAttention::Off,
            FlashAttentionMode::Enabled => FlashAttention::On,
        }),
        kv_unified: parameters.kv_unified,
        scratch: false,
        swa_full: parameters.swa_full,
        rope_scaling_type: parameters.rope_scaling_type.map(|kind| match kind {
            RopeScalingType::Unspecified => -1,
            RopeScalingType::None => 0,
            RopeScalingType::Linear => 1,
            RopeScalingType::Yarn => 2,
            RopeScalingType::LongRope => 3,
        }),
        rope_freq_base: parameters.rope_freq_base,
        rope_freq_scale: parameters.rope_freq_scale,
        yarn_ext_factor: parameters.yarn_ext_factor,
        yarn_attn_factor: parameters.yarn_attn_factor,
        yarn_beta_fast: parameters.yarn_beta_fast,
        yarn_beta_slow: parameters.yarn_beta_slow,
        yarn_orig_ctx: parameters.yarn_orig_ctx,
        offload_kqv: parameters.offload_kqv,
        op_offload: parameters.op_offload,
        no_perf: parameters.no_perf,
    })
}

fn unsuitable(parameters: &ContextParameters) -> Option<&'static str> {
    if parameters.embeddings == Some(true) {
        Some("Embeddings: a context for embeddings cannot chat, so it")
    } else if parameters.attention_type == Some(AttentionType::NonCausal) {
        Some("AttentionType NonCausal: such a context cannot chat, so it")
    } else if parameters
        .pooling_type
        .is_some_and(|kind| !matches!(kind, PoolingType::Unspecified | PoolingType::None))
    {
        Some("PoolingType: a context that pools cannot chat, so it")
    } else if parameters.rope_scaling_type == Some(RopeScalingType::LongRope) {
        Some("RopeScalingType LongRope, which llama.cpp takes from the model file alone, so it")
    } else {
        None
    }
}
