//! LoRA adapters and control vectors, on top of a model's weights.

use std::path::Path;
use std::ptr::NonNull;

use crate::llama::sys;

use super::context::LlamaContext;
use super::{Failed, address, c_path, failed};
use crate::llama::binding::model::LlamaModel;
use crate::llama::control_vector::ControlVector;
use crate::llama::release::adapters_are_offered;

/// Length of a model's hidden state, and number of its layers.
pub(in crate::llama) fn dimensions(model: &LlamaModel) -> (i32, i32) {
    let model = address(model).as_ptr();
    // SAFETY: the model lives.
    unsafe { (sys::llama_model_n_embd(model), sys::llama_model_n_layer(model)) }
}

/// A LoRA adapter; it belongs to its model, which frees it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(llama_set_adapters), expect(dead_code, reason = "read where adapters are applied"))]
pub(in crate::llama) struct LoraAdapter {
    pointer: NonNull<sys::llama_adapter_lora>,
    model: NonNull<sys::llama_model>,
}

// SAFETY: nothing writes to an adapter after it was read.
unsafe impl Send for LoraAdapter {}
// SAFETY: as above.
unsafe impl Sync for LoraAdapter {}

impl LoraAdapter {
    /// Reads an adapter for a model.
    pub(in crate::llama) fn read(model: &mut LlamaModel, path: &Path) -> Result<Self, Failed> {
        adapters_are_offered().map_err(failed)?;
        let (model, path) = (address(model), c_path(path)?);
        // SAFETY: the model is borrowed exclusively, because it keeps the adapter, and the path is NUL-terminated.
        let adapter = unsafe { sys::llama_adapter_lora_init(model.as_ptr(), path.as_ptr()) };
        let pointer = NonNull::new(adapter).ok_or_else(|| failed("null result from llama.cpp"))?;
        Ok(Self { pointer, model })
    }
}

#[cfg(llama_set_adapters)]
impl LlamaContext<'_> {
    /// Applies adapters in place of those that were applied before.
    pub(in crate::llama) fn set_adapters(&mut self, adapters: &[(LoraAdapter, f32)]) -> Result<(), Failed> {
        if adapters.iter().any(|(adapter, _)| adapter.model != self.model()) {
            return Err(failed("an adapter is of another model"));
        }
        let (mut pointers, mut scales): (Vec<_>, Vec<_>) =
            adapters.iter().map(|(adapter, scale)| (adapter.pointer.as_ptr(), *scale)).unzip();
        let (count, scales) = (pointers.len(), scales.as_mut_ptr());
        // SAFETY: the context lives, and so do the adapters, which are its model's; there are as many scales as adapters,
        // and llama.cpp copies both lists.
        done(unsafe { sys::llama_set_adapters_lora(self.pointer(), pointers.as_mut_ptr(), count, scales) })
    }

    /// Applies a control vector in place of one that was applied before.
    pub(in crate::llama) fn set_control_vector(&mut self, vector: &ControlVector) -> Result<(), Failed> {
        let ControlVector { data, width, layers } = vector;
        let (data, length) = (data.as_ptr(), data.len());
        // SAFETY: the context lives, and the length travels with the numbers, which llama.cpp copies.
        done(unsafe { sys::llama_set_adapter_cvec(self.pointer(), data, length, *width, 1, *layers) })
    }
}

#[cfg(llama_set_adapters)]
fn done(code: i32) -> Result<(), Failed> {
    if code == 0 { Ok(()) } else { Err(failed(format!("they were not applied ({code})"))) }
}

/// Over these releases no adapter can be read, so there is none to apply.
#[cfg(not(llama_set_adapters))]
impl LlamaContext<'_> {
    pub(in crate::llama) fn set_adapters(&mut self, _: &[(LoraAdapter, f32)]) -> Result<(), Failed> {
        Ok(())
    }

    pub(in crate::llama) fn set_control_vector(&mut self, _: &ControlVector) -> Result<(), Failed> {
        Ok(())
    }
}
