//! What is applied on top of a model's weights, in every context: LoRA adapters and control vectors.
//!
//! `llama-cpp-2` sets one LoRA adapter at a time, in place of all others, and knows no control vectors, so this goes to the
//! C interface.

use std::path::{Path, PathBuf};

use super::LlamaError;
use super::binding::context::LlamaContext;
use super::binding::model::{LlamaLoraAdapter, LlamaModel};
use super::control_vector::ControlVector;

/// Adapters of a model; llama.cpp frees them together with it.
#[derive(Debug)]
pub(super) struct Adapters {
    lora: Vec<(LlamaLoraAdapter, f32)>,
    control: Option<ControlVector>,
}

impl Adapters {
    /// Loads the files, each with how strongly it is applied.
    pub(super) fn load(
        model: &mut LlamaModel,
        lora: &[(PathBuf, f32)],
        control_vectors: &[(PathBuf, f32)],
    ) -> Result<Self, LlamaError> {
        let mut loaded = |path: &Path| {
            let failed = |reason: String| LlamaError::Adapter { path: path.to_owned(), reason };
            if !path.is_file() {
                return Err(failed("there is no such file".to_owned()));
            }
            model.lora_adapter_init(path).map_err(|error| failed(error.to_string()))
        };
        let lora = lora.iter().map(|(path, scale)| Ok((loaded(path)?, *scale))).collect::<Result<_, _>>()?;
        Ok(Self { lora, control: ControlVector::sum(model, control_vectors)? })
    }
}

#[cfg(not(llama_raw))]
mod over_the_crate {
    use std::fmt::Debug;
    use std::ptr;

    use llama_cpp_sys_2 as sys;

    use super::{Adapters, LlamaContext, LlamaError};

    impl Adapters {
        /// Applies all of them to a context that is as llama.cpp made it.
        #[expect(unsafe_code, reason = "the crate does not offer these calls")]
        pub(in crate::llama) fn apply(&self, context: &mut LlamaContext<'_>) -> Result<(), LlamaError> {
            if self.lora.is_empty() && self.control.is_none() {
                return Ok(());
            }
            let context: *mut sys::llama_context = address(context, "LlamaContext { context: 0x")?;
            if !self.lora.is_empty() {
                let adapter = |(adapter, _): &_| address(adapter, "LlamaLoraAdapter { lora_adapter: 0x");
                let mut adapters = self.lora.iter().map(adapter).collect::<Result<Vec<_>, _>>()?;
                let mut scales: Vec<f32> = self.lora.iter().map(|(_, scale)| *scale).collect();
                let (count, scales) = (adapters.len(), scales.as_mut_ptr());
                // SAFETY: the context is borrowed exclusively and the adapters live as long as the model, which the
                // context borrows; there are as many scales as adapters, and llama.cpp copies both lists.
                let code =
                    unsafe { sys::llama_set_adapters_lora(context, adapters.as_mut_ptr(), count, scales) };
                done(code, "the LoRA adapters")?;
            }
            if let Some(control) = &self.control {
                let (data, length) = (control.data.as_ptr(), control.data.len());
                // SAFETY: the context is borrowed exclusively, and the length travels with the numbers, which llama.cpp
                // copies.
                let code = unsafe {
                    sys::llama_set_adapter_cvec(context, data, length, control.width, 1, control.layers)
                };
                done(code, "the control vectors")?;
            }
            Ok(())
        }
    }

    fn done(code: i32, what: &str) -> Result<(), LlamaError> {
        if code == 0 { Ok(()) } else { Err(LlamaError::Context(format!("{what} were not applied ({code})"))) }
    }

    /// The address that a wrapper of the crate holds. It tells it to nobody but `Debug`, whose text is looked at to the
    /// last character: another version of the crate that writes another text gives an error here, no other address.
    fn address<T>(wrapper: &impl Debug, before: &str) -> Result<*mut T, LlamaError> {
        let text = format!("{wrapper:?}");
        let digits = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(" }"));
        let address = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        address.map(ptr::with_exposed_provenance_mut).ok_or_else(|| {
            LlamaError::Context("this version of llama-cpp-2 does not tell where its objects are".to_owned())
        })
    }
}

#[cfg(llama_raw)]
impl Adapters {
    /// Nothing: over these releases no adapter can be loaded.
    pub(super) fn apply(&self, _: &mut LlamaContext<'_>) -> Result<(), LlamaError> {
        Ok(())
    }
}
