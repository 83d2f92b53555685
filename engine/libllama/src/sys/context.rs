//! Contexts: evaluation, memory and state.

use std::ffi::{c_char, c_void};

use super::{
    LLAMA_FLASH_ATTN_TYPE_DISABLED, LLAMA_FLASH_ATTN_TYPE_ENABLED, call, call_or, ggml_type,
    llama_adapter_lora, llama_context, llama_flash_attn_type, llama_memory_t, llama_model, llama_pos,
    llama_rope_scaling_type, llama_seq_id, llama_token, log_error,
};
use crate::library::library;
use crate::params::{BATCH, Blob, Value};

/// The settings of a context that are changed here; the others are the library's own.
#[derive(Debug, Clone, Copy)]
pub struct llama_context_params {
    pub n_ctx: u32,
    pub n_batch: u32,
    pub n_ubatch: u32,
    pub n_seq_max: u32,
    pub n_threads: i32,
    pub n_threads_batch: i32,
    pub rope_scaling_type: llama_rope_scaling_type,
    /// Libraries that do not choose by themselves have it off unless it is asked for.
    pub flash_attn_type: llama_flash_attn_type,
    pub rope_freq_base: f32,
    pub rope_freq_scale: f32,
    pub yarn_ext_factor: f32,
    pub yarn_attn_factor: f32,
    pub yarn_beta_fast: f32,
    pub yarn_beta_slow: f32,
    pub yarn_orig_ctx: u32,
    pub type_k: ggml_type,
    pub type_v: ggml_type,
    pub offload_kqv: bool,
    pub no_perf: bool,
    pub op_offload: bool,
    /// Libraries without this setting keep every cell.
    pub swa_full: bool,
    /// Libraries without this setting have one cache for all sequences.
    pub kv_unified: bool,
}

#[must_use]
pub unsafe fn llama_context_default_params() -> llama_context_params {
    let form = &library().context_params;
    let number = |field| form.default_i32(field).unwrap_or_default();
    let float = |field| form.default_f32(field).unwrap_or_default();
    let flag = |field| form.default_bool(field);
    let flash = form.default_i32("flash_attn_type").unwrap_or_else(|| {
        if flag("flash_attn") == Some(true) {
            LLAMA_FLASH_ATTN_TYPE_ENABLED
        } else {
            LLAMA_FLASH_ATTN_TYPE_DISABLED
        }
    });
    llama_context_params {
        n_ctx: number("n_ctx").cast_unsigned(),
        n_batch: number("n_batch").cast_unsigned(),
        n_ubatch: number("n_ubatch").cast_unsigned(),
        n_seq_max: number("n_seq_max").cast_unsigned(),
        n_threads: number("n_threads"),
        n_threads_batch: number("n_threads_batch"),
        rope_scaling_type: number("rope_scaling_type"),
        flash_attn_type: flash,
        rope_freq_base: float("rope_freq_base"),
        rope_freq_scale: float("rope_freq_scale"),
        yarn_ext_factor: float("yarn_ext_factor"),
        yarn_attn_factor: float("yarn_attn_factor"),
        yarn_beta_fast: float("yarn_beta_fast"),
        yarn_beta_slow: float("yarn_beta_slow"),
        yarn_orig_ctx: number("yarn_orig_ctx").cast_unsigned(),
        type_k: number("type_k").cast_unsigned(),
        type_v: number("type_v").cast_unsigned(),
        offload_kqv: flag("offload_kqv").unwrap_or(true),
        no_perf: flag("no_perf").unwrap_or(true),
        op_offload: flag("op_offload").unwrap_or(true),
        swa_full: flag("swa_full").unwrap_or(true),
        kv_unified: flag("kv_unified").unwrap_or(true),
    }
}

