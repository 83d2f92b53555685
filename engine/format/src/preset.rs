//! Presets as documents: some parameters under a name, on top of another preset.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::parameters::ParametersOverlay;

/// A preset as JSON: what it extends, and the parameters that it changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PresetDocument {
    /// Name of the preset that it extends.
    pub extends: String,
    /// Its own name; without one it goes by the name of what it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The parameters that it changes.
    #[serde(default)]
    pub parameters: ParametersOverlay,
}
