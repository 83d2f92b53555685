//! Format 1.1: the manifest's fields inside the file, and the tokens of every message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Invalid;
use super::version_1_0::{Media, kv_fields, span_of};
use crate::manifest::Manifest;
use crate::message::{Message, Role};
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
    pub role: Role,
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

impl HistoryEntry {
    /// The entry of a message.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let (kv_size, kv_start_position, kv_status) = kv_fields(message);
        Self {
            id: message.id,
            role: message.role,
            content: message.content.clone(),
            media: message.media.iter().map(Media::of).collect(),
            kv_size,
            kv_start_position,
            kv_status,
            token_ids: message.tokens.clone(),
        }
    }

    /// The message.
    ///
    /// # Errors
    /// [`Invalid::Span`] where the KV fields are ones that no message has.
    pub fn into_message(self) -> Result<Message, Invalid> {
        let (span, status) = span_of(self.id, self.kv_size, self.kv_start_position, self.kv_status)?;
        Ok(Message {
            id: self.id,
            role: self.role,
            content: self.content,
            media: self.media.into_iter().map(Media::into_metadata).collect(),
            span,
            status,
            tokens: self.token_ids,
        })
    }
}
