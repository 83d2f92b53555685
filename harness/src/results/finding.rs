//! What the gate found: whether the run passes, why not, what explains it, and whether the cells are real tests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dims;
use crate::exit::Exit;
use crate::verdict::Verdict;

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
    /// A cell came to different verdicts when it was played again.
    Flaky,
    /// An expectation has lapsed.
    Expired,
    /// An expectation matches no planned cell.
    Unmatched,
    /// Expectations contradict each other for a cell.
    Contradicting,
    /// Nobody has looked at an expectation that was written for what a run found.
    Unreviewed,
    /// The harness failed in a cell.
    HarnessError,
    /// A planned cell was not run.
    NotRun,
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
