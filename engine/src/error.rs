//! What can go wrong, each with what to do next.

use std::io;
use std::path::PathBuf;

use intact_format::identity::IdentityError;
use intact_format::place::{PlaceError, is_no_room};
use intact_format::route::{Refusal, RefusalCode};
use intact_format::session::WriteError;
use intact_format::session_id::{SessionId, SessionIdError};
use thiserror::Error;

use crate::cleanup::CleanupError;
use crate::llama::LlamaError;
use crate::template::TemplateError;

/// Why the engine did not do what it was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No live session has that id.
    #[error("no live session has the id `{id}`; start it, or load it from its file")]
    SessionNotFound {
        /// What was asked for.
        id: String,
    },
    /// A session with that id is live already.
    #[error("a session with the id `{id}` is live already; close it first, or choose another id")]
    SessionExists {
        /// The id.
        id: SessionId,
    },
    /// A place keeps another session under the id.
    #[error(
        "session `{found}` is kept under the name of `{wanted}`; load it by its file, or start `{wanted}` elsewhere"
    )]
    OtherSession {
        /// The id that was asked for.
        wanted: SessionId,
        /// The id in the document.
        found: SessionId,
    },
    /// No session is current.
    #[error("there is no current session; start a chat or load a session first")]
    NoCurrentSession,
    /// Text that cannot be a session id.
    #[error(transparent)]
    SessionId(#[from] SessionIdError),
    /// A load or a check was refused. Live sessions are as they were.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The reply was stopped. What was generated is gone, the user's message stays.
    #[error(
        "the reply in session `{id}` was cancelled; the message stays and can be answered by the next one"
    )]
    Cancelled {
        /// The session.
        id: SessionId,
    },
    /// The message does not fit into the context, whatever is unloaded.
    #[error(
        "a message with its reply takes {tokens} tokens and the context of session `{id}` has room for {n_ctx}; \
         shorten the message, or raise the context size"
    )]
    MessageTooLong {
        /// The session.
        id: SessionId,
        /// Tokens that it takes.
        tokens: usize,
        /// Context length in tokens.
        n_ctx: usize,
    },
    /// A message that no session can have.
    #[error("there is {what}; change it")]
    Message {
        /// What is wrong with it.
        what: String,
    },
    /// There are no tokens to go on from.
    #[error("session `{id}` has no tokens yet; send a message first")]
    Empty {
        /// The session.
        id: SessionId,
    },
    /// The sampler left no token to choose.
    #[error("the sampler of session `{id}` left no token to choose from; loosen its filters")]
    NothingToSample {
        /// The session.
        id: SessionId,
    },
    /// No room can be made.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// The chat template cannot be used with these messages.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// llama.cpp refused or failed.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// The model could not be identified.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A model has to be named.
    #[error("no model is named: give a path, or a preset with ModelSourceParameters.ModelFilePath")]
    NoModel,
    /// A setting that this engine cannot apply.
    #[error("{what} cannot be applied by this engine; leave it out")]
    Unsupported {
        /// The setting.
        what: String,
    },
    /// Parameters that no context can have.
    #[error("{what}; change it")]
    Parameters {
        /// Which, and what is possible.
        what: String,
    },
    /// The session cannot be written in that format.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The place that sessions are kept in failed.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file could not be written or read.
    #[error("{action} {path}: {cause}", path = .path.display())]
    Io {
        /// What was done: `write`, `read`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl EngineError {
    /// The stable, kebab-case name of the reason; none where something failed that is no decision of the engine's.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::SessionNotFound { .. } => RefusalCode::SessionNotFound.as_str(),
            Self::SessionExists { .. } => "session-exists",
            Self::OtherSession { .. } => "other-session",
            Self::NoCurrentSession => RefusalCode::NoCurrentSession.as_str(),
            Self::SessionId(_) => RefusalCode::InvalidSessionId.as_str(),
            Self::Refused(refusal) => refusal.code.as_str(),
            Self::Cancelled { .. } => "cancelled",
            Self::MessageTooLong { .. } | Self::Cleanup(_) | Self::Llama(LlamaError::Full { .. }) => {
                RefusalCode::ContextTooSmall.as_str()
            }
            Self::Empty { .. } => "session-empty",
            Self::Llama(LlamaError::ModelNotFound(_)) | Self::Identity(IdentityError::NotFound(_)) => {
                "model-not-found"
            }
            Self::Llama(LlamaError::Model { .. }) | Self::Identity(_) => "model-unreadable",
            Self::Llama(LlamaError::KvType(_)) => "kv-type-unknown",
            Self::Llama(LlamaError::Context(_)) => "context-impossible",
            Self::Parameters { .. } => RefusalCode::ParametersInvalid.as_str(),
            Self::Place(error) => return error.code.map(RefusalCode::as_str),
            Self::NoModel => "model-not-named",
            Self::Template(_) => "template-refused",
            Self::Message { .. } => "message-impossible",
            Self::Write(_) => "cannot-write-format",
            Self::NothingToSample { .. } | Self::Unsupported { .. } | Self::Llama(_) | Self::Io { .. } => {
                return None;
            }
        })
    }

    /// Whether it failed because the disk is full, or a quota used up.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::Place(error) => error.is_no_room(),
            Self::Io { cause, .. } => is_no_room(cause),
            _ => false,
        }
    }

    /// The refusal of a load, where it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
