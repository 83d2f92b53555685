//! Parameters that are given in part, on top of others: how a preset changes the one that it extends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    BinaryManagerParameters, ChatParameters, ContextParameters, ModelInferenceParameters,
    ModelSourceParameters, Parameters, SamplerParameters,
};

/// Some fields of some parameter sets. A field that is given replaces the one below it as a whole, lists and maps
/// included; `null` brings back llama.cpp's own default where a field has one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ParametersOverlay {
    /// Fields of [`BinaryManagerParameters`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "BinaryManagerParameters")]
    pub binary_manager_parameters: Map<String, Value>,
    /// Fields of [`ModelSourceParameters`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "ModelSourceParameters")]
    pub model_source_parameters: Map<String, Value>,
    /// Fields of [`ModelInferenceParameters`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "ModelInferenceParameters")]
    pub model_inference_parameters: Map<String, Value>,
    /// Fields of [`ContextParameters`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "ContextParameters")]
    pub context_parameters: Map<String, Value>,
    /// Fields of [`SamplerParameters`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "SamplerParameters")]
    pub sampler_parameters: Map<String, Value>,
    /// Fields of [`ChatParameters`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "ChatParameters")]
    pub chat_parameters: Map<String, Value>,
}

/// An overlay with a field that its set does not have, or a value that the field cannot take.
#[derive(Debug, thiserror::Error)]
#[error("the parameters do not fit: {0}")]
pub struct OverlayError(serde_json::Error);

impl From<serde_json::Error> for OverlayError {
    fn from(cause: serde_json::Error) -> Self {
        Self(cause)
    }
}

impl ParametersOverlay {
    /// `base` with the fields of this overlay replaced.
    ///
    /// # Errors
    /// [`OverlayError`] where a field does not exist or cannot take its value.
    pub fn apply(&self, base: &Parameters) -> Result<Parameters, OverlayError> {
        let mut sets = serde_json::to_value(base)?;
        let overlay = serde_json::to_value(self)?;
        for (set, fields) in overlay.as_object().into_iter().flatten() {
            let below = sets.get_mut(set).and_then(Value::as_object_mut);
            if let (Some(below), Some(fields)) = (below, fields.as_object()) {
                below.extend(fields.clone());
            }
        }
        Ok(serde_json::from_value(sets)?)
    }

    /// The overlay that makes `target` of `base`: the fields on which the two differ.
    ///
    /// # Errors
    /// [`OverlayError`] where a number is not finite, which JSON cannot say.
    pub fn between(base: &Parameters, target: &Parameters) -> Result<Self, OverlayError> {
        let (base, mut target) = (serde_json::to_value(base)?, serde_json::to_value(target)?);
        for (set, fields) in target.as_object_mut().into_iter().flatten() {
            if let Some(fields) = fields.as_object_mut() {
                fields.retain(|field, value| base.get(set).and_then(|set| set.get(field)) != Some(value));
            }
        }
        Ok(serde_json::from_value(target)?)
    }

    /// All fields of `parameters`, so that nothing below shows through.
    ///
    /// # Errors
    /// [`OverlayError`] where a number is not finite, which JSON cannot say.
    pub fn complete(parameters: &Parameters) -> Result<Self, OverlayError> {
        Ok(serde_json::from_value(serde_json::to_value(parameters)?)?)
    }
}
