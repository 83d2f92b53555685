//! The built-in presets, as the data files list them.

use intact_format::parameters::ParametersOverlay;
use serde::Deserialize;

use super::{PresetError, plain_name};

const FILES: [&str; 2] = [include_str!("../../presets/text.toml"), include_str!("../../presets/vision.toml")];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    preset: Vec<BuiltIn>,
}

/// A row of a data file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuiltIn {
    pub(super) name: String,
    pub(super) extends: String,
    pub(super) description: String,
    pub(super) published: Vec<String>,
    #[serde(default)]
    pub(super) projector: Option<String>,
    pub(super) parameters: ParametersOverlay,
}

pub(super) fn built_in() -> Result<Vec<BuiltIn>, PresetError> {
    let mut presets = Vec::new();
    for file in FILES {
        presets.extend(toml::from_str::<File>(file)?.preset);
    }
    Ok(presets)
}

/// The fields of the built-in preset `name` whose values are published by the system that the names come from. The values
/// of all other fields are ours and have not been confirmed by fetching the model.
///
/// # Errors
/// [`PresetError::Unknown`] where there is no such preset.
pub fn published_fields(name: &str) -> Result<Vec<String>, PresetError> {
    let presets = built_in()?;
    match presets.iter().find(|preset| preset.name == plain_name(name)) {
        Some(preset) => Ok(preset.published.clone()),
        None => Err(PresetError::Unknown {
            name: name.to_owned(),
            known: presets.into_iter().map(|preset| preset.name).collect(),
        }),
    }
}
