//! What a cell is told by: its dimensions, and what its subject is in the run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Dimensions of a cell by name, such as `model` or `reader_kv`. Every cell of a run has the same names;
/// a dimension that does not apply to a cell's subject has the value `-`.
pub type Dims = BTreeMap<String, String>;

/// What a subject is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Judged by the gate.
    Judged,
    /// A subject without protection: shows that the cells are real tests.
    Control,
}
