//! What cells that are not as expected have in common: those that fail, or those that are better.

use crate::results::{FindingKind, Results, Suspect};

/// What is said of combinations of values that explain cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    /// Over them.
    pub heading: &'static str,
    /// What they are.
    pub hint: &'static str,
    /// Over the number of their cells.
    pub column: &'static str,
}

const FAILING: Common = Common {
    heading: "The smallest combinations that fail",
    hint: "Every judged cell with these values fails, and no passing cell has them together.",
    column: "failing cells",
};
const BETTER: Common = Common {
    heading: "What the better cells have in common",
    hint: "Every judged cell with these values is better than expected, and no other cell has them together.",
    column: "better cells",
};

impl Common {
    pub(super) fn of(results: &Results) -> Self {
        let better = results.suspects.iter().all(|suspect| are_better(results, suspect));
        if better && !results.suspects.is_empty() { BETTER } else { FAILING }
    }
}

/// Whether the cells that a combination explains are all better than expected.
fn are_better(results: &Results, suspect: &Suspect) -> bool {
    suspect.cells.iter().all(|id| {
        let findings = &results.gate.findings;
        findings.iter().any(|finding| finding.kind == FindingKind::Stale && finding.cell.as_ref() == Some(id))
    })
}

/// A combination in a sentence.
#[must_use]
pub fn explained(results: &Results, suspect: &Suspect) -> String {
    match (are_better(results, suspect), suspect.cells.len()) {
        (true, 1) => format!("The one better cell has {suspect}, and no other cell has that."),
        (true, cells) => format!("All {cells} better cells have {suspect}, and no other cell has that."),
        (false, 1) => format!("The only cell with {suspect} fails, and no passing cell has that."),
        (false, cells) => format!("Every cell with {suspect} fails ({cells}), and no passing cell has that."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{base, cell};
    use crate::results::Finding;
    use crate::verdict::Verdict;

    #[test]
    fn cells_that_are_better_do_not_fail() {
        let mut results = base(vec![cell("engine", &[("kv", "q8_0")], Verdict::Exact)]);
        let id = results.cells[0].id.clone();
        let finding = |kind| vec![Finding { kind, cell: Some(id.clone()), message: String::new() }];
        let suspect = |cells: Vec<String>| Suspect {
            values: [("kv".to_owned(), "q8_0".to_owned())].into(),
            cells,
            passing_neighbours: 0,
        };
        results.suspects = vec![suspect(vec![id.clone()])];
        results.gate.findings = finding(FindingKind::Stale);
        assert_eq!(Common::of(&results), BETTER);
        assert!(explained(&results, &results.suspects[0]).starts_with("The one better cell has kv=q8_0"));
        results.gate.findings = finding(FindingKind::Worse);
        assert_eq!(Common::of(&results), FAILING);
        assert!(explained(&results, &results.suspects[0]).starts_with("The only cell with kv=q8_0 fails"));
        let two = suspect(vec![id.clone(), id.clone()]);
        assert!(explained(&results, &two).starts_with("Every cell with kv=q8_0 fails (2)"));
        results.suspects.clear();
        assert_eq!(Common::of(&results), FAILING, "nothing is said then");
    }
}
