//! Names of sessions.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The id of a session. It is also the default file name, so it can be no path.
///
/// 1 to 128 bytes; no `/`, `\`, `:` or control characters; not `.` or `..`; no space or dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 128))]
pub struct SessionId(String);

/// Text that cannot be a session id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionIdError {
    /// Nothing.
    #[error("a session id cannot be empty")]
    Empty,
    /// Longer than 128 bytes.
    #[error("a session id has at most {limit} bytes, this one has {length}", limit = SessionId::MAX_LENGTH)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A character that would make it a path, or unprintable.
    #[error("a session id cannot contain {character:?}: it is also the name of the session's file")]
    Forbidden {
        /// The character.
        character: char,
    },
    /// A character that other systems do not allow in the name of a file.
    #[error(
        "a new session id cannot contain {character:?}: it is also the name of the session's file, and not every system allows that"
    )]
    Unportable {
        /// The character.
        character: char,
    },
    /// The name of a device on some systems.
    #[error(
        "a new session id cannot be `{name}`: it is also the name of the session's file, and Windows takes that for a device"
    )]
    Device {
        /// The name.
        name: String,
    },
    /// `.`, `..`, or a dot or space at the end.
    #[error("a session id cannot end in a dot or a space: it is also the name of the session's file")]
    Ending,
}

impl SessionId {
    /// Greatest length in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// The id `text`.
    ///
    /// # Errors
    /// [`SessionIdError`] where `text` cannot be one.
    pub fn new(text: impl Into<String>) -> Result<Self, SessionIdError> {
        let text = text.into();
        if text.is_empty() {
            return Err(SessionIdError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(SessionIdError::TooLong { length: text.len() });
        }
        if let Some(character) = text.chars().find(|c| c.is_control() || matches!(c, '/' | '\\' | ':')) {
            return Err(SessionIdError::Forbidden { character });
        }
        if text.ends_with(['.', ' ']) {
            return Err(SessionIdError::Ending);
        }
        Ok(Self(text))
    }

    /// The id `text` of a new session, whose file can have it as its name on every system. Sessions that are there may have
    /// been named less carefully.
    ///
    /// # Errors
    /// [`SessionIdError`] where `text` cannot be one.
    pub fn portable(text: impl Into<String>) -> Result<Self, SessionIdError> {
        let id = Self::new(text)?;
        Self::unportable(&id.0).map_or(Ok(id), Err)
    }

    /// Why not every system can have a file of this name.
    pub(crate) fn unportable(name: &str) -> Option<SessionIdError> {
        if let Some(character) = name.chars().find(|c| c.is_control() || "<>:\"/\\|?*".contains(*c)) {
            return Some(SessionIdError::Unportable { character });
        }
        if name.ends_with(['.', ' ']) {
            return Some(SessionIdError::Ending);
        }
        let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
        let numbered = |of: &str| {
            let number = stem.strip_prefix(of).unwrap_or_default();
            matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        };
        let is_device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str());
        (is_device || numbered("COM") || numbered("LPT"))
            .then(|| SessionIdError::Device { name: name.to_owned() })
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file that a session is saved to when no path is given: `<id>.json`.
    #[must_use]
    pub fn default_file_name(&self) -> String {
        format!("{}.json", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SessionId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for SessionId {
    type Error = SessionIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}
