//! Format 2.2: adds what chats with tools and reasoning have besides texts, and what a chat template was given.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sealing::{self, Sealed};
use super::version_1_0::{kv_fields, span_of};
use super::version_2_0::Media;
use super::{Invalid, SessionDocument};
use crate::canary::Canary;
use crate::digest::Digest;
use crate::image::ImageReference;
use crate::inputs::TemplateInputs;
use crate::manifest::Manifest;
use crate::message::{Details, Message, Role, ToolCall};
use crate::noise::Noise;
use crate::parameters::{Parameters, SamplerState};
use crate::passport::Passport;
use crate::session_id::SessionId;
use crate::token::Token;
use crate::version::FormatVersion;

/// A session file of format 2.2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(
    title = "Session file, format 2.2",
    extend("required" = ["FormatVersion", "Digest", "SessionId", "History"])
)]
pub struct Document {
    /// `2.2`.
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
    /// What the chat template is given besides the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_inputs: Option<TemplateInputs>,
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

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct HistoryEntry {
    /// Unique in its session.
    pub id: i32,
    /// Who speaks.
    pub role: Role,
    /// The name of the speaker, or of the tool that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the model thought before it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// What is said; not there for a message that says nothing at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The tools that the model calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call>,
    /// Of a tool's message: the id of the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
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

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(rename = "ToolCall")]
pub struct Call {
    /// Its id, by which the answer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// Its arguments, to the letter as the model wrote them.
    pub arguments: String,
}

impl Document {
    /// The document of a session, without its digest.
    #[must_use]
    pub fn of(session: &SessionDocument) -> Self {
        Self {
            format_version: FormatVersion::V2_2,
            digest: None,
            session_id: session.session_id.to_string(),
            saved_at: session.saved_at,
            history: session.history.iter().map(HistoryEntry::of).collect(),
            template_inputs: session.inputs.clone(),
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
            inputs: self.template_inputs,
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
    const VERSION: FormatVersion = FormatVersion::V2_2;

    fn digest_mut(&mut self) -> &mut Option<Digest> {
        &mut self.digest
    }
}

impl HistoryEntry {
    fn of(message: &Message) -> Self {
        let (kv_size, kv_start_position, kv_status) = kv_fields(message);
        let Details { name, reasoning, tool_calls, tool_call_id, without_content } = &message.details;
        Self {
            id: message.id,
            role: message.role,
            name: name.clone(),
            reasoning: reasoning.clone(),
            content: (!without_content).then(|| message.content.clone()),
            tool_calls: tool_calls.iter().map(Call::of).collect(),
            tool_call_id: tool_call_id.clone(),
            media: message.media.iter().map(Media::of).collect(),
            kv_size,
            kv_start_position,
            kv_status,
            token_ids: message.tokens.clone(),
        }
    }

    /// The message; [`Invalid::Span`] where the KV fields are ones that no message has.
    fn into_message(self) -> Result<Message, Invalid> {
        let (span, status) = span_of(self.id, self.kv_size, self.kv_start_position, self.kv_status)?;
        let details = Details {
            name: self.name,
            reasoning: self.reasoning,
            tool_calls: self.tool_calls.into_iter().map(Call::into_tool_call).collect(),
            tool_call_id: self.tool_call_id,
            without_content: self.content.is_none(),
        };
        Ok(Message {
            id: self.id,
            role: self.role,
            content: self.content.unwrap_or_default(),
            media: self.media.into_iter().map(Media::into_metadata).collect(),
            span,
            status,
            tokens: self.token_ids,
            details,
        })
    }
}

impl Call {
    fn of(call: &ToolCall) -> Self {
        Self { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() }
    }

    fn into_tool_call(self) -> ToolCall {
        ToolCall { id: self.id, name: self.name, arguments: self.arguments }
    }
}
