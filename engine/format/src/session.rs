//! The session file: what a save writes, in every version that there is.
//!
//! A document is JSON with a `FormatVersion`. The version is looked at first and alone, so that a newer file is refused
//! for being newer and not for a field that is not known here. Then the document is read with exactly the fields of its
//! version, migrated step by step to the newest one, and checked across its fields.
//!
//! Format 1.0 writes its version too: the seed system refuses a file of another version, so its file has to say which it
//! is. A JSON file without a `FormatVersion` is not a session file.
//!
//! Where the seed's pages contradict each other: a file loads under the same major version and the same *or a higher* minor
//! version, as its portability page has it, and not under the very same version only. KV positions are kept and given back,
//! but formats 1.x hold no KV, so a load evaluates the messages again; the positions tell whether it came to the same.
//!
//! Keys of the document, its messages and parameters are the seed's (`SessionId`, `KVSize`); the records inside it that
//! are new (passport, canary, image) have snake_case keys.

mod encoding;
mod error;
mod migrate;
mod sealing;
mod validate;
mod version_1_0;
mod version_1_1;
mod version_2_0;
mod version_2_1;
mod version_2_2;

use jiff::Timestamp;

pub(crate) use encoding::SEALED;
pub use error::{Invalid, ReadError, WriteError};
pub use version_1_0::Document as DocumentV1_0;
pub use version_1_1::Document as DocumentV1_1;
pub use version_2_0::Document as DocumentV2_0;
pub use version_2_1::Document as DocumentV2_1;
pub use version_2_2::Document as DocumentV2_2;

use crate::canary::Canary;
use crate::image::ImageReference;
use crate::inputs::TemplateInputs;
use crate::manifest::Manifest;
use crate::message::{KvStatus, Message, Role};
use crate::noise::Noise;
use crate::parameters::{Parameters, SamplerState};
use crate::passport::Passport;
use crate::session_id::SessionId;
use crate::token::Token;
use crate::version::FormatVersion;

/// A session as a file of the newest version holds it. Older files leave out what they do not have.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionDocument {
    /// The session's id.
    pub session_id: SessionId,
    /// When it was saved, where the file says so.
    pub saved_at: Option<Timestamp>,
    /// The messages, oldest first.
    pub history: Vec<Message>,
    /// What the chat template is given besides the messages; from format 2.2.
    pub inputs: Option<TemplateInputs>,
    /// The seed's manifest fields; from format 1.1.
    pub manifest: Option<Manifest>,
    /// All parameter sets; from format 2.0.
    pub parameters: Option<Parameters>,
    /// The seed in use; from format 2.0.
    pub sampler: Option<SamplerState>,
    /// What was in force; from format 2.0.
    pub passport: Option<Passport>,
    /// What the model said at the saved point; from format 2.0.
    pub canary: Option<Canary>,
    /// How far the model was from itself where the session was saved; from format 2.1.
    pub noise: Option<Noise>,
    /// The KV image, which covers all tokens but the last; from format 2.0.
    pub image: Option<ImageReference>,
}

/// A session file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The version that the file has.
    pub written_as: FormatVersion,
    /// The session.
    pub document: SessionDocument,
    /// What the file's version does not hold, one sentence each.
    pub notes: Vec<String>,
}

/// A session file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// What the version cannot hold and was left out, one sentence each.
    pub notes: Vec<String>,
}

/// Reads a session file as a reader whose newest version is `newest` would; [`FormatVersion::CURRENT`] is this one's.
///
/// # Errors
/// [`ReadError`]; it never panics, and needs memory in proportion to `bytes`.
pub fn read(bytes: &[u8], newest: FormatVersion) -> Result<Read, ReadError> {
    encoding::read(bytes, newest)
}

/// Writes a session file in format `version`. What was written reads back as the same session.
///
/// # Errors
/// [`WriteError`] where the version is unknown, or the document contradicts itself.
pub fn write(document: &SessionDocument, version: FormatVersion) -> Result<Written, WriteError> {
    encoding::write(document, version)
}

impl SessionDocument {
    /// A session without messages.
    #[must_use]
    pub fn new(session_id: SessionId) -> Self {
        Self {
            session_id,
            saved_at: None,
            history: Vec::new(),
            inputs: None,
            manifest: None,
            parameters: None,
            sampler: None,
            passport: None,
            canary: None,
            noise: None,
            image: None,
        }
    }

    /// The version that it is written in unless another is asked for: the lowest one from [`FormatVersion::OF_TEXT`] on
    /// that holds all of it.
    #[must_use]
    pub fn version(&self) -> FormatVersion {
        let more = |message: &Message| {
            !message.details.is_empty() || matches!(message.role, Role::Developer | Role::Tool)
        };
        if self.inputs.is_some() || self.history.iter().any(more) {
            FormatVersion::V2_2
        } else {
            FormatVersion::OF_TEXT
        }
    }

    /// The session's tokens: those of its loaded messages, in order. None where the file does not keep them (format 1.0).
    #[must_use]
    pub fn tokens(&self) -> Option<Vec<Token>> {
        let loaded = self.history.iter().filter(|message| message.status != KvStatus::Unloaded);
        let runs: Option<Vec<&[Token]>> = loaded.map(|message| message.tokens.as_deref()).collect();
        Some(runs?.concat())
    }

    /// Positions that the session takes, by its messages' spans: also known where its tokens are not.
    #[must_use]
    pub fn positions(&self) -> u64 {
        self.history.iter().filter_map(|message| message.span).map(|span| u64::from(span.size)).sum()
    }

    /// Checks all fields against each other.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn validate(&self) -> Result<(), Invalid> {
        validate::all(self)
    }
}
