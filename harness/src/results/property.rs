//! Properties: questions about systems, and what the cells of a run answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A question about systems, and what the cells answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropertyResult {
    /// Its name.
    pub name: String,
    /// The question.
    pub question: String,
    /// An answer for each system that a cell says something of; several where its cells disagree.
    pub answers: Vec<PropertyAnswer>,
}

/// What cells say of one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropertyAnswer {
    /// The system that loads: a subject, with its version where several are installed.
    pub system: String,
    /// The answer, in a few words.
    pub answer: String,
    /// Whether a user is safe with it.
    pub safe: bool,
    /// The cells that say so.
    pub cells: Vec<String>,
}
