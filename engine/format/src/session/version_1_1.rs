//! Format 1.1: the manifest's fields inside the file, and the tokens of every message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::version_1_0::Media;
use crate::manifest::Manifest;
use crate::message::Speaker;
use crate::token::Token;
use crate::version::FormatVersion;

/// A session file of format 1.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(title = "Session file, format 1.1")]
pub struct Document {
    /// `1.1`.
    pub format_version: FormatVersion,
    /// The session's id.
    pub session_id: String,
    /// What the session was saved with, where that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// The messages, oldest first.
    pub history: Vec<HistoryEntry>,
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
    /// The message's tokens, template framing included, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<Token>>,
}
