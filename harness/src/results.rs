//! `results.json`: everything a run found. Reports are renderings of it, and nothing else is the truth.

mod cell;
mod claim;
mod finding;
mod party;
mod property;

use std::io;
use std::path::{Path, PathBuf};

use intact_format::regular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::environment::Environment;
use crate::files::write_whole;
use crate::plan::PlannedCell;
use crate::verdict::Verdict;
#[cfg(test)]
pub(crate) use cell::sample_cell;
pub use cell::{Attempt, Cell, Counts, is_unprotected, judged_verdicts};
pub use claim::{ClaimOutcome, ClaimResult, PredictionOutcome, PredictionResult};
pub use finding::{AxisControl, Suspect};
pub use intact_judge::expectation::Expected;
pub use intact_judge::gate::Gate;
pub use intact_judge::{Finding, FindingKind};
pub use intact_matrix::plan::{AxisInfo, Coverage, PlanInfo};
pub use intact_matrix::{Dims, Part};
pub use party::{ModelInfo, ReleaseInfo, SubjectInfo, SystemInfo};

/// The code of cells that there was no time for.
pub const LEFT_OUT: &str = "budget";
pub use property::{PropertyAnswer, PropertyResult};

/// The version of `results.json` that this crate writes and reads.
pub const RESULTS_VERSION: u32 = 1;

/// Everything a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`RESULTS_VERSION`].
    pub version: u32,
    /// When, how and how long.
    pub run: RunInfo,
    /// The machine.
    pub environment: Environment,
    /// The systems under test, with what their workers said of themselves.
    pub subjects: Vec<SubjectInfo>,
    /// The llama.cpp releases that sessions crossed between, oldest first; empty where the plan has one only.
    #[serde(default)]
    pub releases: Vec<ReleaseInfo>,
    /// What was predicted of the plan's cells, and whether it held.
    #[serde(default)]
    pub predictions: Vec<PredictionResult>,
    /// The models that took part.
    pub models: Vec<ModelInfo>,
    /// What was planned, and the proof that it covers what it claims.
    pub plan: PlanInfo,
    /// How many cells ended how.
    pub counts: Counts,
    /// Whether the run passes, and every reason why not.
    pub gate: Gate,
    /// After a failure: the smallest combinations of values that explain it, the one of most failures first.
    #[serde(default)]
    pub suspects: Vec<Suspect>,
    /// The negative control of every axis.
    pub controls: Vec<AxisControl>,
    /// What became of every claim of the pages that this system is measured against.
    #[serde(default)]
    pub claims: Vec<ClaimResult>,
    /// What each system was seen to do, question by question.
    #[serde(default)]
    pub properties: Vec<PropertyResult>,
    /// What nothing in any plan covers, with the reasons.
    #[serde(default)]
    pub not_covered: Vec<NotCovered>,
    /// Every planned cell, filtered and unsupported ones too.
    pub cells: Vec<Cell>,
}

/// Things that no plan covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotCovered {
    /// What they are: `architecture`, or `feature`.
    pub what: String,
    /// Their names.
    pub names: Vec<String>,
    /// Why they are not covered.
    pub reason: String,
}

/// When, how and how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// Version of the harness.
    pub harness: String,
    /// When the run started, RFC 3339 in UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The command line, one argument each.
    pub command: Vec<String>,
    /// The filter that was given, if any.
    pub filter: Option<String>,
    /// Which part of the plan was run, as `m/n`, if not all of it.
    #[serde(default)]
    pub partition: Option<String>,
    /// The seed of plan order and faults.
    pub seed: u64,
    /// Workers at a time.
    pub jobs: u32,
    /// What is to be known of the parts that it was put together from: those that played the same cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Why a results file could not be used.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// It could not be read or written.
    #[error("results file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a results file of this version.
    #[error("{path} is not a results file of version {RESULTS_VERSION}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It was written by another version.
    #[error("{path} has version {version}; this harness reads version {RESULTS_VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
}

impl Results {
    /// The cells as they were planned.
    #[must_use]
    pub fn planned(&self) -> Vec<PlannedCell> {
        let part = |cell: &Cell| {
            let subject = self.subjects.iter().find(|info| Some(&info.name) == cell.dims.get("subject"));
            subject.map_or(Part::Control, |info| info.part)
        };
        let planned = |cell: &Cell| PlannedCell {
            id: cell.id.clone(),
            dims: cell.dims.clone(),
            part: part(cell),
            filtered: (cell.verdict == Verdict::Filtered).then(|| cell.message.clone()),
        };
        self.cells.iter().map(planned).collect()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`ResultsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), ResultsError> {
        let io_error = |source| ResultsError::Io { path: path.to_owned(), source };
        let mut json = serde_json::to_string_pretty(self).map_err(|error| io_error(error.into()))?;
        json.push('\n');
        write_whole(path, json).map_err(io_error)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let malformed = |source| ResultsError::Malformed { path: path.to_owned(), source };
        let text =
            regular::read_text(path).map_err(|source| ResultsError::Io { path: path.to_owned(), source })?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version != u64::from(RESULTS_VERSION) => {
                Err(ResultsError::Version { path: path.to_owned(), version })
            }
            _ => serde_json::from_value(value).map_err(malformed),
        }
    }
}