pub unsafe fn llama_init_from_model(
    model: *mut llama_model,
    params: llama_context_params,
) -> *mut llama_context {
    let form = &library().context_params;
    let whole = |value: u32| Value::I32(value.cast_signed());
    let anyhow = |value| Value::Bool { value, without: None };
    let flash = if form.has("flash_attn_type") {
        ("flash_attn_type", Value::I32(params.flash_attn_type))
    } else {
        ("flash_attn", anyhow(params.flash_attn_type == LLAMA_FLASH_ATTN_TYPE_ENABLED))
    };
    let values = [
        ("n_ctx", whole(params.n_ctx)),
        ("n_batch", whole(params.n_batch)),
        ("n_ubatch", whole(params.n_ubatch)),
        ("n_seq_max", whole(params.n_seq_max)),
        ("n_threads", Value::I32(params.n_threads)),
        ("n_threads_batch", Value::I32(params.n_threads_batch)),
        ("rope_scaling_type", Value::I32(params.rope_scaling_type)),
        flash,
        ("rope_freq_base", Value::F32(params.rope_freq_base)),
        ("rope_freq_scale", Value::F32(params.rope_freq_scale)),
        ("yarn_ext_factor", Value::F32(params.yarn_ext_factor)),
        ("yarn_attn_factor", Value::F32(params.yarn_attn_factor)),
        ("yarn_beta_fast", Value::F32(params.yarn_beta_fast)),
        ("yarn_beta_slow", Value::F32(params.yarn_beta_slow)),
        ("yarn_orig_ctx", whole(params.yarn_orig_ctx)),
        ("type_k", whole(params.type_k)),
        ("type_v", whole(params.type_v)),
        ("offload_kqv", anyhow(params.offload_kqv)),
        ("no_perf", anyhow(params.no_perf)),
        ("op_offload", anyhow(params.op_offload)),
        ("swa_full", Value::Bool { value: params.swa_full, without: Some(true) }),
        ("kv_unified", anyhow(params.kv_unified)),
    ];
    let blob = match form.with(&values) {
        Ok(blob) => blob,
        Err(field) => {
            log_error(&format!("this library has no setting {field} for contexts, and cannot do without"));
            return std::ptr::null_mut();
        }
    };
    let context = call!(init_from_model(model, blob));
    if context.is_null() {
        return context;
    }
    // Two layouts of one size differ in nothing else that defaults could tell.
    let found = [call!(n_threads(context)), call!(n_threads_batch(context))];
    let wanted = [params.n_threads, params.n_threads_batch];
    if found != wanted {
        log_error(&format!(
            "this library has another layout than it seemed: threads are {found:?}, and were set to {wanted:?}"
        ));
        call!(free(context));
        return std::ptr::null_mut();
    }
    context
}

pub unsafe fn llama_free(context: *mut llama_context) {
    call!(free(context));
}

pub unsafe fn llama_n_ctx(context: *const llama_context) -> u32 {
    call!(n_ctx(context))
}

pub unsafe fn llama_n_batch(context: *const llama_context) -> u32 {
    call!(n_batch(context))
}

/// Tokens to be evaluated together.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct llama_batch {
    pub n_tokens: i32,
    pub token: *mut llama_token,
    pub embd: *mut f32,
    pub pos: *mut llama_pos,
    pub n_seq_id: *mut i32,
    pub seq_id: *mut *mut llama_seq_id,
    pub logits: *mut i8,
}

pub unsafe fn llama_decode(context: *mut llama_context, batch: llama_batch) -> i32 {
    let mut blob = Blob::<BATCH>([0; BATCH]);
    // Older batches have three more numbers at their end, for batches without positions.
    // SAFETY: the blob is larger than the struct and aligned as it is.
    unsafe { std::ptr::from_mut(&mut blob).cast::<llama_batch>().write(batch) };
    call!(decode(context, blob))
}

pub unsafe fn llama_get_logits_ith(context: *mut llama_context, index: i32) -> *mut f32 {
    call!(get_logits_ith(context, index))
}

/// In libraries without memories apart from contexts, the context stands for its own.
pub unsafe fn llama_get_memory(context: *const llama_context) -> llama_memory_t {
    call_or!(context.cast::<c_void>().cast_mut().cast(), get_memory(context))
}

pub unsafe fn llama_memory_clear(memory: llama_memory_t, data: bool) {
    call!(memory_clear(memory, data));
}

pub unsafe fn llama_memory_seq_rm(
    memory: llama_memory_t,
    sequence: llama_seq_id,
    from: llama_pos,
    to: llama_pos,
) -> bool {
    call!(memory_seq_rm(memory, sequence, from, to))
}

pub unsafe fn llama_memory_seq_cp(
    memory: llama_memory_t,
    source: llama_seq_id,
    target: llama_seq_id,
    from: llama_pos,
    to: llama_pos,
) {
    call!(memory_seq_cp(memory, source, target, from, to));
}

pub unsafe fn llama_memory_seq_keep(memory: llama_memory_t, sequence: llama_seq_id) {
    call!(memory_seq_keep(memory, sequence));
}

/// Libraries without this call forget nothing at the beginning of a sequence: its first position is 0 where it has any.
pub unsafe fn llama_memory_seq_pos_min(memory: llama_memory_t, sequence: llama_seq_id) -> llama_pos {
    // SAFETY: as the caller promises.
    let without = || unsafe { llama_memory_seq_pos_max(memory, sequence) }.min(0);
    call_or!(without(), memory_seq_pos_min(memory, sequence))
}

