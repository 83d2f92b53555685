//! The messages of a session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::media::MediaMetadata;
use crate::token::Token;

/// One message of a session, and where it is in the KV cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique in its session.
    pub id: i32,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What is attached.
    pub media: Vec<MediaMetadata>,
    /// Where the message is in the KV cache; none while that is not known, or once it is unloaded.
    pub span: Option<KvSpan>,
    /// Whether it is in the KV cache.
    pub status: KvStatus,
    /// Its tokens, template framing included. Format 1.0 does not keep them; an unloaded message has none.
    pub tokens: Option<Vec<Token>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The system prompt.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// The run of KV positions that a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KvSpan {
    /// First position.
    pub start: u32,
    /// Number of positions.
    pub size: u32,
}

/// Whether a message is in the KV cache. In files 1, 0 or -1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum KvStatus {
    /// It is.
    #[default]
    Loaded,
    /// It is, and the next clean-up takes it out.
    MarkedForCleanup,
    /// It is not.
    Unloaded,
}

impl Message {
    /// A message that is in no KV cache yet.
    #[must_use]
    pub fn new(id: i32, role: Role, content: impl Into<String>) -> Self {
        Self {
            id,
            role,
            content: content.into(),
            media: Vec::new(),
            span: None,
            status: KvStatus::Loaded,
            tokens: None,
        }
    }
}

impl KvSpan {
    /// The position after the last one.
    #[must_use]
    pub fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.size)
    }
}

impl Role {
    /// The name that chat templates and files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
