//! Why a session file cannot be read or written.

use crate::canary::CanaryRule;
use crate::digest::Digest;
use crate::inputs::InputsError;
use crate::message::Role;
use crate::passport::{Axis, Consequence, Difference};
use crate::route::{Refusal, RefusalCode};
use crate::session_id::SessionIdError;
use crate::version::{FormatVersion, VersionParseError, VersionTooNew};

/// Why bytes are not a session file that can be read here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not JSON, not an object, or without a format version.
    #[error("not a session file: {reason}")]
    NotASession {
        /// What is there instead.
        reason: String,
    },
    /// Encrypted.
    #[error("the session file is encrypted, and no key was given to open it")]
    Sealed,
    /// The format version is not one.
    #[error("not a session file: {0}")]
    Version(VersionParseError),
    /// Newer than the reader.
    #[error(transparent)]
    TooNew(#[from] VersionTooNew),
    /// A version between two that exist.
    #[error("there is no session format {found}; the formats are {known}", known = known_versions())]
    NoSuchVersion {
        /// The version of the file.
        found: FormatVersion,
    },
    /// Not what a document of its version looks like.
    #[error("the session file is not a document of format {version}: {cause}")]
    Malformed {
        /// The version of the file.
        version: FormatVersion,
        /// Where and what.
        cause: serde_json::Error,
    },
    /// JSON that ends early.
    #[error("the session file ends early, after {bytes} bytes: it was cut short")]
    Truncated {
        /// Bytes that are there.
        bytes: usize,
    },
    /// A 2.0 document without a digest.
    #[error("the session file has no digest, so nothing vouches for its content")]
    Unsealed,
    /// The content is not what was written.
    #[error(
        "the session file is damaged or was edited: it says its digest is {declared}, and it is {actual}"
    )]
    Digest {
        /// The digest in the file.
        declared: Digest,
        /// The digest of the content.
        actual: Digest,
    },
    /// The fields contradict each other.
    #[error("the session file contradicts itself: {0}")]
    Invalid(Invalid),
}

impl From<VersionParseError> for ReadError {
    fn from(cause: VersionParseError) -> Self {
        Self::Version(cause)
    }
}

impl From<Invalid> for ReadError {
    fn from(cause: Invalid) -> Self {
        Self::Invalid(cause)
    }
}

/// Why a session cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Not a version that is known.
    #[error("format {0} cannot be written; the formats are {known}", known = known_versions())]
    UnknownVersion(FormatVersion),
    /// The fields contradict each other.
    #[error("the session contradicts itself and is not written: {0}")]
    Invalid(Invalid),
    /// JSON cannot say it.
    #[error("the session cannot be written as JSON: {0}")]
    Json(serde_json::Error),
    /// What was written reads back as something else, as with a number that is not finite.
    #[error("the session would not read back as it is: {reason}; numbers in it must be finite")]
    Unfaithful {
        /// What reading it back gave.
        reason: String,
    },
}

impl From<Invalid> for WriteError {
    fn from(cause: Invalid) -> Self {
        Self::Invalid(cause)
    }
}

impl From<serde_json::Error> for WriteError {
    fn from(cause: serde_json::Error) -> Self {
        Self::Json(cause)
    }
}

/// Two fields of a session that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The id cannot be one.
    #[error(transparent)]
    SessionId(#[from] SessionIdError),
    /// Two messages have one id.
    #[error("two messages have the id {id}")]
    DuplicateId {
        /// The id.
        id: i32,
    },
    /// A system message that is not the first.
    #[error("message {id} is a system prompt and not the first message")]
    LateSystemPrompt {
        /// Id of the message.
        id: i32,
    },
    /// A message with something that its speaker cannot have.
    #[error("message {id} of the role {role} {what}")]
    Details {
        /// Id of the message.
        id: i32,
        /// Who speaks.
        role: Role,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Inputs that no chat template can be given.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// KV fields that no message can have.
    #[error(
        "message {id} has KVSize {size}, KVStartPosition {start} and KVStatus {status}, which no message has"
    )]
    Span {
        /// Id of the message.
        id: i32,
        /// Its `KVSize`.
        size: i64,
        /// Its `KVStartPosition`.
        start: i64,
        /// Its `KVStatus`.
        status: i64,
    },
    /// Messages that are not one after the other in the KV cache.
    #[error("message {id} starts at position {start} and the messages before it end at {expected}")]
    Gap {
        /// Id of the message.
        id: i32,
        /// Where it starts.
        start: u64,
        /// Where it should.
        expected: u64,
    },
    /// As many tokens as the message does not have positions.
    #[error("message {id} has {tokens} tokens at {positions} positions")]
    TokenCount {
        /// Id of the message.
        id: i32,
        /// Its tokens.
        tokens: u64,
        /// Its positions.
        positions: u64,
    },
    /// A token that no vocabulary has.
    #[error("message {id} has the token {token}, which is not in the vocabulary")]
    NoSuchToken {
        /// Id of the message.
        id: i32,
        /// The token.
        token: i32,
    },
    /// Some messages have tokens and some have none.
    #[error("message {id} is in the KV cache without tokens, and others have theirs")]
    MissingTokens {
        /// Id of the message.
        id: i32,
    },
    /// More positions than can be counted.
    #[error("the messages have {positions} positions together, more than a context can have")]
    TooLong {
        /// Positions of all messages.
        positions: u64,
    },
    /// A canary that does not fit the session.
    #[error("the canary does not fit: {reason}")]
    Canary {
        /// How.
        reason: String,
    },
    /// A KV image that does not fit the session.
    #[error("the KV image does not fit: {reason}")]
    Image {
        /// How.
        reason: String,
    },
    /// A passport that does not fit.
    #[error("the passport does not fit: {reason}")]
    Passport {
        /// How.
        reason: String,
    },
}

impl ReadError {
    /// The stable name of the reason.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::NotASession { .. } | Self::Version(_) | Self::NoSuchVersion { .. } => {
                RefusalCode::NotASessionFile
            }
            Self::Sealed => RefusalCode::KeyMissing,
            Self::TooNew(_) => RefusalCode::FormatTooNew,
            Self::Truncated { .. } => RefusalCode::FileTruncated,
            Self::Digest { .. } | Self::Unsealed => RefusalCode::DigestMismatch,
            Self::Malformed { .. } | Self::Invalid(_) => RefusalCode::InvalidDocument,
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        let mut refusal = Self::new(error.code(), &error);
        if let ReadError::TooNew(VersionTooNew { found, newest }) = error {
            refusal.axes.push(Difference {
                axis: Axis::Format,
                saved: found.to_string(),
                here: newest.to_string(),
                consequence: Consequence::Refuse,
                reason: "an older reader would lose what it does not know".to_owned(),
                canary: CanaryRule::Exact,
            });
        }
        refusal
    }
}

fn known_versions() -> String {
    FormatVersion::ALL.map(|version| version.to_string()).join(", ")
}
