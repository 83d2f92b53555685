//! Format 2.1: adds how far the model was from itself where the session was saved.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sealing::{self, Sealed};
use super::version_2_0::HistoryEntry;
use crate::canary::Canary;
use crate::digest::Digest;
use crate::image::ImageReference;
use crate::manifest::Manifest;
use crate::noise::Noise;
use crate::parameters::{Parameters, SamplerState};
use crate::passport::Passport;
use crate::version::FormatVersion;

/// A session file of format 2.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(
    title = "Session file, format 2.1",
    extend("required" = ["FormatVersion", "Digest", "SessionId", "History"])
)]
pub struct Document {
    /// `2.1`.
    pub format_version: FormatVersion,
    /// BLAKE3 over the document as compact JSON, keys in the order of the schema, without this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Digest")]
    pub digest: Option<Digest>,
    /// The session's id.
    pub session_id: String,
    /// When it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub saved_at: Option<Timestamp>,
    /// The messages, oldest first.
    pub history: Vec<HistoryEntry>,
    /// What the session was saved with, as older formats have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// All parameter sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// What choosing tokens depends on besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<SamplerState>,
    /// What was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<Passport>,
    /// What the model said at the saved point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// How far the model was from itself where the session was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// The KV image; it covers all tokens but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReference>,
}

impl Document {
    /// The same document with the digest of its content.
    ///
    /// # Errors
    /// None in practice: every key is a string or an integer.
    pub fn sealed(self) -> Result<Self, serde_json::Error> {
        sealing::sealed(self)
    }
}

impl Sealed for Document {
    const VERSION: FormatVersion = FormatVersion::V2_1;

    fn digest_mut(&mut self) -> &mut Option<Digest> {
        &mut self.digest
    }
}
