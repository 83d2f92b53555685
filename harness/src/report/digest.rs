//! The outcome as JSON for other tools: what the first screen says, without the cells.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChangeKind, Report, Story};
use crate::results::{Gate, Suspect};
use crate::verdict::Verdict;

/// The version of this document.
pub const DIGEST_VERSION: u32 = 1;

/// The outcome of a run, or of several, without the cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// [`DIGEST_VERSION`].
    pub version: u32,
    /// Did sessions come back, in a sentence.
    pub headline: String,
    /// The numbers behind it, in sentences.
    pub lead: String,
    /// Whether the run passes, and every reason why not.
    pub gate: Gate,
    /// Cells of the judged subjects by verdict.
    pub judged: BTreeMap<Verdict, usize>,
    /// Cells of the unprotected subjects by verdict.
    pub unprotected: BTreeMap<Verdict, usize>,
    /// The smallest combinations of values that fail.
    pub suspects: Vec<Suspect>,
    /// What changed since the baseline: kind → cells. `None` where no baseline was given.
    pub changes: Option<BTreeMap<ChangeKind, Vec<String>>>,
}

impl Digest {
    /// The outcome of a run.
    #[must_use]
    pub fn of(report: &Report<'_>) -> Self {
        let story = Story::of(report.results);
        let by_kind = |changes: &super::Changes| {
            let ids = |same: Vec<&super::Change>| same.iter().map(|change| change.cell.clone()).collect();
            changes.by_kind().into_iter().map(|(kind, same)| (kind, ids(same))).collect()
        };
        Self {
            version: DIGEST_VERSION,
            headline: story.headline,
            lead: story.lead,
            gate: report.results.gate.clone(),
            judged: story.judged.counts,
            unprotected: story.unprotected.counts,
            suspects: report.results.suspects.clone(),
            changes: report.changes.as_ref().map(by_kind),
        }
    }
}
