//! What the gate found, by kind.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::results::{Cell, Finding, FindingKind, Results};

/// What a kind of finding is about, to follow a number.
#[must_use]
pub fn kind_words(kind: FindingKind, count: usize) -> &'static str {
    match (kind, count) {
        (FindingKind::Worse, 1) => "cell is worse than expected",
        (FindingKind::Worse, _) => "cells are worse than expected",
        (FindingKind::Stale, 1) => "cell is better than expected",
        (FindingKind::Stale, _) => "cells are better than expected",
        (FindingKind::Flaky, 1) => "cell came to different verdicts when it was retried",
        (FindingKind::Flaky, _) => "cells came to different verdicts when they were retried",
        (FindingKind::Expired, 1) => "expectation has expired",
        (FindingKind::Expired, _) => "expectations have expired",
        (FindingKind::Unmatched, 1) => "expectation matches no planned cell",
        (FindingKind::Unmatched, _) => "expectations match no planned cell",
        (FindingKind::Contradicting, 1) => "cell has contradicting expectations",
        (FindingKind::Contradicting, _) => "cells have contradicting expectations",
        (FindingKind::Unreviewed, 1) => "expectation has not been reviewed",
        (FindingKind::Unreviewed, _) => "expectations have not been reviewed",
        (FindingKind::HarnessError, 1) => "cell failed in the harness",
        (FindingKind::HarnessError, _) => "cells failed in the harness",
        (FindingKind::NotRun, 1) => "cell was not run",
        (FindingKind::NotRun, _) => "cells were not run",
    }
}

/// A finding, and the cell that it is about.
pub type Told<'a> = (&'a Finding, Option<&'a Cell>);

/// Findings by kind, in the order in which the kinds first appear; of a kind, those about the worst cells first.
#[must_use]
pub fn by_kind(results: &Results) -> Vec<(FindingKind, Vec<Told<'_>>)> {
    let cells: BTreeMap<_, _> = results.cells.iter().map(|cell| (cell.id.as_str(), cell)).collect();
    let mut kinds: Vec<(FindingKind, Vec<Told<'_>>)> = Vec::new();
    for finding in &results.gate.findings {
        let told = (finding, finding.cell.as_deref().and_then(|id| cells.get(id).copied()));
        match kinds.iter_mut().find(|(kind, _)| *kind == finding.kind) {
            Some((_, same)) => same.push(told),
            None => kinds.push((finding.kind, vec![told])),
        }
    }
    for (_, told) in &mut kinds {
        told.sort_by_key(|(_, cell)| Reverse(cell.map(|cell| cell.verdict)));
    }
    kinds
}
