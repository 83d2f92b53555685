//! The process-wide backend, and llama.cpp's log on its way to `tracing`.

use std::sync::OnceLock;

use super::LlamaError;
use super::binding::llama_backend::LlamaBackend;
use super::native::log::send_logs_to_tracing;

static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();

/// The backend, started on first use. llama.cpp's log goes to `tracing` from then on and never to standard output.
pub(super) fn backend() -> Result<&'static LlamaBackend, LlamaError> {
    BACKEND
        .get_or_init(|| {
            send_logs_to_tracing();
            LlamaBackend::init().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|reason| LlamaError::Backend(reason.clone()))
}

static CPU_FEATURES: OnceLock<String> = OnceLock::new();

/// Instruction sets that this build of llama.cpp uses on the processor, as llama.cpp prints them. Asked for once:
/// llama.cpp writes its answer into one buffer for the whole process, without a lock.
#[must_use]
pub fn cpu_features() -> String {
    CPU_FEATURES.get_or_init(super::release::system_info).clone()
}
