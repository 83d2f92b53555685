//! What explains what the gate found, and whether the cells are real tests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dims;
use crate::verdict::Verdict;

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
