//! What was predicted and claimed, and what became of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
