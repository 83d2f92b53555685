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

const FAILING: [FindingKind; 4] =
    [FindingKind::Worse, FindingKind::Expired, FindingKind::Unmatched, FindingKind::Contradicting];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::results::Expected;
    use crate::verdict::Verdict;

    fn cell(verdict: Verdict) -> Cell {
        Cell {
            id: "engine/llama/base".into(),
            dims: BTreeMap::new(),
            verdict,
            code: None,
            message: String::new(),
            route: None,
            tokens_restored: None,
            tokens_evaluated: None,
            nmse: None,
            kl: None,
            top1_agreement: None,
            expected: Expected::default(),
            matched: true,
            receipt: None,
            log: Vec::new(),
            seconds: 0.0,
            reproduce: String::new(),
        }
    }

    fn finding(kind: FindingKind) -> Finding {
        Finding { kind, cell: None, message: String::new() }
    }

    #[test]
    fn the_first_exit_that_applies_is_taken() {
        use FindingKind::{Contradicting, Expired, HarnessError, NotRun, Stale, Unmatched, Worse};
        for (kinds, expected) in [
            (vec![], Exit::Fine),
            (vec![Stale], Exit::Stale),
            (vec![Stale, HarnessError], Exit::NoVerdict),
            (vec![HarnessError, Worse], Exit::GateFailed),
            (vec![Expired], Exit::GateFailed),
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
