//! What was measured over time: JSON Lines, one entry a line, only ever appended to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::row::Row;
use super::statistics::{Spread, median};
use crate::journal::{Journal, JournalError};
use crate::results::Environment;

/// The version of an entry that this crate writes and reads.
pub const ENTRY_VERSION: u32 = 1;

/// What one worker measured at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`ENTRY_VERSION`].
    pub version: u32,
    /// When, RFC 3339 in UTC.
    pub recorded: String,
    /// The machine. Only figures of the same machine can be compared.
    pub environment: Environment,
    /// The llama.cpp release inside the worker.
    pub release: String,
    /// Version of the subject.
    pub subject: String,
    /// Commit of the sources, where it is known.
    pub commit: Option<String>,
    /// What was measured.
    pub rows: Vec<Recorded>,
}

/// What was measured of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The row.
    pub row: Row,
    /// Bytes that the operation moved, where it says.
    pub bytes: Option<u64>,
    /// Every measurement, in seconds.
    pub seconds: Vec<f64>,
}

/// Why a history cannot be used.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be read or written.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of its lines is no entry.
    #[error("{path}:{line}: not an entry that this version of intact reads: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl From<JournalError> for HistoryError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { path, source } => Self::Io { path, source },
            JournalError::Malformed { path, line, reason } => Self::Malformed { path, line, reason },
            JournalError::Busy { path } => Self::Io {
                path,
                source: io::Error::new(io::ErrorKind::ResourceBusy, "another process writes it"),
            },
        }
    }
}

impl Recorded {
    /// The median and the quartiles, in seconds.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(&self.seconds)
    }
}

/// Reads a history, oldest entry first. An end that was not written in full is left out.
///
/// # Errors
/// [`HistoryError`].
pub fn read(path: &Path) -> Result<Vec<Entry>, HistoryError> {
    // A history that was named and is not there is a mistake.
    fs::metadata(path).map_err(|source| HistoryError::Io { path: path.to_owned(), source })?;
    let entries: Vec<Entry> = Journal::read(path)?;
    match entries.iter().position(|entry| entry.version != ENTRY_VERSION) {
        Some(number) => Err(HistoryError::Malformed {
            path: path.to_owned(),
            line: number + 1,
            reason: format!("it is of version {}, this reads {ENTRY_VERSION}", entries[number].version),
        }),
        None => Ok(entries),
    }
}

/// Appends one entry, in one write. A file that is no history is left alone.
///
/// # Errors
/// [`HistoryError`].
pub fn append(path: &Path, entry: &Entry) -> Result<(), HistoryError> {
    let failed = |source| HistoryError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // What a torn write left would be cut off: not from a file that has never been a history.
    if fs::metadata(path).is_ok_and(|there| there.len() > 0) && read(path)?.is_empty() {
        let reason = "it has no whole entry".to_owned();
        return Err(HistoryError::Malformed { path: path.to_owned(), line: 1, reason });
    }
    Ok(Journal::open(path)?.append(entry)?)
}

/// One row over time, on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The machine.
    pub environment: Environment,
    /// The row.
    pub row: Row,
    /// Index of the entry, and the median in seconds.
    pub points: Vec<(usize, f64)>,
}

/// Every row on every machine, over time.
#[must_use]
pub fn tracks(entries: &[Entry]) -> Vec<Track> {
    let mut tracks: BTreeMap<(&Environment, Row), Track> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        for recorded in &entry.rows {
            let Some(middle) = median(&recorded.seconds) else { continue };
            let track = tracks.entry((&entry.environment, recorded.row.clone())).or_insert_with(|| Track {
                environment: entry.environment.clone(),
                row: recorded.row.clone(),
                points: Vec::new(),
            });
            track.points.push((number, middle));
        }
    }
    tracks.into_values().collect()
}

#[cfg(test)]
mod tests;
