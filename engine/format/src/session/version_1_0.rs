//! Format 1.0: the seed system's file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Invalid;
use crate::media::MediaFormat;
use crate::message::{KvSpan, KvStatus, Message, Speaker};
use crate::version::FormatVersion;

/// A session file of format 1.0: history, and where each message was in the KV cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(title = "Session file, format 1.0")]
pub struct Document {
    /// `1.0`.
    pub format_version: FormatVersion,
    /// The session's id.
    pub session_id: String,
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
    #[serde(default)]
    pub media: Vec<Media>,
    /// Positions in the KV cache; -1 for not known.
    #[serde(rename = "KVSize", default = "unknown")]
    pub kv_size: i64,
    /// The first of them; -1 for not known.
    #[serde(rename = "KVStartPosition", default = "unknown")]
    pub kv_start_position: i64,
    /// 1 in the KV cache, 0 marked for clean-up, -1 not in the KV cache.
    #[serde(rename = "KVStatus", default = "loaded")]
    pub kv_status: i64,
}

/// What is known about an attached picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Media {
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

fn unknown() -> i64 {
    -1
}

fn loaded() -> i64 {
    1
}

/// `KVSize`, `KVStartPosition` and `KVStatus` of a message.
pub(super) fn kv_fields(message: &Message) -> (i64, i64, i64) {
    let status = match message.status {
        KvStatus::Loaded => 1,
        KvStatus::MarkedForCleanup => 0,
        KvStatus::Unloaded => -1,
    };
    let (size, start) = message.span.map_or((-1, -1), |span| (span.size.into(), span.start.into()));
    (size, start, status)
}

/// The span and status that the three fields of message `id` say.
pub(super) fn span_of(
    id: i32,
    size: i64,
    start: i64,
    status: i64,
) -> Result<(Option<KvSpan>, KvStatus), Invalid> {
    let invalid = || Invalid::Span { id, size, start, status };
    let known = match status {
        1 => KvStatus::Loaded,
        0 => KvStatus::MarkedForCleanup,
        -1 => KvStatus::Unloaded,
        _ => return Err(invalid()),
    };
    if (size, start) == (-1, -1) {
        return Ok((None, known));
    }
    let span = KvSpan {
        start: u32::try_from(start).map_err(|_| invalid())?,
        size: u32::try_from(size).map_err(|_| invalid())?,
    };
    Ok((Some(span), known))
}
