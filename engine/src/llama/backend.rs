//! The process-wide backend, and llama.cpp's log on its way to `tracing`.

use std::sync::OnceLock;

use super::LlamaError;
#[cfg(not(llama_raw))]
use super::binding::LlamaCppError;
use super::binding::llama_backend::LlamaBackend;
#[cfg(not(llama_raw))]
use super::native::log::LogSink;
use super::native::log::send_logs_to_tracing;

static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();

/// The backend, started on first use. llama.cpp's log goes to `tracing` from then on and never to standard output, unless the
/// program has started the backend before: then the program has the log.
pub(super) fn backend() -> Result<&'static LlamaBackend, LlamaError> {
    BACKEND.get_or_init(start).as_ref().map_err(|reason| LlamaError::Backend(reason.clone()))
}

fn start() -> Result<LlamaBackend, String> {
    #[cfg(not(llama_raw))]
    let log_before = LogSink::now();
    send_logs_to_tracing();
    match LlamaBackend::init() {
        // This one is never dropped, so the program ends the backend.
        #[cfg(not(llama_raw))]
        Err(LlamaCppError::BackendAlreadyInitialized) => {
            log_before.take_over();
            Ok(LlamaBackend {})
        }
        started => started.map_err(|error| error.to_string()),
    }
}

static CPU_FEATURES: OnceLock<String> = OnceLock::new();

/// Instruction sets that this build of llama.cpp uses on the processor, as llama.cpp prints them. Asked for once:
/// llama.cpp writes its answer into one buffer for the whole process, without a lock.
#[must_use]
pub fn cpu_features() -> String {
    CPU_FEATURES.get_or_init(super::release::system_info).clone()
}
