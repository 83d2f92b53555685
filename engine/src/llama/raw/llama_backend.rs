use super::Failed;

/// llama.cpp's process-wide state, started once.
#[derive(Debug)]
pub(in crate::llama) struct LlamaBackend(());

impl LlamaBackend {
    pub(in crate::llama) fn init() -> Result<Self, Failed> {
        // SAFETY: called once in a process, by the owner of the one backend, before any other call.
        unsafe { crate::llama::sys::llama_backend_init() };
        Ok(Self(()))
    }
}
