//! The functions of a library, under every name that they have had.

use std::ffi::{c_char, c_void};
use std::path::Path;

use libloading::Library;

use crate::error::OpenError;
use crate::params::{BATCH, Blob, PARAMS};
use crate::sys::{
    ggml_backend_dev_t, ggml_backend_reg_t, ggml_log_callback, llama_adapter_lora, llama_context,
    llama_logit_bias, llama_memory_t, llama_model, llama_sampler, llama_sampler_chain_params,
    llama_token_data_array, llama_vocab,
};

macro_rules! functions {
    (
        required { $($required:ident: fn($($argument:ty),*) $(-> $result:ty)? = $first:literal $(| $older:literal)*;)* }
        optional { $($optional:ident: fn($($given:ty),*) $(-> $gives:ty)? = $name:literal $(| $former:literal)*;)* }
    ) => {
        /// The functions that the library has, as C declares them.
        pub(crate) struct Functions {
            $(pub(crate) $required: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            $(pub(crate) $optional: Option<unsafe extern "C" fn($($given),*) $(-> $gives)?>,)*
        }

        impl Functions {
            /// Finds them. The libraries are those of one release, `libllama` first; they are never closed.
            pub(crate) fn of(libraries: &[Library], llama: &Path) -> Result<Self, OpenError> {
                let missing = |names: &[&str]| OpenError::NoFunction {
                    file: llama.to_owned(),
                    name: names.join(" or "),
                };
                Ok(Self {
                    $($required: {
                        let names = [$first $(, $older)*];
                        let found = address(libraries, &names).ok_or_else(|| missing(&names))?;
                        // SAFETY: under these names llama.cpp's headers declare this function and no other, in every
                        // release that has them.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(found) }
                    },)*
                    $($optional: address(libraries, &[$name $(, $former)*]).map(|found| {
                        // SAFETY: as above.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($given),*) $(-> $gives)?>(found) }
                    }),)*
                })
            }
        }
    };
}

functions! {
    required {
        backend_init: fn() = "llama_backend_init";
        log_set: fn(ggml_log_callback, *mut c_void) = "llama_log_set";
        print_system_info: fn() -> *const c_char = "llama_print_system_info";
        model_load_from_file: fn(*const c_char, Blob<PARAMS>) -> *mut llama_model
            = "llama_model_load_from_file" | "llama_load_model_from_file";
        model_free: fn(*mut llama_model) = "llama_model_free" | "llama_free_model";
        model_meta_val_str: fn(*const llama_model, *const c_char, *mut c_char, usize) -> i32 = "llama_model_meta_val_str";
        model_n_ctx_train: fn(*const llama_model) -> i32 = "llama_model_n_ctx_train" | "llama_n_ctx_train";
        model_n_layer: fn(*const llama_model) -> i32 = "llama_model_n_layer" | "llama_n_layer";
        model_n_embd: fn(*const llama_model) -> i32 = "llama_model_n_embd" | "llama_n_embd";
        model_is_recurrent: fn(*const llama_model) -> bool = "llama_model_is_recurrent";
        // Where there are no vocabularies apart from models, these take the model.
        vocab_n_tokens: fn(*const llama_vocab) -> i32 = "llama_vocab_n_tokens" | "llama_n_vocab";
        vocab_bos: fn(*const llama_vocab) -> i32 = "llama_vocab_bos" | "llama_token_bos";
        vocab_eos: fn(*const llama_vocab) -> i32 = "llama_vocab_eos" | "llama_token_eos";
        vocab_get_add_bos: fn(*const llama_vocab) -> bool = "llama_vocab_get_add_bos" | "llama_add_bos_token";
        vocab_is_eog: fn(*const llama_vocab, i32) -> bool = "llama_vocab_is_eog" | "llama_token_is_eog";
        tokenize: fn(*const llama_vocab, *const c_char, i32, *mut i32, i32, bool, bool) -> i32 = "llama_tokenize";
        token_to_piece: fn(*const llama_vocab, i32, *mut c_char, i32, i32, bool) -> i32 = "llama_token_to_piece";
        init_from_model: fn(*mut llama_model, Blob<PARAMS>) -> *mut llama_context
            = "llama_init_from_model" | "llama_new_context_with_model";
        free: fn(*mut llama_context) = "llama_free";
        n_ctx: fn(*const llama_context) -> u32 = "llama_n_ctx";
        n_batch: fn(*const llama_context) -> u32 = "llama_n_batch";
        n_threads: fn(*mut llama_context) -> i32 = "llama_n_threads";
        n_threads_batch: fn(*mut llama_context) -> i32 = "llama_n_threads_batch";
        decode: fn(*mut llama_context, Blob<BATCH>) -> i32 = "llama_decode";
        get_logits_ith: fn(*mut llama_context, i32) -> *mut f32 = "llama_get_logits_ith";
        // Where contexts have no memory apart, these take the context.
        memory_clear: fn(llama_memory_t, bool) = "llama_memory_clear" | "llama_kv_self_clear" | "llama_kv_cache_clear";
        memory_seq_rm: fn(llama_memory_t, i32, i32, i32) -> bool
            = "llama_memory_seq_rm" | "llama_kv_self_seq_rm" | "llama_kv_cache_seq_rm";
        memory_seq_cp: fn(llama_memory_t, i32, i32, i32, i32)
            = "llama_memory_seq_cp" | "llama_kv_self_seq_cp" | "llama_kv_cache_seq_cp";
        memory_seq_keep: fn(llama_memory_t, i32)
            = "llama_memory_seq_keep" | "llama_kv_self_seq_keep" | "llama_kv_cache_seq_keep";
        memory_seq_pos_max: fn(llama_memory_t, i32) -> i32
            = "llama_memory_seq_pos_max" | "llama_kv_self_seq_pos_max" | "llama_kv_cache_seq_pos_max";
        state_get_size: fn(*mut llama_context) -> usize = "llama_state_get_size";
        state_get_data: fn(*mut llama_context, *mut u8, usize) -> usize = "llama_state_get_data";
        state_set_data: fn(*mut llama_context, *const u8, usize) -> usize = "llama_state_set_data";
        state_save_file: fn(*mut llama_context, *const c_char, *const i32, usize) -> bool = "llama_state_save_file";
        state_load_file: fn(*mut llama_context, *const c_char, *mut i32, usize, *mut usize) -> bool
            = "llama_state_load_file";
        state_seq_get_size: fn(*mut llama_context, i32) -> usize = "llama_state_seq_get_size";
        state_seq_get_data: fn(*mut llama_context, *mut u8, usize, i32) -> usize = "llama_state_seq_get_data";
        state_seq_set_data: fn(*mut llama_context, *const u8, usize, i32) -> usize = "llama_state_seq_set_data";
        state_seq_save_file: fn(*mut llama_context, *const c_char, i32, *const i32, usize) -> usize
            = "llama_state_seq_save_file";
        state_seq_load_file: fn(*mut llama_context, *const c_char, i32, *mut i32, usize, *mut usize) -> usize
            = "llama_state_seq_load_file";
        sampler_chain_init: fn(llama_sampler_chain_params) -> *mut llama_sampler = "llama_sampler_chain_init";
        sampler_chain_add: fn(*mut llama_sampler, *mut llama_sampler) = "llama_sampler_chain_add";
        sampler_accept: fn(*mut llama_sampler, i32) = "llama_sampler_accept";
        sampler_apply: fn(*mut llama_sampler, *mut llama_token_data_array) = "llama_sampler_apply";
        sampler_free: fn(*mut llama_sampler) = "llama_sampler_free";
        sampler_init_greedy: fn() -> *mut llama_sampler = "llama_sampler_init_greedy";
        sampler_init_dist: fn(u32) -> *mut llama_sampler = "llama_sampler_init_dist";
        sampler_init_top_k: fn(i32) -> *mut llama_sampler = "llama_sampler_init_top_k";
        sampler_init_top_p: fn(f32, usize) -> *mut llama_sampler = "llama_sampler_init_top_p";
        sampler_init_min_p: fn(f32, usize) -> *mut llama_sampler = "llama_sampler_init_min_p";
        sampler_init_typical: fn(f32, usize) -> *mut llama_sampler = "llama_sampler_init_typical";
        sampler_init_temp_ext: fn(f32, f32, f32) -> *mut llama_sampler = "llama_sampler_init_temp_ext";
        sampler_init_mirostat: fn(i32, u32, f32, f32, i32) -> *mut llama_sampler = "llama_sampler_init_mirostat";
        sampler_init_mirostat_v2: fn(u32, f32, f32) -> *mut llama_sampler = "llama_sampler_init_mirostat_v2";
        sampler_init_logit_bias: fn(i32, i32, *const llama_logit_bias) -> *mut llama_sampler
            = "llama_sampler_init_logit_bias";
        // Its arguments have changed twice under this name: see `sampling`. Most of them, as the oldest form takes them.
        sampler_init_penalties: fn(i32, i32, i32, i32, f32, f32, f32, bool, bool) -> *mut llama_sampler
            = "llama_sampler_init_penalties";
    }
    optional {
        backend_load: fn(*const c_char) -> ggml_backend_reg_t = "ggml_backend_load";
        backend_load_all_from_path: fn(*const c_char) = "ggml_backend_load_all_from_path";
        backend_dev_count: fn() -> usize = "ggml_backend_dev_count";
        backend_dev_get: fn(usize) -> ggml_backend_dev_t = "ggml_backend_dev_get";
        backend_dev_type: fn(ggml_backend_dev_t) -> u32 = "ggml_backend_dev_type";
        backend_dev_backend_reg: fn(ggml_backend_dev_t) -> ggml_backend_reg_t = "ggml_backend_dev_backend_reg";
        backend_reg_name: fn(ggml_backend_reg_t) -> *const c_char = "ggml_backend_reg_name";
        version: fn() -> *const c_char = "llama_version";
        model_get_vocab: fn(*const llama_model) -> *const llama_vocab = "llama_model_get_vocab";
        model_chat_template: fn(*const llama_model, *const c_char) -> *const c_char = "llama_model_chat_template";
        model_is_hybrid: fn(*const llama_model) -> bool = "llama_model_is_hybrid";
        get_memory: fn(*const llama_context) -> llama_memory_t = "llama_get_memory";
        memory_seq_pos_min: fn(llama_memory_t, i32) -> i32 = "llama_memory_seq_pos_min" | "llama_kv_self_seq_pos_min";
        state_seq_get_size_ext: fn(*mut llama_context, i32, u32) -> usize = "llama_state_seq_get_size_ext";
        state_seq_get_data_ext: fn(*mut llama_context, *mut u8, usize, i32, u32) -> usize
            = "llama_state_seq_get_data_ext";
        state_seq_set_data_ext: fn(*mut llama_context, *const u8, usize, i32, u32) -> usize
            = "llama_state_seq_set_data_ext";
        adapter_lora_init: fn(*mut llama_model, *const c_char) -> *mut llama_adapter_lora
            = "llama_adapter_lora_init" | "llama_lora_adapter_init";
        set_adapters_lora: fn(*mut llama_context, *mut *mut llama_adapter_lora, usize, *mut f32) -> i32
            = "llama_set_adapters_lora";
        set_adapter_lora: fn(*mut llama_context, *mut llama_adapter_lora, f32) -> i32
            = "llama_set_adapter_lora" | "llama_lora_adapter_set";
        clear_adapter_lora: fn(*mut llama_context) = "llama_clear_adapter_lora" | "llama_lora_adapter_clear";
        set_adapter_cvec: fn(*mut llama_context, *const f32, usize, i32, i32, i32) -> i32
            = "llama_set_adapter_cvec" | "llama_apply_adapter_cvec" | "llama_control_vector_apply";
        sampler_init_top_n_sigma: fn(f32) -> *mut llama_sampler = "llama_sampler_init_top_n_sigma";
        sampler_init_xtc: fn(f32, f32, usize, u32) -> *mut llama_sampler = "llama_sampler_init_xtc";
        // The length of the trained context is among its arguments in some releases: see `sampling`.
        sampler_init_dry: fn(*const llama_vocab, f32, f32, i32, i32, *mut *const c_char, usize) -> *mut llama_sampler
            = "llama_sampler_init_dry";
    }
}

/// The address of a function by the first of its names that any library exports.
pub(crate) fn address(libraries: &[Library], names: &[&str]) -> Option<*const c_void> {
    names.iter().find_map(|name| {
        libraries.iter().find_map(|library| {
            // SAFETY: nothing is called or read here; whoever does so says what it is.
            let symbol = unsafe { library.get::<*const c_void>(name.as_bytes()) }.ok()?;
            // SAFETY: the libraries are never closed.
            let address = unsafe { symbol.try_as_raw_ptr() }?;
            (!address.is_null()).then_some(address.cast_const())
        })
    })
}
