//! Reasons why a run does not pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// A cell came to different verdicts when it was retried.
    Flaky,
    /// An expectation has expired.
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

impl FindingKind {
    /// Every kind, in order.
    pub const ALL: [Self; 9] = [
        Self::Worse,
        Self::Stale,
        Self::Flaky,
        Self::Expired,
        Self::Unmatched,
        Self::Contradicting,
        Self::Unreviewed,
        Self::HarnessError,
        Self::NotRun,
    ];

    /// The name in every file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Stale => "stale",
            Self::Flaky => "flaky",
            Self::Expired => "expired",
            Self::Unmatched => "unmatched",
            Self::Contradicting => "contradicting",
            Self::Unreviewed => "unreviewed",
            Self::HarnessError => "harness-error",
            Self::NotRun => "not-run",
        }
    }
}
