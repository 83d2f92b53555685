//! Versions of the session file and the rule of who can read what.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A format version, `major.minor`.
///
/// A reader accepts its own major and any minor up to its own, reads every older major through an explicit migration,
/// and refuses everything newer. A newer minor is refused too: it may hold what the older reader would silently ignore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})$"))]
pub struct FormatVersion {
    /// Raised when an older reader could misread the file.
    pub major: u16,
    /// Raised when the file can hold more than before.
    pub minor: u16,
}

/// Text that is not a format version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format version; one looks like `2.0`")]
pub struct VersionParseError(pub String);

/// A file that is newer than its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session file has format {found}, which takes a reader of {found} or newer; this one reads up to {newest}"
)]
pub struct VersionTooNew {
    /// Version of the file, which is also the version a reader needs.
    pub found: FormatVersion,
    /// The newest version of that major that this reader knows, or its newest version where it knows none.
    pub newest: FormatVersion,
}

impl FormatVersion {
    /// The seed system's file: history and KV positions.
    pub const V1_0: Self = Self::new(1, 0);
    /// Adds the manifest's fields and token ids.
    pub const V1_1: Self = Self::new(1, 1);
    /// Adds passport, parameters, canary, digest and the KV image.
    pub const V2_0: Self = Self::new(2, 0);
    /// Adds how far the model was from itself where the session was saved.
    pub const V2_1: Self = Self::new(2, 1);
    /// Adds tools, reasoning and what a chat template was given.
    pub const V2_2: Self = Self::new(2, 2);
    /// The newest version: what can be read. What is written unless another is asked for is the lowest one from
    /// [`Self::OF_TEXT`] on that holds all of a session.
    pub const CURRENT: Self = Self::V2_2;
    /// What a chat of texts alone is written in.
    pub const OF_TEXT: Self = Self::V2_1;
    /// Every version that can be written, oldest first.
    pub const ALL: [Self; 5] = [Self::V1_0, Self::V1_1, Self::V2_0, Self::V2_1, Self::V2_2];

    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Whether this version is one that was ever released, so that it can be written.
    #[must_use]
    pub fn is_known(self) -> bool {
        Self::ALL.contains(&self)
    }

    /// Applies the compatibility rule for a reader whose newest version is `newest` to a file of this version.
    ///
    /// # Errors
    /// [`VersionTooNew`] when the file's major, or its minor within a major that the reader knows, is newer.
    pub fn readable_by(self, newest: Self) -> Result<(), VersionTooNew> {
        let of_major = Self::ALL.into_iter().filter(|known| known.major == self.major && *known <= newest);
        let newest = of_major.max().unwrap_or(newest);
        if self <= newest { Ok(()) } else { Err(VersionTooNew { found: self, newest }) }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FormatVersion {
    type Err = VersionParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('.').and_then(|(major, minor)| {
            let version = Self::new(major.parse().ok()?, minor.parse().ok()?);
            // One spelling for each version: `02.0`, `+2.0` and the like are not versions.
            (version.to_string() == text).then_some(version)
        });
        parts.ok_or_else(|| VersionParseError(text.chars().take(32).collect()))
    }
}

impl TryFrom<String> for FormatVersion {
    type Error = VersionParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FormatVersion> for String {
    fn from(version: FormatVersion) -> Self {
        version.to_string()
    }
}
