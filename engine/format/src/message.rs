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
    /// What it has besides a text. Formats up to 2.1 do not keep it.
    pub details: Details,
}

/// What a message can have besides a text: what chats with tools and reasoning say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The name of the speaker, or of the tool that answers.
    pub name: Option<String>,
    /// What the model thought before it answered, where that is known apart from the answer.
    pub reasoning: Option<String>,
    /// The tools that the model calls.
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool's message: the id of the call that it answers.
    pub tool_call_id: Option<String>,
    /// It says nothing at all, which templates can tell from an empty text: a null in OpenAI-style histories.
    pub without_content: bool,
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Its id, by which the answer names it.
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// Its arguments, to the letter as the model wrote them: JSON, where the model wrote JSON.
    pub arguments: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ChatRole")]
pub enum Role {
    /// The system prompt.
    System,
    /// Who builds on the model, as some chats tell them from the system.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

/// Who speaks in a chat without tools: all that formats up to 2.1 and presets know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Role", description = "Who speaks.")]
pub enum Speaker {
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
            details: Details::default(),
        }
    }

    /// A message of the assistant that calls tools and says nothing.
    #[must_use]
    pub fn calling(tool_calls: Vec<ToolCall>) -> Self {
        let details = Details { tool_calls, without_content: true, ..Details::default() };
        Self { details, ..Self::new(0, Role::Assistant, "") }
    }

    /// What a tool answers to the call with this id.
    #[must_use]
    pub fn answering(tool_call_id: impl Into<String>, content: impl Into<String>) -> Self {
        let details = Details { tool_call_id: Some(tool_call_id.into()), ..Details::default() };
        Self { details, ..Self::new(0, Role::Tool, content) }
    }

    /// What it has that its speaker cannot have.
    #[must_use]
    pub fn flaw(&self) -> Option<&'static str> {
        let Details { tool_calls, reasoning, tool_call_id, without_content, .. } = &self.details;
        let (answers, tool) = (self.role == Role::Assistant, self.role == Role::Tool);
        let checks = [
            (!answers && !tool_calls.is_empty(), "calls tools, which only the assistant does"),
            (!answers && reasoning.is_some(), "has reasoning, which only the assistant has"),
            (!tool && tool_call_id.is_some(), "answers a tool call, which only a tool does"),
            (tool_calls.iter().any(|call| call.name.is_empty()), "calls a tool without a name"),
            (*without_content && !self.content.is_empty(), "says something and has no content"),
        ];
        checks.into_iter().find_map(|(wrong, what)| wrong.then_some(what))
    }

    /// The same message with the reasoning that led to it.
    #[must_use]
    pub fn with_reasoning(mut self, reasoning: impl Into<String>) -> Self {
        self.details.reasoning = Some(reasoning.into());
        self
    }
}

impl From<(Role, String)> for Message {
    fn from((role, content): (Role, String)) -> Self {
        Self::new(0, role, content)
    }
}

impl Details {
    /// Whether there is nothing but the text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ToolCall {
    /// A call.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { id: Some(id.into()), name: name.into(), arguments: arguments.into() }
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
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Whether it is one of those that tell the model how to behave.
    #[must_use]
    pub fn instructs(self) -> bool {
        matches!(self, Self::System | Self::Developer)
    }
}

impl From<Speaker> for Role {
    fn from(speaker: Speaker) -> Self {
        match speaker {
            Speaker::System => Self::System,
            Speaker::User => Self::User,
            Speaker::Assistant => Self::Assistant,
        }
    }
}

impl Speaker {
    /// The speaker that comes closest to a role: what a developer says before all others is a system prompt, and what a tool
    /// answers is told to the model as the person's words are.
    #[must_use]
    pub fn closest(role: Role, first: bool) -> Self {
        match role {
            Role::System => Self::System,
            Role::Developer if first => Self::System,
            Role::Developer | Role::User | Role::Tool => Self::User,
            Role::Assistant => Self::Assistant,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
