//! Presets: parameters under a name.
//!
//! The built-in ones are data (`presets/*.toml`, which says of every value whether it is published or ours). All of them
//! extend [`DEFAULT`], which is the library's defaults and names no model. A preset in JSON is a [`PresetDocument`]: it
//! must say what it `extends` and gives only what it changes.
//!
//! # Where the documents of the system that these names come from contradict themselves
//!
//! Decided on purpose, and kept to by the whole crate:
//!
//! 1. *Which versions go together*, the same minor version or the same or a higher one on the loading side: **the same
//!    major and the same or a higher minor version**, as its portability page says.
//! 2. *Whether a preset that comes with a message holds for that message or is never applied again*: **a preset belongs
//!    to a session**. It is given where the session starts, and a message brings none.
//! 3. *Whether the default file of a session is `<id>` or `<id>.json`*: **`<id>.json`**.
//! 4. *Whether positions are saved so that a session "can continue", or the file is independent of the machine*: formats
//!    1.0 and 1.1 keep positions and evaluate the chat again; **format 2.0 keeps the KV itself** and says on which machine
//!    it was made.
//! 5. *That parameters are to be set again after a load, though nothing sets them*: a load takes the saved, the preset's or
//!    the default parameters **by choice**.

mod builtin;
mod error;
mod library;
#[cfg(test)]
mod tests;

use intact_format::parameters::{ModelSourceParameters, Parameters};
use intact_format::preset::PresetDocument;

pub use builtin::published_fields;
pub use error::PresetError;
pub use library::PresetLibrary;

/// Name of the preset that has all defaults, which every built-in preset extends.
pub const DEFAULT: &str = "Default";
/// Name of the preset that is used where none is named.
pub const DEFAULT_MODEL: &str = "Qwen25";
/// What class names of presets end in; `Qwen25Preset` and `Qwen25` are the same preset.
const CLASS_SUFFIX: &str = "Preset";

/// Parameters under a name, with everything that they extend filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name: `Qwen25`.
    pub name: String,
    /// Name of the preset that it extends; none for [`DEFAULT`].
    pub extends: Option<String>,
    /// What it is, in a few words.
    pub description: String,
    /// All parameters.
    pub parameters: Parameters,
    /// The projector that turns images into embeddings, for vision presets.
    pub projector: Option<ModelSourceParameters>,
    /// The nearest built-in preset among those that it extends, or it itself.
    built_in: String,
    /// Whether a custom preset changes anything that a session depends on.
    customized: bool,
}

impl Preset {
    /// The built-in preset `name`, with or without `Preset` at its end.
    ///
    /// # Errors
    /// [`PresetError::Unknown`], with the names there are.
    pub fn by_name(name: &str) -> Result<Self, PresetError> {
        PresetLibrary::built_in()?.by_name(name)
    }

    /// A preset in JSON that extends a built-in one.
    ///
    /// # Errors
    /// [`PresetError`] where the text is no preset, does not say what it extends, or extends something unknown.
    pub fn from_json(json: &str) -> Result<Self, PresetError> {
        PresetLibrary::built_in()?.from_json(json)
    }

    /// This preset as JSON: what it changes of what it extends, or with `include_defaults` all parameters.
    ///
    /// # Errors
    /// [`PresetError`] where it extends a preset that is not built in, or a parameter is not a finite number.
    pub fn to_json(&self, include_defaults: bool) -> Result<String, PresetError> {
        PresetLibrary::built_in()?.to_json(self, include_defaults)
    }

    /// The name of its class, which manifests carry: `Qwen25Preset`.
    #[must_use]
    pub fn class_name(&self) -> String {
        class_name(&self.name)
    }

    /// What must be equal for two presets to count as the same family: the class name of the built-in preset, and behind a
    /// `+` a digest of how a custom preset configures model loading, context, sampler and chat. The model's source and the
    /// release are axes of their own and take no part. This is what passports and manifests carry.
    #[must_use]
    pub fn family(&self) -> String {
        let class = class_name(&self.built_in);
        if !self.customized {
            return class;
        }
        let digest = configuration(&self.parameters).digest().to_string();
        format!("{class}+{}", digest.chars().take(16).collect::<String>())
    }
}

/// The parameters that make up a family.
fn configuration(parameters: &Parameters) -> Parameters {
    Parameters {
        model_source_parameters: ModelSourceParameters::default(),
        binary_manager_parameters: intact_format::parameters::BinaryManagerParameters::default(),
        ..parameters.clone()
    }
}

fn class_name(name: &str) -> String {
    format!("{}{CLASS_SUFFIX}", plain_name(name))
}

/// The name without the suffix of class names.
fn plain_name(name: &str) -> &str {
    name.strip_suffix(CLASS_SUFFIX).filter(|plain| !plain.is_empty()).unwrap_or(name)
}
