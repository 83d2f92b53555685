//! `results.json`: everything a run found. Reports are renderings of it, and nothing else is the truth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use intact_protocol::{Hello, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::exit::Exit;
use crate::verdict::Verdict;

/// The version of `results.json` that this crate writes and reads.
pub const RESULTS_VERSION: u32 = 1;

/// Dimensions of a cell by name, such as `model` or `reader_kv`. Every cell of a run has the same names;
/// a dimension that does not apply to a cell's subject has the value `-`.
pub type Dims = BTreeMap<String, String>;

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
    /// Every planned cell, filtered and unsupported ones too.
    pub cells: Vec<Cell>,
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
    /// The seed of plan order and faults.
    pub seed: u64,
    /// Workers at a time.
    pub jobs: u32,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Processor model, where the system tells.
    pub cpu: Option<String>,
    /// Logical processors.
    pub cores: u32,
}

/// A system under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectInfo {
    /// Its name in `intact.toml`.
    pub name: String,
    /// The command line of its worker.
    pub command: Vec<String>,
    /// What it is in the run: judged by the gate, or the negative control.
    pub part: Part,
    /// What its worker said of itself; `None` where it did not pass the compliance probe.
    pub hello: Option<Hello>,
    /// Why it could not take part.
    pub problem: Option<String>,
}

/// What a subject is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Judged by the gate.
    Judged,
    /// A subject without protection: shows that the cells are real tests.
    Control,
}

/// A llama.cpp release that sessions crossed to or from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseInfo {
    /// Its name, a value of the dimensions `writer` and `reader`.
    pub release: String,
    /// Day on which the package with it was published.
    pub published: String,
    /// Id of its state layout.
    pub layout: String,
    /// What changed in it.
    pub note: String,
    /// Its worker; `None` where the configured ones are of this release, or none is built.
    pub worker: Option<PathBuf>,
    /// Why it could not take part.
    pub problem: Option<String>,
}

/// What was predicted of some cells, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictionResult {
    /// Its name.
    pub name: String,
    /// What it says, in a sentence.
    pub says: String,
    /// What became of it.
    pub outcome: PredictionOutcome,
    /// Cells that it speaks of and that have a verdict.
    pub cells: u32,
    /// Of these, the ones that it was wrong about.
    pub against: Vec<String>,
}

/// What became of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PredictionOutcome {
    /// Every cell that it speaks of is as it says.
    Held,
    /// At least one cell is not.
    Refuted,
    /// No cell that it speaks of has a verdict.
    NotTested,
}

/// What somebody says of saved sessions, and what the cells say to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimResult {
    /// Its name.
    pub name: String,
    /// The page that makes it.
    pub page: String,
    /// What the page says, shortened.
    pub says: String,
    /// What that means for a cell.
    pub claim: String,
    /// What became of it.
    pub outcome: ClaimOutcome,
    /// Cells in which it is true.
    pub held: Vec<String>,
    /// Cells in which it is not.
    pub broken: Vec<String>,
    /// Why no cell can test it.
    pub because: Option<String>,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimOutcome {
    /// True in every cell that tests it, or in one where one is enough.
    Confirmed,
    /// Not true.
    Refuted,
    /// No cell of the run tests it.
    Untested,
}

impl ClaimOutcome {
    /// The name in every file and report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::Untested => "untested",
        }
    }
}

/// Values that failing cells share, and no passing cell has together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// The values by axis.
    pub values: Dims,
    /// The failing cells.
    pub cells: Vec<String>,
    /// Passing cells that have all but one of these values: the more, the surer that it takes all of them.
    pub passing_neighbours: u32,
}

/// The values, as filters and ids have them.
impl std::fmt::Display for Suspect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values: Vec<String> = self.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        formatter.write_str(&values.join(", "))
    }
}

/// A model that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// The value of the `model` dimension.
    pub name: String,
    /// The value of the `family` dimension.
    pub family: String,
    /// The file.
    pub path: PathBuf,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// What was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInfo {
    /// Name of the plan in `intact.toml`.
    pub name: String,
    /// The axes, with the values that the plan uses.
    pub axes: Vec<AxisInfo>,
    /// Cells of the whole plan, before the filter.
    pub planned: u32,
    /// Cells that the filter selected.
    pub selected: u32,
    /// What the independent checker found, one for each pairwise block of the plan.
    pub coverage: Vec<Coverage>,
}

/// An axis of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AxisInfo {
    /// Its name, that of a dimension.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// Its values; the first is the base value.
    pub values: Vec<String>,
}

/// How much of a covering block the plan's cells really cover, counted by a checker that does not know the generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Values that vary together: 2 for pairs.
    pub strength: u32,
    /// The axes of the block.
    pub axes: Vec<String>,
    /// Combinations of values that exist.
    pub combinations: u64,
    /// Of these, impossible by a constraint.
    pub forbidden: u64,
    /// Of the possible ones, those found in at least one cell.
    pub covered: u64,
    /// Cells of the block.
    pub cells: u32,
}

/// How many cells ended how, by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Cells with a verdict: subject → verdict → cells.
    pub verdicts: BTreeMap<String, BTreeMap<Verdict, u32>>,
    /// Cells without one: subject → why → cells.
    pub non_verdicts: BTreeMap<String, BTreeMap<Verdict, u32>>,
}

