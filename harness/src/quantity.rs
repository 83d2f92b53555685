//! Numbers of things, in words.

use crate::results::Cell;

/// A number with the word for one or for more.
#[must_use]
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How a cell ended, held against what was expected.
#[must_use]
pub(crate) fn as_expected(cell: &Cell) -> &'static str {
    let expected = &cell.expected.outcome;
    if cell.matched {
        "as expected"
    } else if expected.iter().all(|expected| cell.verdict < *expected) && !expected.is_empty() {
        "better than expected"
    } else if expected.contains(&cell.verdict) {
        "for another reason than expected"
    } else {
        "worse than expected"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample_cell;
    use crate::verdict::Verdict;

    #[test]
    fn one_is_not_many() {
        let cells = |number| counted(number, "cell", "cells");
        assert_eq!([0, 1, 2].map(cells), ["0 cells", "1 cell", "2 cells"]);
    }

    #[test]
    fn a_cell_is_held_against_what_was_expected() {
        let cell = |verdict, expected: &[Verdict], matched| {
            let mut cell = sample_cell("engine/llama/base");
            cell.expected.outcome = expected.to_vec();
            (cell.verdict, cell.matched) = (verdict, matched);
            as_expected(&cell)
        };
        let usual = [Verdict::Exact, Verdict::Equivalent];
        assert_eq!(cell(Verdict::Exact, &usual, true), "as expected");
        assert_eq!(cell(Verdict::Exact, &[Verdict::Refused], false), "better than expected");
        assert_eq!(cell(Verdict::Refused, &usual, false), "worse than expected");
        assert_eq!(cell(Verdict::Refused, &[Verdict::Refused], false), "for another reason than expected");
        assert_eq!(cell(Verdict::NotRun, &usual, false), "worse than expected");
    }
}
