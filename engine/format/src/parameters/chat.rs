//! How a chat goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::Speaker;

/// How a chat goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ChatParameters {
    /// The system prompt; empty means none.
    pub system_prompt: String,
    /// Messages that every new chat starts with, after the system prompt.
    pub history: Vec<HistoryMessage>,
    /// Most tokens of one reply.
    pub max_tokens: u32,
    /// What goes when the context is full.
    pub cache_cleanup_strategy: CacheCleanupStrategy,
}

/// A message that a new chat starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct HistoryMessage {
    /// Who speaks.
    pub role: Speaker,
    /// What is said.
    pub content: String,
}

/// What stays in the KV cache when it is cleaned up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CacheCleanupStrategy {
    /// The system prompt alone.
    KeepSystemPromptOnly,
    /// The system prompt and the newer half of the messages.
    KeepSystemPromptAndHalf,
    /// The system prompt and the first message of the user.
    KeepSystemPromptAndFirstUserMessage,
    /// The system prompt and the last message of the user.
    KeepSystemPromptAndLastUserMessage,
    /// All but as many of the oldest messages as must go.
    #[default]
    RemoveOldestMessages,
}

impl Default for ChatParameters {
    fn default() -> Self {
        Self {
            system_prompt: String::new(),
            history: Vec::new(),
            max_tokens: 2048,
            cache_cleanup_strategy: CacheCleanupStrategy::default(),
        }
    }
}

impl CacheCleanupStrategy {
    /// What a forced clean-up does where no strategy is named.
    pub const FORCED_DEFAULT: Self = Self::KeepSystemPromptOnly;

    /// Every strategy.
    pub const ALL: [Self; 5] = [
        Self::KeepSystemPromptOnly,
        Self::KeepSystemPromptAndHalf,
        Self::KeepSystemPromptAndFirstUserMessage,
        Self::KeepSystemPromptAndLastUserMessage,
        Self::RemoveOldestMessages,
    ];
}
