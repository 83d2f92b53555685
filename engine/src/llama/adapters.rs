//! What is applied on top of a model's weights, in every context: LoRA adapters and control vectors.

use std::path::{Path, PathBuf};

use super::LlamaError;
use super::binding::model::LlamaModel;
use super::control_vector::ControlVector;
use super::native::adapter::LoraAdapter;
use super::native::context::LlamaContext;

/// Adapters of a model; llama.cpp frees them together with it.
#[derive(Debug)]
pub(super) struct Adapters {
    lora: Vec<(LoraAdapter, f32)>,
    control: Option<ControlVector>,
}

impl Adapters {
    /// Reads the files, each with how strongly it is applied.
    pub(super) fn read(
        model: &mut LlamaModel,
        lora: &[(PathBuf, f32)],
        control_vectors: &[(PathBuf, f32)],
    ) -> Result<Self, LlamaError> {
        let mut read = |path: &Path| {
            let failed = |reason: String| LlamaError::Adapter { path: path.to_owned(), reason };
            if !path.is_file() {
                return Err(failed("there is no such file".to_owned()));
            }
            LoraAdapter::read(model, path).map_err(|error| failed(error.to_string()))
        };
        let lora = lora.iter().map(|(path, scale)| Ok((read(path)?, *scale))).collect::<Result<_, _>>()?;
        Ok(Self { lora, control: ControlVector::sum(model, control_vectors)? })
    }

    /// Applies all of them to a context that is as llama.cpp made it.
    pub(super) fn apply(&self, context: &mut LlamaContext<'_>) -> Result<(), LlamaError> {
        let failed = |error| LlamaError::Context(format!("{error}"));
        if !self.lora.is_empty() {
            context.set_adapters(&self.lora).map_err(failed)?;
        }
        self.control.iter().try_for_each(|control| context.set_control_vector(control)).map_err(failed)
    }
}
