//! Why a preset cannot be had.

use intact_format::parameters::OverlayError;

/// Why a preset cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresetError {
    /// No preset has that name.
    #[error("there is no preset {name:?}; there are {}", .known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The text is no preset.
    #[error("not a preset in JSON: {0}; it needs `extends` with the name of a preset, and `parameters`")]
    Json(serde_json::Error),
    /// Presets extend each other in a circle.
    #[error("presets extend each other in a circle: {}", .chain.join(" -> "))]
    Cycle {
        /// The names, the first one again at the end.
        chain: Vec<String>,
    },
    /// A parameter that does not exist or cannot have that value.
    #[error("preset {name:?}: {cause}")]
    Parameters {
        /// The preset.
        name: String,
        /// What does not fit.
        cause: OverlayError,
    },
    /// A preset of that name is already there.
    #[error("there is already a preset {name:?}; give this one another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// The built-in list is damaged, which its own test rules out.
    #[error("the built-in presets cannot be read: {0}")]
    BuiltIn(toml::de::Error),
}

impl From<serde_json::Error> for PresetError {
    fn from(cause: serde_json::Error) -> Self {
        Self::Json(cause)
    }
}

impl From<toml::de::Error> for PresetError {
    fn from(cause: toml::de::Error) -> Self {
        Self::BuiltIn(cause)
    }
}
