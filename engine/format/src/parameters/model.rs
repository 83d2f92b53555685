//! Where the model and llama.cpp come from, and how the model is loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the model is loaded. `None` (JSON `null`) means llama.cpp's own default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ModelInferenceParameters {
    /// Layers on the accelerator.
    pub gpu_layers: Option<i32>,
    /// Map the file into memory.
    pub use_memory_mapping: Option<bool>,
    /// Keep it from being swapped out.
    pub use_memory_locking: Option<bool>,
    /// The accelerator that is used where only one is.
    pub main_gpu: Option<i32>,
    /// How the model is split over accelerators.
    pub split_mode: Option<SplitMode>,
    /// Load the vocabulary alone.
    pub vocab_only: Option<bool>,
    /// Check the values of all tensors.
    pub check_tensors: Option<bool>,
    /// Share of the model on each accelerator.
    pub tensor_split: Option<Vec<f32>>,
    /// Metadata that is used instead of the file's.
    pub kv_overrides: BTreeMap<String, KvOverride>,
}

/// How a model is split over accelerators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SplitMode {
    /// Not at all.
    None,
    /// By layer.
    Layer,
    /// By row.
    Row,
}

/// A value of the model's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum KvOverride {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Str(String),
}

/// Where the model comes from: a file, or else a file of a Hugging Face repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ModelSourceParameters {
    /// A model file on this machine; wins over the repository.
    pub model_file_path: Option<PathBuf>,
    /// The repository, `owner/name`.
    pub hugging_face_repo_id: Option<String>,
    /// The file in the repository.
    pub hugging_face_file_name: Option<String>,
}

/// Which llama.cpp runs. The release is linked in here, so the tag is what the seed system recorded, kept and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct BinaryManagerParameters {
    /// The llama.cpp release tag.
    pub release_tag: String,
    /// The accelerator to prefer.
    pub acceleration_preference: AccelerationPreference,
}

/// The accelerator to prefer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccelerationPreference {
    /// Whichever is there.
    #[default]
    Auto,
    /// None.
    Cpu,
    /// NVIDIA's.
    Cuda,
    /// AMD's.
    Hip,
    /// Apple's.
    Metal,
    /// Any, through Vulkan.
    Vulkan,
}

impl Default for BinaryManagerParameters {
    fn default() -> Self {
        Self { release_tag: "b8816".to_owned(), acceleration_preference: AccelerationPreference::default() }
    }
}
