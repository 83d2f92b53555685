//! The parameter sets of a session, with the seed system's names and defaults.

mod chat;
mod context;
mod model;
mod overlay;
mod sampler;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chat::{CacheCleanupStrategy, ChatParameters, HistoryMessage};
pub use context::{AttentionType, ContextParameters, FlashAttentionMode, PoolingType, RopeScalingType};
pub use model::{
    AccelerationPreference, BinaryManagerParameters, KvOverride, ModelInferenceParameters,
    ModelSourceParameters, SplitMode,
};
pub use overlay::{OverlayError, ParametersOverlay};
pub use sampler::{SamplerParameters, SamplerState};

use crate::digest::Digest;

/// All parameter sets together: what a preset gives and a 2.0 session file keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Parameters {
    /// Which llama.cpp runs.
    pub binary_manager_parameters: BinaryManagerParameters,
    /// Where the model comes from.
    pub model_source_parameters: ModelSourceParameters,
    /// How the model is loaded.
    pub model_inference_parameters: ModelInferenceParameters,
    /// The context that sessions live in.
    pub context_parameters: ContextParameters,
    /// How tokens are chosen.
    pub sampler_parameters: SamplerParameters,
    /// How a chat goes.
    pub chat_parameters: ChatParameters,
}

impl Parameters {
    /// The digest of these parameters, to tell whether they survived: BLAKE3 over their compact JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        // Cannot fail: every key is a string or an integer. An empty text would still be a digest, and a different one.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