/// Whether the run passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Whether it passes.
    pub passed: bool,
    /// How the run ends.
    pub exit: Exit,
    /// The exit code.
    pub code: u8,
    /// Every reason why it does not pass.
    pub findings: Vec<Finding>,
}

/// One reason why a run does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What kind of reason.
    pub kind: FindingKind,
    /// The cell, where it is about one.
    pub cell: Option<String>,
    /// For a person.
    pub message: String,
}

/// What kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A cell is worse than expected.
    Worse,
    /// A cell is better than expected: the expectation is stale.
    Stale,
    /// An expectation has lapsed.
    Expired,
    /// An expectation matches no planned cell.
    Unmatched,
    /// Expectations contradict each other for a cell.
    Contradicting,
    /// The harness failed in a cell.
    HarnessError,
    /// A planned cell was not run.
    NotRun,
}

/// The negative control of one axis: does a subject without protection go wrong where the axis differs?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AxisControl {
    /// The axis.
    pub axis: String,
    /// Cells of the unprotected subject in which this axis, and none but it, is not at its base value.
    pub cells: Vec<String>,
    /// Of these, the ones that went wrong or were refused.
    pub caught: Vec<String>,
    /// Verdicts of the unprotected subject in these cells.
    pub unprotected: BTreeMap<Verdict, u32>,
    /// Verdicts of the judged subjects in cells where the axis is not at its base value.
    pub judged: BTreeMap<Verdict, u32>,
    /// Whether the axis counts as tested.
    pub tested: bool,
    /// Why it does not, or why no control applies.
    pub note: Option<String>,
}

/// One writer × one reader × one scenario, and what became of the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Stable, readable, unique in the run.
    pub id: String,
    /// The dimensions, with `subject`, `model`, `family`, `scenario`, `fault`, `writer` and `reader`.
    pub dims: Dims,
    /// What became of the session.
    pub verdict: Verdict,
    /// Code of a refusal, name of a signal, or another short reason.
    pub code: Option<String>,
    /// Why, in sentences for a person.
    pub message: String,
    /// Route of the load, where it was carried out.
    pub route: Option<String>,
    /// Tokens whose KV came from the file.
    pub tokens_restored: Option<u32>,
    /// Tokens evaluated during the load.
    pub tokens_evaluated: Option<u32>,
    /// Normalised mean square error against the control, over all rows. `None` where not comparable or not a number.
    pub nmse: Option<f64>,
    /// Mean Kullback-Leibler divergence from the control, in nats. `None` where not comparable or not a number.
    pub kl: Option<f64>,
    /// Share of rows with the control's greedy token.
    pub top1_agreement: Option<f64>,
    /// What the repository says that the verdict should be.
    pub expected: Expected,
    /// Whether the verdict is the expected one; always true for the unprotected subject, which is not judged.
    pub matched: bool,
    /// The receipt of the load, where it was carried out.
    pub receipt: Option<Receipt>,
    /// The last lines that the worker wrote on standard error, for verdicts that need explaining.
    pub log: Vec<String>,
    /// How long the cell took.
    pub seconds: f64,
    /// A command line that runs this cell alone.
    pub reproduce: String,
}

/// What the repository says that a cell's verdict should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The verdicts that pass, best first.
    pub outcome: Vec<Verdict>,
    /// The code that a refusal must have.
    pub code: Option<String>,
    /// Why that is right.
    pub reason: Option<String>,
    /// Where it is tracked.
    pub issue: Option<String>,
    /// The `when` of the entry in `expectations.toml`; `None` for the default.
    pub entry: Option<String>,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            outcome: vec![Verdict::Exact, Verdict::Equivalent],
            code: None,
            reason: None,
            issue: None,
            entry: None,
        }
    }
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
    /// Writes the file.
    ///
    /// # Errors
    /// [`ResultsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), ResultsError> {
        let io_error = |source| ResultsError::Io { path: path.to_owned(), source };
        let mut json = serde_json::to_string_pretty(self).map_err(|error| io_error(error.into()))?;
        json.push('\n');
        fs::write(path, json).map_err(io_error)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`ResultsError`].
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let malformed = |source| ResultsError::Malformed { path: path.to_owned(), source };
        let text =
            fs::read_to_string(path).map_err(|source| ResultsError::Io { path: path.to_owned(), source })?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version != u64::from(RESULTS_VERSION) => {
                Err(ResultsError::Version { path: path.to_owned(), version })
            }
            _ => serde_json::from_value(value).map_err(malformed),
        }
    }
}

impl Counts {
    /// Counts cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut counts = Self::default();
        for cell in cells {
            let subject = cell.dims.get("subject").cloned().unwrap_or_default();
            let side =
                if cell.verdict.is_verdict() { &mut counts.verdicts } else { &mut counts.non_verdicts };
            *side.entry(subject).or_default().entry(cell.verdict).or_default() += 1;
        }
        counts
    }
}

/// A cell for tests.
#[cfg(test)]
pub(crate) fn sample_cell(id: &str) -> Cell {
    Cell {
        id: id.to_owned(),
        dims: Dims::new(),
        verdict: Verdict::Exact,
        code: None,
        message: String::new(),
        route: None,
        tokens_restored: None,
        tokens_evaluated: None,
        nmse: None,
        kl: None,
        top1_agreement: None,
        expected: Expected::default(),
        matched: true,
        receipt: None,
        log: Vec::new(),
        seconds: 0.0,
        reproduce: String::new(),
    }
}
