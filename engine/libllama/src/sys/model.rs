//! Models, their vocabularies and their adapters.

use std::ffi::{c_char, c_void};

use super::{
    LLAMA_LOAD_MODE_MLOCK, LLAMA_LOAD_MODE_MMAP, LLAMA_LOAD_MODE_MMAP_MLOCK, LLAMA_LOAD_MODE_NONE, call,
    call_or, llama_adapter_lora, llama_load_mode, llama_model, llama_token, llama_vocab, log_error,
};
use crate::library::library;
use crate::params::Value;

/// The settings of a model that are changed here; the others are the library's own.
#[derive(Debug, Clone, Copy)]
pub struct llama_model_params {
    pub n_gpu_layers: i32,
    pub main_gpu: i32,
    pub load_mode: llama_load_mode,
}

#[must_use]
pub unsafe fn llama_model_default_params() -> llama_model_params {
    let form = &library().model_params;
    let flag = |field| form.default_bool(field).unwrap_or(false);
    let of_flags = match (flag("use_mmap"), flag("use_mlock")) {
        (false, false) => LLAMA_LOAD_MODE_NONE,
        (true, false) => LLAMA_LOAD_MODE_MMAP,
        (false, true) => LLAMA_LOAD_MODE_MLOCK,
        (true, true) => LLAMA_LOAD_MODE_MMAP_MLOCK,
    };
    llama_model_params {
        n_gpu_layers: form.default_i32("n_gpu_layers").unwrap_or_default(),
        main_gpu: form.default_i32("main_gpu").unwrap_or_default(),
        load_mode: form.default_i32("load_mode").unwrap_or(of_flags),
    }
}

pub unsafe fn llama_model_load_from_file(
    path: *const c_char,
    params: llama_model_params,
) -> *mut llama_model {
    let form = &library().model_params;
    let mut values =
        vec![("n_gpu_layers", Value::I32(params.n_gpu_layers)), ("main_gpu", Value::I32(params.main_gpu))];
    if form.has("load_mode") {
        values.push(("load_mode", Value::I32(params.load_mode)));
    } else {
        let mode = params.load_mode;
        let among = |modes: [llama_load_mode; 2]| Value::Bool { value: modes.contains(&mode), without: None };
        values.push(("use_mmap", among([LLAMA_LOAD_MODE_MMAP, LLAMA_LOAD_MODE_MMAP_MLOCK])));
        values.push(("use_mlock", among([LLAMA_LOAD_MODE_MLOCK, LLAMA_LOAD_MODE_MMAP_MLOCK])));
    }
    match form.with(&values) {
        Ok(params) => call!(model_load_from_file(path, params)),
        Err(field) => {
            log_error(&format!("this library has no setting {field} for models"));
            std::ptr::null_mut()
        }
    }
}

pub unsafe fn llama_model_free(model: *mut llama_model) {
    call!(model_free(model));
}

pub unsafe fn llama_model_meta_val_str(
    model: *const llama_model,
    key: *const c_char,
    target: *mut c_char,
    room: usize,
) -> i32 {
    call!(model_meta_val_str(model, key, target, room))
}

pub unsafe fn llama_model_n_ctx_train(model: *const llama_model) -> i32 {
    call!(model_n_ctx_train(model))
}

pub unsafe fn llama_model_n_layer(model: *const llama_model) -> i32 {
    call!(model_n_layer(model))
}

pub unsafe fn llama_model_n_embd(model: *const llama_model) -> i32 {
    call!(model_n_embd(model))
}

pub unsafe fn llama_model_is_recurrent(model: *const llama_model) -> bool {
    call!(model_is_recurrent(model))
}

/// Libraries without this call have no hybrid memory.
pub unsafe fn llama_model_is_hybrid(model: *const llama_model) -> bool {
    call_or!(false, model_is_hybrid(model))
}

/// Null where the model has none, or the library does not give it: it is in the metadata too.
pub unsafe fn llama_model_chat_template(model: *const llama_model, name: *const c_char) -> *const c_char {
    call_or!(std::ptr::null(), model_chat_template(model, name))
}

/// In libraries without vocabularies apart from models, the model stands for its own.
pub unsafe fn llama_model_get_vocab(model: *const llama_model) -> *const llama_vocab {
    call_or!(model.cast::<c_void>().cast(), model_get_vocab(model))
}

pub unsafe fn llama_vocab_n_tokens(vocab: *const llama_vocab) -> i32 {
    call!(vocab_n_tokens(vocab))
}

pub unsafe fn llama_vocab_bos(vocab: *const llama_vocab) -> llama_token {
    call!(vocab_bos(vocab))
}

pub unsafe fn llama_vocab_eos(vocab: *const llama_vocab) -> llama_token {
    call!(vocab_eos(vocab))
}

pub unsafe fn llama_vocab_get_add_bos(vocab: *const llama_vocab) -> bool {
    call!(vocab_get_add_bos(vocab))
}

pub unsafe fn llama_vocab_is_eog(vocab: *const llama_vocab, token: llama_token) -> bool {
    call!(vocab_is_eog(vocab, token))
}

pub unsafe fn llama_tokenize(
    vocab: *const llama_vocab,
    text: *const c_char,
    length: i32,
    tokens: *mut llama_token,
    room: i32,
    add_special: bool,
    parse_special: bool,
) -> i32 {
    call!(tokenize(vocab, text, length, tokens, room, add_special, parse_special))
}

pub unsafe fn llama_token_to_piece(
    vocab: *const llama_vocab,
    token: llama_token,
    target: *mut c_char,
    room: i32,
    strip: i32,
    special: bool,
) -> i32 {
    call!(token_to_piece(vocab, token, target, room, strip, special))
}

pub unsafe fn llama_adapter_lora_init(
    model: *mut llama_model,
    path: *const c_char,
) -> *mut llama_adapter_lora {
    call_or!(std::ptr::null_mut(), adapter_lora_init(model, path))
}
