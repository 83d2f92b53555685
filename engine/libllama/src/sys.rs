//! llama.cpp's functions over the library that is open, under the names and with the types that `llama-cpp-sys-2` has for the
//! current release.
//!
//! What older libraries call otherwise, take otherwise or have not, is made up for here; what cannot be made up for fails as
//! llama.cpp itself fails, with a line in its log.
//!
//! # Safety
//! Each function asks of its caller what llama.cpp's header asks for, and that a library is open.

#![expect(non_camel_case_types, reason = "llama.cpp's own names")]
#![expect(missing_docs, clippy::missing_safety_doc, reason = "see llama.h; what is asked for is said above")]

mod context;
mod model;
mod sampler;

use std::ffi::{c_char, c_int, c_uint, c_void};

pub use context::*;
pub use model::*;
pub use sampler::*;

use crate::library::library;

macro_rules! opaque {
    ($($name:ident)*) => {
        $(#[derive(Debug)]
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        })*
    };
}

opaque! { llama_model llama_vocab llama_context llama_memory_i llama_sampler llama_adapter_lora ggml_backend_device ggml_backend_reg }

pub type llama_token = i32;
pub type llama_pos = i32;
pub type llama_seq_id = i32;
pub type llama_memory_t = *mut llama_memory_i;
pub type ggml_backend_dev_t = *mut ggml_backend_device;
pub type ggml_backend_reg_t = *mut ggml_backend_reg;
pub type ggml_log_level = c_uint;
pub type ggml_log_callback = Option<unsafe extern "C" fn(ggml_log_level, *const c_char, *mut c_void)>;
pub type ggml_backend_dev_type = c_uint;
pub type ggml_type = c_uint;
pub type llama_flash_attn_type = c_int;
pub type llama_load_mode = c_int;
pub type llama_rope_scaling_type = c_int;

pub const GGML_LOG_LEVEL_INFO: ggml_log_level = 2;
pub const GGML_LOG_LEVEL_WARN: ggml_log_level = 3;
pub const GGML_LOG_LEVEL_ERROR: ggml_log_level = 4;

pub const GGML_BACKEND_DEVICE_TYPE_CPU: ggml_backend_dev_type = 0;
pub const GGML_BACKEND_DEVICE_TYPE_ACCEL: ggml_backend_dev_type = 3;

pub const GGML_TYPE_F32: ggml_type = 0;
pub const GGML_TYPE_F16: ggml_type = 1;
pub const GGML_TYPE_Q4_0: ggml_type = 2;
pub const GGML_TYPE_Q4_1: ggml_type = 3;
pub const GGML_TYPE_Q5_0: ggml_type = 6;
pub const GGML_TYPE_Q5_1: ggml_type = 7;
pub const GGML_TYPE_Q8_0: ggml_type = 8;
pub const GGML_TYPE_IQ4_NL: ggml_type = 20;
pub const GGML_TYPE_BF16: ggml_type = 30;

pub const LLAMA_FLASH_ATTN_TYPE_AUTO: llama_flash_attn_type = -1;
pub const LLAMA_FLASH_ATTN_TYPE_DISABLED: llama_flash_attn_type = 0;
pub const LLAMA_FLASH_ATTN_TYPE_ENABLED: llama_flash_attn_type = 1;

pub const LLAMA_LOAD_MODE_NONE: llama_load_mode = 0;
pub const LLAMA_LOAD_MODE_MMAP: llama_load_mode = 1;
pub const LLAMA_LOAD_MODE_MLOCK: llama_load_mode = 2;
pub const LLAMA_LOAD_MODE_MMAP_MLOCK: llama_load_mode = 3;

/// Calls a function of the library.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: as the caller of this function promises.
        unsafe { (library().functions.$function)($($argument),*) }
    };
}

/// Calls a function if the library has it, else gives something else.
macro_rules! call_or {
    ($otherwise:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match library().functions.$function {
            // SAFETY: as the caller of this function promises.
            Some(function) => unsafe { function($($argument),*) },
            None => $otherwise,
        }
    };
}

use {call, call_or};

pub unsafe fn llama_backend_init() {
    call!(backend_init());
}

pub unsafe fn llama_log_set(callback: ggml_log_callback, data: *mut c_void) {
    *LOG.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = callback;
    call!(log_set(callback, data));
}

pub unsafe fn llama_print_system_info() -> *const c_char {
    call!(print_system_info())
}

pub unsafe fn ggml_backend_dev_count() -> usize {
    call_or!(0, backend_dev_count())
}

pub unsafe fn ggml_backend_dev_get(index: usize) -> ggml_backend_dev_t {
    call_or!(std::ptr::null_mut(), backend_dev_get(index))
}

pub unsafe fn ggml_backend_dev_type(device: ggml_backend_dev_t) -> ggml_backend_dev_type {
    call_or!(GGML_BACKEND_DEVICE_TYPE_CPU, backend_dev_type(device))
}

pub unsafe fn ggml_backend_dev_backend_reg(device: ggml_backend_dev_t) -> ggml_backend_reg_t {
    call_or!(std::ptr::null_mut(), backend_dev_backend_reg(device))
}

pub unsafe fn ggml_backend_reg_name(backend: ggml_backend_reg_t) -> *const c_char {
    call_or!(std::ptr::null(), backend_reg_name(backend))
}

static LOG: std::sync::Mutex<ggml_log_callback> = std::sync::Mutex::new(None);

/// Says in llama.cpp's log why something failed here.
fn log_error(text: &str) {
    let callback = *LOG.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let (Some(callback), Ok(text)) = (callback, std::ffi::CString::new(text)) {
        // SAFETY: the text is NUL-terminated and lives during the call; the callback was given for this.
        unsafe { callback(GGML_LOG_LEVEL_ERROR, text.as_ptr(), std::ptr::null_mut()) };
    }
}
