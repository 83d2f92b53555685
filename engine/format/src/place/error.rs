//! Why a place did not take or give something.

use std::error::Error;

use crate::route::RefusalCode;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PlaceError {
    /// The reason's stable name; none where the system failed and nothing was decided.
    pub code: Option<RefusalCode>,
    /// What went wrong, where, and why, without a full stop.
    pub message: String,
    /// The reason, as whoever found it tells it.
    pub source: Box<dyn Error + Send + Sync>,
}

impl PlaceError {
    /// An error that says everything itself.
    #[must_use]
    pub fn new(code: Option<RefusalCode>, source: impl Error + Send + Sync + 'static) -> Self {
        Self { code, message: source.to_string(), source: Box::new(source) }
    }
}
