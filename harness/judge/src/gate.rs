//! The gate: whether a run passes, and how it ends.

use intact_base::exit::Exit;
use intact_matrix::verdict::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Finding, FindingKind};

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

/// Decides from everything that was found: how many cells there are, the verdicts of those that are judged, and the findings on
/// them and on the expectations themselves. Where no cell that is judged has a verdict, the gate has judged nothing.
#[must_use]
pub fn decide(cells: usize, judged: &[Verdict], findings: Vec<Finding>) -> Gate {
    let kinds: Vec<FindingKind> = findings.iter().map(|finding| finding.kind).collect();
    let exit = exit(&kinds, cells, judged.iter().any(|verdict| verdict.is_verdict()));
    Gate { passed: exit == Exit::Fine, exit, code: exit.code(), findings }
}

/// How a run ends in which these kinds of findings were made over so many cells, with or without a verdict on any.
#[must_use]
pub fn exit(found: &[FindingKind], cells: usize, any_verdict: bool) -> Exit {
    let is = |kinds: &[FindingKind]| found.iter().any(|kind| kinds.contains(kind));
    if cells == 0 {
        Exit::NothingSelected
    } else if is(&[FindingKind::NotRun]) {
        Exit::Incomplete
    } else if is(&FAILING) {
        Exit::GateFailed
    } else if is(&[FindingKind::HarnessError]) || !any_verdict {
        Exit::NoVerdict
    } else if is(&[FindingKind::Stale]) {
        Exit::Stale
    } else {
        Exit::Fine
    }
}

const FAILING: [FindingKind; 6] = [
    FindingKind::Worse,
    FindingKind::Flaky,
    FindingKind::Expired,
    FindingKind::Unmatched,
    FindingKind::Contradicting,
    FindingKind::Unreviewed,
];

/// What ends how, where there are cells with verdicts: the oracle of [`exit`], and of the self-test's mutants of it.
pub const TABLE: &[(&[FindingKind], Exit)] = &[
    (&[], Exit::Fine),
    (&[FindingKind::Stale], Exit::Stale),
    (&[FindingKind::Stale, FindingKind::HarnessError], Exit::NoVerdict),
    (&[FindingKind::HarnessError], Exit::NoVerdict),
    (&[FindingKind::HarnessError, FindingKind::Worse], Exit::GateFailed),
    (&[FindingKind::Worse], Exit::GateFailed),
    (&[FindingKind::Flaky], Exit::GateFailed),
    (&[FindingKind::Flaky, FindingKind::Stale], Exit::GateFailed),
    (&[FindingKind::Expired], Exit::GateFailed),
    (&[FindingKind::Unmatched], Exit::GateFailed),
    (&[FindingKind::Contradicting], Exit::GateFailed),
    (&[FindingKind::Unreviewed], Exit::GateFailed),
    (&[FindingKind::NotRun], Exit::Incomplete),
    (&[FindingKind::Worse, FindingKind::NotRun], Exit::Incomplete),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_exit_that_applies_is_taken() {
        for (kinds, expected) in TABLE {
            let found = kinds.iter().map(|kind| Finding { kind: *kind, cell: None, message: String::new() });
            let gate = decide(1, &[Verdict::Exact], found.collect());
            assert_eq!((gate.exit, gate.passed), (*expected, *expected == Exit::Fine), "{kinds:?}");
        }
    }

    #[test]
    fn no_cells_or_no_verdicts_are_not_a_pass() {
        assert_eq!(decide(0, &[], Vec::new()).exit, Exit::NothingSelected);
        assert_eq!(decide(1, &[Verdict::Unsupported], Vec::new()).exit, Exit::NoVerdict);
        assert_eq!(
            decide(1, &[], Vec::new()).exit,
            Exit::NoVerdict,
            "a cell of a subject without protection alone"
        );
    }
}
