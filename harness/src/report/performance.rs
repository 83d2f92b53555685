//! How fast sessions are saved and restored, as it lies beside a run's results.

use std::io;
use std::path::Path;

use crate::perf::comparison::{COMPARISON_FILE, Comparison, ComparisonError};
use crate::perf::history::{self, Entry, HistoryError};

/// Name of a history in a run's folder.
pub const HISTORY_FILE: &str = "perf-history.jsonl";

/// What was measured: a comparison of two workers, a history, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Performance {
    /// The comparison.
    pub comparison: Option<Comparison>,
    /// The entries of the history, oldest first.
    pub history: Vec<Entry>,
}

/// Why what lies there cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PerformanceError {
    /// The comparison cannot be read.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The folder cannot be looked into.
    #[error("{0}")]
    Folder(io::Error),
}

impl Performance {
    /// What was measured and lies in the folder; `None` where nothing does.
    ///
    /// # Errors
    /// [`PerformanceError`].
    pub fn beside(folder: &Path) -> Result<Option<Self>, PerformanceError> {
        let present = |name: &str| -> Result<_, PerformanceError> {
            let file = folder.join(name);
            Ok(file.try_exists().map_err(PerformanceError::Folder)?.then_some(file))
        };
        let comparison = present(COMPARISON_FILE)?.map(|file| Comparison::read(&file)).transpose()?;
        let history = present(HISTORY_FILE)?.map(|file| history::read(&file)).transpose()?;
        let found = comparison.is_some() || history.is_some();
        Ok(found.then(|| Self { comparison, history: history.unwrap_or_default() }))
    }
}
