//! llama.cpp's log on its way to `tracing`, and its errors on their way into ours.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

use crate::llama::sys;

/// Errors that are kept until somebody asks for them.
const KEPT: usize = 8;
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Sends llama.cpp's log to `tracing`, never to standard output or error.
pub(in crate::llama) fn send_logs_to_tracing() {
    // SAFETY: the sink lives as long as the program and takes no user data.
    unsafe { sys::llama_log_set(Some(to_tracing), std::ptr::null_mut()) };
}

/// Who gets llama.cpp's log.
#[cfg(not(llama_raw))]
pub(in crate::llama) struct LogSink {
    callback: sys::ggml_log_callback,
    data: *mut c_void,
}

#[cfg(not(llama_raw))]
impl LogSink {
    /// Who gets it now.
    pub(in crate::llama) fn now() -> Self {
        let mut found = Self { callback: None, data: std::ptr::null_mut() };
        // SAFETY: both places are written to, and nothing else is done.
        unsafe { sys::llama_log_get(&raw mut found.callback, &raw mut found.data) };
        found
    }

    /// Gives the log back to it.
    pub(in crate::llama) fn take_over(self) {
        // SAFETY: it is what somebody has set before, on their own word.
        unsafe { sys::llama_log_set(self.callback, self.data) };
    }
}

/// Does something, and gives the first error that llama.cpp logged meanwhile, which mostly says why. Another thread's can be
/// among them: what llama.cpp logs names nobody.
pub(in crate::llama) fn first_error_of<T>(work: impl FnOnce() -> T) -> (T, Option<String>) {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let done = work();
    (done, ERRORS.lock().unwrap_or_else(PoisonError::into_inner).first().cloned())
}

unsafe extern "C" fn to_tracing(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp gives a NUL-terminated line that lives during the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim_end();
    if text.trim_matches('.').is_empty() {
        return;
    }
    match level {
        sys::GGML_LOG_LEVEL_ERROR => {
            tracing::error!(target: "llama-cpp", "{text}");
            let mut errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
            if errors.len() < KEPT {
                errors.push(text.to_owned());
            }
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama-cpp", "{text}"),
        sys::GGML_LOG_LEVEL_INFO => tracing::info!(target: "llama-cpp", "{text}"),
        _ => tracing::debug!(target: "llama-cpp", "{text}"),
    }
}
