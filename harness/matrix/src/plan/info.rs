//! What was planned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInfo {
    /// Name of the plan in `intact.toml`.
    pub name: String,
    /// The axes, with the values that the plan uses.
    pub axes: Vec<AxisInfo>,
    /// Digest of all that decides what the plan's cells are: runs are parts of one only where it is the same.
    #[serde(default)]
    pub digest: Option<String>,
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