/// -1 where the sequence is empty.
pub unsafe fn llama_memory_seq_pos_max(memory: llama_memory_t, sequence: llama_seq_id) -> llama_pos {
    let last = call!(memory_seq_pos_max(memory, sequence));
    // Libraries without memories apart from contexts say 0 of an empty sequence as they do behind one token. The state that they
    // write begins with the number of its cells.
    if last != 0 || library().functions.get_memory.is_some() {
        return last;
    }
    let context: *mut llama_context = memory.cast::<c_void>().cast();
    let mut state = vec![0u8; call!(state_seq_get_size(context, sequence))];
    let written = call!(state_seq_get_data(context, state.as_mut_ptr(), state.len(), sequence));
    let cells = state.get(..4.min(written)).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes);
    if cells == Some(0) { -1 } else { last }
}

pub unsafe fn llama_state_get_size(context: *mut llama_context) -> usize {
    call!(state_get_size(context))
}

pub unsafe fn llama_state_get_data(context: *mut llama_context, target: *mut u8, size: usize) -> usize {
    call!(state_get_data(context, target, size))
}

pub unsafe fn llama_state_set_data(context: *mut llama_context, source: *const u8, size: usize) -> usize {
    call!(state_set_data(context, source, size))
}

pub unsafe fn llama_state_save_file(
    context: *mut llama_context,
    path: *const c_char,
    tokens: *const llama_token,
    count: usize,
) -> bool {
    call!(state_save_file(context, path, tokens, count))
}

pub unsafe fn llama_state_load_file(
    context: *mut llama_context,
    path: *const c_char,
    tokens: *mut llama_token,
    room: usize,
    count: *mut usize,
) -> bool {
    call!(state_load_file(context, path, tokens, room, count))
}

pub unsafe fn llama_state_seq_save_file(
    context: *mut llama_context,
    path: *const c_char,
    sequence: llama_seq_id,
    tokens: *const llama_token,
    count: usize,
) -> usize {
    call!(state_seq_save_file(context, path, sequence, tokens, count))
}

pub unsafe fn llama_state_seq_load_file(
    context: *mut llama_context,
    path: *const c_char,
    sequence: llama_seq_id,
    tokens: *mut llama_token,
    room: usize,
    count: *mut usize,
) -> usize {
    call!(state_seq_load_file(context, path, sequence, tokens, room, count))
}

/// Libraries without flags know no parts of a state: the whole stands for any of them.
pub unsafe fn llama_state_seq_get_size_ext(
    context: *mut llama_context,
    sequence: llama_seq_id,
    flags: u32,
) -> usize {
    call_or!(call!(state_seq_get_size(context, sequence)), state_seq_get_size_ext(context, sequence, flags))
}

/// As [`llama_state_seq_get_size_ext`].
pub unsafe fn llama_state_seq_get_data_ext(
    context: *mut llama_context,
    target: *mut u8,
    size: usize,
    sequence: llama_seq_id,
    flags: u32,
) -> usize {
    call_or!(
        call!(state_seq_get_data(context, target, size, sequence)),
        state_seq_get_data_ext(context, target, size, sequence, flags)
    )
}

/// As [`llama_state_seq_get_size_ext`].
pub unsafe fn llama_state_seq_set_data_ext(
    context: *mut llama_context,
    source: *const u8,
    size: usize,
    sequence: llama_seq_id,
    flags: u32,
) -> usize {
    call_or!(
        call!(state_seq_set_data(context, source, size, sequence)),
        state_seq_set_data_ext(context, source, size, sequence, flags)
    )
}

/// Applies adapters in place of those that were applied before.
pub unsafe fn llama_set_adapters_lora(
    context: *mut llama_context,
    adapters: *mut *mut llama_adapter_lora,
    count: usize,
    scales: *mut f32,
) -> i32 {
    let functions = &library().functions;
    if functions.set_adapters_lora.is_some() {
        return call_or!(-1, set_adapters_lora(context, adapters, count, scales));
    }
    let (Some(clear), Some(set)) = (functions.clear_adapter_lora, functions.set_adapter_lora) else {
        return -1;
    };
    // SAFETY: the context lives; there are as many adapters and scales as the caller says.
    unsafe {
        clear(context);
        (0..count)
            .map(|at| set(context, *adapters.add(at), *scales.add(at)))
            .find(|&code| code != 0)
            .unwrap_or(0)
    }
}

pub unsafe fn llama_set_adapter_cvec(
    context: *mut llama_context,
    data: *const f32,
    length: usize,
    n_embd: i32,
    first: i32,
    last: i32,
) -> i32 {
    call_or!(-1, set_adapter_cvec(context, data, length, n_embd, first, last))
}
