//! Other quantizations of a model, made by llama.cpp's own quantizer.

#![expect(unsafe_code, reason = "a binding to C")]

use std::path::Path;

use crate::llama::sys;

use super::LlamaError;
use super::backend::backend;
use super::native::c_path;

/// What the weights of a model can be made into, by llama.cpp's names.
const WEIGHTS: [(&str, sys::llama_ftype); 12] = [
    ("f32", sys::LLAMA_FTYPE_ALL_F32),
    ("f16", sys::LLAMA_FTYPE_MOSTLY_F16),
    ("bf16", sys::LLAMA_FTYPE_MOSTLY_BF16),
    ("q8_0", sys::LLAMA_FTYPE_MOSTLY_Q8_0),
    ("q6_k", sys::LLAMA_FTYPE_MOSTLY_Q6_K),
    ("q5_k_m", sys::LLAMA_FTYPE_MOSTLY_Q5_K_M),
    ("q5_1", sys::LLAMA_FTYPE_MOSTLY_Q5_1),
    ("q5_0", sys::LLAMA_FTYPE_MOSTLY_Q5_0),
    ("q4_k_m", sys::LLAMA_FTYPE_MOSTLY_Q4_K_M),
    ("q4_k_s", sys::LLAMA_FTYPE_MOSTLY_Q4_K_S),
    ("q4_1", sys::LLAMA_FTYPE_MOSTLY_Q4_1),
    ("q4_0", sys::LLAMA_FTYPE_MOSTLY_Q4_0),
];

/// Writes the model `from` with weights of another type to `to`. What is quantized already is quantized once more. Rows
/// that are no whole blocks of the type get the one that llama.cpp takes in its place. The file is not moved into its
/// place in one step: give a temporary name.
///
/// # Errors
/// When the type is not known, there is no such model, or llama.cpp fails.
pub fn quantize(from: &Path, to: &Path, weights: &str, threads: u32) -> Result<(), LlamaError> {
    backend()?;
    if !from.is_file() {
        return Err(LlamaError::ModelNotFound(from.to_owned()));
    }
    let known = WEIGHTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(weights));
    let Some(&(_, ftype)) = known else {
        let known: Vec<&str> = WEIGHTS.iter().map(|(name, _)| *name).collect();
        return Err(LlamaError::Weights { wanted: weights.to_owned(), known: known.join(", ") });
    };
    let failed = |reason: String| LlamaError::Quantize { path: from.to_owned(), reason };
    let [source, target] = [from, to].map(|path| c_path(path).map_err(|error| failed(error.to_string())));
    let (source, target) = (source?, target?);
    // SAFETY: takes nothing and returns a value.
    let mut parameters = unsafe { sys::llama_model_quantize_default_params() };
    parameters.ftype = ftype;
    parameters.nthread = i32::try_from(threads).unwrap_or(1);
    parameters.allow_requantize = true;
    // SAFETY: both paths are NUL-terminated and, as the parameters, outlive the call, which keeps none of them. It catches
    // its own exceptions and returns another number than 0 then.
    let status =
        unsafe { sys::llama_model_quantize(source.as_ptr(), target.as_ptr(), &raw const parameters) };
    if status == 0 { Ok(()) } else { Err(failed(format!("its quantizer ended with {status}"))) }
}
