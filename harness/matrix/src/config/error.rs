//! Errors of `intact.toml` and `expectations.toml`, pointing at the line.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use thiserror::Error;

use intact_base::nearest::nearest;

/// Why a configuration file could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error("{path}: {reason}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It says something that cannot be.
    #[error("{0}")]
    Wrong(Box<Wrong>),
}

/// What is wrong with a configuration file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What, and what would be right.
    pub message: String,
}

impl ConfigError {
    /// Something wrong at a place.
    #[must_use]
    pub fn at(span: Range<usize>, message: String, text: &str, path: &Path) -> Self {
        Self::Wrong(Box::new(Wrong { path: path.to_owned(), text: text.to_owned(), span, message }))
    }

    /// What the TOML reader found wrong, with the nearest name for an unknown one.
    #[must_use]
    pub fn toml(error: &toml::de::Error, text: &str, path: &Path) -> Self {
        let message = error.message();
        let hint = unknown_name(message)
            .and_then(|(name, known)| nearest(name, &known).map(|near| format!("; did you mean `{near}`?")))
            .unwrap_or_default();
        Self::at(error.span().unwrap_or_default(), format!("{message}{hint}"), text, path)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = before.get(line_start..).map_or(0, |prefix| prefix.chars().count());
        let width = self.span.len().clamp(1, line.chars().count().saturating_sub(column).max(1));
        let gutter = number.to_string().len();
        writeln!(f, "{}", self.message)?;
        writeln!(f, "{:gutter$}--> {}:{number}:{}", "", self.path.display(), column + 1)?;
        writeln!(f, "{number} | {line}")?;
        write!(f, "{:gutter$} | {:column$}{}", "", "", "^".repeat(width))
    }
}

/// The name and the known names in serde's message about an unknown field or variant.
fn unknown_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (name, rest) = rest.split_once('`')?;
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}
