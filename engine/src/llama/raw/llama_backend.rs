use std::ffi::{c_char, c_void};

use super::Failed;

/// llama.cpp's process-wide state, started once.
#[derive(Debug)]
pub(in crate::llama) struct LlamaBackend(());

impl LlamaBackend {
    pub(in crate::llama) fn init() -> Result<Self, Failed> {
        // SAFETY: called once in a process, by the owner of the one backend, before any other call.
        unsafe { llama_cpp_sys_2::llama_backend_init() };
        Ok(Self(()))
    }
}

/// Whether llama.cpp's log goes anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::llama) struct LogOptions {
    enabled: bool,
}

impl LogOptions {
    pub(in crate::llama) fn with_logs_enabled(self, enabled: bool) -> Self {
        Self { enabled }
    }
}

/// Sends llama.cpp's log to `tracing`, or nowhere; never to standard output or error.
pub(in crate::llama) fn send_logs_to_tracing(options: LogOptions) {
    let sink = if options.enabled { to_tracing } else { to_nowhere };
    // SAFETY: both sinks live as long as the program and take no user data.
    unsafe { llama_cpp_sys_2::llama_log_set(Some(sink), std::ptr::null_mut()) };
}

unsafe extern "C" fn to_nowhere(_: llama_cpp_sys_2::ggml_log_level, _: *const c_char, _: *mut c_void) {}

unsafe extern "C" fn to_tracing(level: llama_cpp_sys_2::ggml_log_level, text: *const c_char, _: *mut c_void) {
    // SAFETY: llama.cpp gives a NUL-terminated line that lives during the call.
    let Some(text) = (unsafe { super::owned(text) }) else { return };
    let text = text.trim_end();
    if text.trim_matches('.').is_empty() {
        return;
    }
    match level {
        llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR => tracing::error!(target: "llama-cpp", "{text}"),
        llama_cpp_sys_2::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama-cpp", "{text}"),
        llama_cpp_sys_2::GGML_LOG_LEVEL_INFO => tracing::info!(target: "llama-cpp", "{text}"),
        _ => tracing::debug!(target: "llama-cpp", "{text}"),
    }
}
