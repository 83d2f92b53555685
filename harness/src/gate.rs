//! The gate: whether a run passes, and how it ends.

use crate::exit::Exit;
use crate::results::{Cell, Finding, FindingKind, Gate};

/// Decides from everything that was found. `findings` are those of cells and of the expectations themselves.
#[must_use]
pub fn decide(cells: &[Cell], findings: Vec<Finding>) -> Gate {
    let found = |kinds: &[FindingKind]| findings.iter().any(|finding| kinds.contains(&finding.kind));
    let judged_any = cells.iter().any(|cell| cell.verdict.is_verdict());
    let exit = if cells.is_empty() {
        Exit::NothingSelected
    } else if found(&[FindingKind::NotRun]) {
        Exit::Incomplete
    } else if found(&FAILING) {
        Exit::GateFailed
    } else if found(&[FindingKind::HarnessError]) || !judged_any {
        Exit::NoVerdict
    } else if found(&[FindingKind::Stale]) {
        Exit::Stale
    } else {
        Exit::Fine
    };
    Gate { passed: exit == Exit::Fine, exit, code: exit.code(), findings }
}

const FAILING: [FindingKind; 5] = [
    FindingKind::Worse,
    FindingKind::Flaky,
    FindingKind::Expired,
    FindingKind::Unmatched,
    FindingKind::Contradicting,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample_cell;
    use crate::verdict::Verdict;

    fn cell(verdict: Verdict) -> Cell {
        Cell { verdict, ..sample_cell("engine/llama/base") }
    }

    fn finding(kind: FindingKind) -> Finding {
        Finding { kind, cell: None, message: String::new() }
    }

    #[test]
    fn the_first_exit_that_applies_is_taken() {
        use FindingKind::{Contradicting, Expired, Flaky, HarnessError, NotRun, Stale, Unmatched, Worse};
        for (kinds, expected) in [
            (vec![], Exit::Fine),
            (vec![Stale], Exit::Stale),
            (vec![Stale, HarnessError], Exit::NoVerdict),
            (vec![HarnessError, Worse], Exit::GateFailed),
            (vec![Expired], Exit::GateFailed),
            (vec![Flaky, Stale], Exit::GateFailed),
            (vec![Unmatched], Exit::GateFailed),
            (vec![Contradicting], Exit::GateFailed),
            (vec![Worse, NotRun], Exit::Incomplete),
        ] {
            let gate = decide(&[cell(Verdict::Exact)], kinds.iter().copied().map(finding).collect());
            assert_eq!((gate.exit, gate.passed), (expected, expected == Exit::Fine), "{kinds:?}");
        }
    }

    #[test]
    fn no_cells_or_no_verdicts_are_not_a_pass() {
        assert_eq!(decide(&[], Vec::new()).exit, Exit::NothingSelected);
        assert_eq!(decide(&[cell(Verdict::Unsupported)], Vec::new()).exit, Exit::NoVerdict);
    }
}
