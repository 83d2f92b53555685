//! Why a place did not take or give something.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::route::RefusalCode;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct PlaceError {
    /// The reason's stable name; none where the system failed and nothing was decided.
    pub code: Option<RefusalCode>,
    /// What went wrong, where, and why, without a full stop.
    pub message: String,
    /// The reason, as whoever found it tells it.
    pub cause: Box<dyn Error + Send + Sync>,
}

impl PlaceError {
    /// An error that says everything itself.
    #[must_use]
    pub fn new(code: Option<RefusalCode>, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { code, message: cause.to_string(), cause: Box::new(cause) }
    }

    /// The system did not give what is at `path`, or what is known of it.
    #[must_use]
    pub fn unreadable(action: &str, path: &Path, error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => RefusalCode::FileNotFound,
            _ => RefusalCode::FileUnreadable,
        };
        Self { code: Some(code), ..Self::unwritable(action, path, error) }
    }

    /// The system did not take what was to be written to `path`.
    #[must_use]
    pub fn unwritable(action: &str, path: &Path, error: io::Error) -> Self {
        Self { code: None, message: format!("{action} {}: {error}", path.display()), cause: error.into() }
    }
}
