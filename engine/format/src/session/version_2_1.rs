//! Format 2.1: adds how far the model was from itself where the session was saved.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sealing::{self, Sealed};
use super::version_2_0::HistoryEntry;
use super::{Invalid, SessionDocument};
use crate::canary::Canary;
use crate::digest::Digest;
use crate::image::ImageReference;
use crate::manifest::Manifest;
use crate::noise::Noise;
use crate::parameters::{Parameters, SamplerState};
use crate::passport::Passport;
use crate::session_id::SessionId;
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
    /// The document of a session, without its digest.
    #[must_use]
    pub fn of(session: &SessionDocument) -> Self {
        Self {
            format_version: FormatVersion::V2_1,
            digest: None,
            session_id: session.session_id.to_string(),
            saved_at: session.saved_at,
            history: session.history.iter().map(HistoryEntry::of).collect(),
            manifest: session.manifest.clone(),
            parameters: session.parameters.clone(),
            sampler: session.sampler,
            passport: session.passport.clone(),
            canary: session.canary.clone(),
            noise: session.noise,
            image: session.image.clone(),
        }
    }

    /// The session.
    ///
    /// # Errors
    /// [`Invalid`] where the fields of one message or the session's id cannot be.
    pub fn into_session(self) -> Result<SessionDocument, Invalid> {
        Ok(SessionDocument {
            session_id: SessionId::new(self.session_id)?,
            saved_at: self.saved_at,
            history: self.history.into_iter().map(HistoryEntry::into_message).collect::<Result<_, _>>()?,
            manifest: self.manifest,
            parameters: self.parameters,
            sampler: self.sampler,
            passport: self.passport,
            canary: self.canary,
            noise: self.noise,
            image: self.image,
        })
    }

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
