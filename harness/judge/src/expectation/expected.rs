//! What is expected of a cell.

use intact_matrix::verdict::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
