//! Format 2.0: passport, parameters, canary, KV image, and a digest over all of it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sealing::{self, Sealed};
use crate::canary::Canary;
use crate::digest::Digest;
use crate::image::ImageReference;
use crate::manifest::Manifest;
use crate::media::{MediaFormat, MediaMetadata};
use crate::message::Speaker;
use crate::parameters::{Parameters, SamplerState};
use crate::passport::Passport;
use crate::token::Token;
use crate::version::FormatVersion;

/// A session file of format 2.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(
    title = "Session file, format 2.0",
    extend("required" = ["FormatVersion", "Digest", "SessionId", "History"])
)]
pub struct Document {
    /// `2.0`.
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
    /// The KV image; it covers all tokens but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReference>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct HistoryEntry {
    /// Unique in its session.
    pub id: i32,
    /// Who speaks.
    pub role: Speaker,
    /// What is said.
    pub content: String,
    /// What is attached, without its bytes.
    pub media: Vec<Media>,
    /// Positions in the KV cache; -1 for not known.
    #[serde(rename = "KVSize")]
    pub kv_size: i64,
    /// The first of them; -1 for not known.
    #[serde(rename = "KVStartPosition")]
    pub kv_start_position: i64,
    /// 1 in the KV cache, 0 marked for clean-up, -1 not in the KV cache.
    #[serde(rename = "KVStatus")]
    pub kv_status: i64,
    /// The message's tokens, template framing included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<Token>>,
}

/// What is known about an attached picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Media {
    /// The digest of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Number of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its format.
    pub format: MediaFormat,
    /// Its MIME type.
    pub mime_type: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The name of the file that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
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
    const VERSION: FormatVersion = FormatVersion::V2_0;

    fn digest_mut(&mut self) -> &mut Option<Digest> {
        &mut self.digest
    }
}

impl Media {
    pub(super) fn of(media: &MediaMetadata) -> Self {
        Self {
            digest: media.digest,
            size: media.size,
            format: media.format,
            mime_type: media.mime_type.clone(),
            width: media.width,
            height: media.height,
            description: media.description.clone(),
            file_name: media.file_name.clone(),
        }
    }

    pub(super) fn into_metadata(self) -> MediaMetadata {
        MediaMetadata {
            digest: self.digest,
            size: self.size,
            format: self.format,
            mime_type: self.mime_type,
            width: self.width,
            height: self.height,
            description: self.description,
            file_name: self.file_name,
        }
    }
}
