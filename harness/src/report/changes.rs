//! What changed since an earlier run: cells that fail now and did not, and the other way round.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::story::is_control;
use crate::filter;
use crate::results::{Cell, Results};
use crate::verdict::Verdict;

/// What changed between two runs, cell by cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// When the baseline was run, as its results say it.
    pub since: String,
    /// Every cell that changed, new failures first and then by kind; of a kind, in the order of the run.
    pub cells: Vec<Change>,
    /// Cells that are in both runs.
    pub compared: usize,
    /// What filters call changed: cells whose verdict, code or route differs, by id.
    pub verdicts: BTreeMap<String, filter::Change>,
}

/// What changed of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What kind of change.
    pub kind: ChangeKind,
    /// Id of the cell.
    pub cell: String,
    /// Its verdict in the baseline; `None` where that has no such cell.
    pub before: Option<Verdict>,
    /// Its verdict now; `None` where this run has no such cell.
    pub now: Option<Verdict>,
}

/// Kinds of change, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// The cell is not as expected, and was before, or is new.
    NewFailure,
    /// Worse than before, and still as expected or unexpected as before.
    Worse,
    /// The cell is as expected, and was not before.
    Fixed,
    /// Better than before, and still as expected or unexpected as before.
    Better,
    /// It has a verdict and had none, or the other way round.
    Otherwise,
    /// The baseline has no such cell.
    New,
    /// This run has no such cell.
    Removed,
    /// A subject without protection ended otherwise than before.
    Unprotected,
}

impl ChangeKind {
    /// Every kind, the most urgent first.
    pub const ALL: [Self; 8] = [
        Self::NewFailure,
        Self::Worse,
        Self::Fixed,
        Self::Better,
        Self::Otherwise,
        Self::New,
        Self::Removed,
        Self::Unprotected,
    ];

    /// The name in every file, filter and report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewFailure => "new-failure",
            Self::Worse => "worse",
            Self::Fixed => "fixed",
            Self::Better => "better",
            Self::Otherwise => "otherwise",
            Self::New => "new",
            Self::Removed => "removed",
            Self::Unprotected => "unprotected",
        }
    }

    /// What it is about, to follow a number.
    #[must_use]
    pub const fn words(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::NewFailure, 1) => "cell fails that did not",
            (Self::NewFailure, _) => "cells fail that did not",
            (Self::Worse, 1) => "cell is worse, as expected or unexpected as before",
            (Self::Worse, _) => "cells are worse, as expected or unexpected as before",
            (Self::Fixed, 1) => "cell is fixed",
            (Self::Fixed, _) => "cells are fixed",
            (Self::Better, 1) => "cell is better, as expected or unexpected as before",
            (Self::Better, _) => "cells are better, as expected or unexpected as before",
            (Self::Otherwise, 1) => "cell got or lost its verdict",
            (Self::Otherwise, _) => "cells got or lost their verdict",
            (Self::New, 1) => "cell is new",
            (Self::New, _) => "cells are new",
            (Self::Removed, 1) => "cell is gone",
            (Self::Removed, _) => "cells are gone",
            (Self::Unprotected, 1) => "unprotected cell ended differently",
            (Self::Unprotected, _) => "unprotected cells ended differently",
        }
    }

    /// Whether it means that something got worse.
    #[must_use]
    pub const fn is_worse(self) -> bool {
        matches!(self, Self::NewFailure | Self::Worse)
    }
}

impl Changes {
    /// Compares a run with an earlier one.
    #[must_use]
    pub fn between(baseline: &Results, now: &Results) -> Self {
        let before: BTreeMap<&str, &Cell> =
            baseline.cells.iter().map(|cell| (cell.id.as_str(), cell)).collect();
        let present: BTreeMap<&str, &Cell> = now.cells.iter().map(|cell| (cell.id.as_str(), cell)).collect();
        let told = now.cells.iter().filter_map(|cell| {
            let before = before.get(cell.id.as_str()).copied();
            let kind = kind(before, cell, is_control(now, cell))?;
            let before = before.map(|cell| cell.verdict);
            Some(Change { kind, cell: cell.id.clone(), before, now: Some(cell.verdict) })
        });
        let gone = baseline.cells.iter().filter(|cell| !present.contains_key(cell.id.as_str()));
        let gone = gone.map(|cell| Change {
            kind: ChangeKind::Removed,
            cell: cell.id.clone(),
            before: Some(cell.verdict),
            now: None,
        });
        let mut cells: Vec<Change> = told.chain(gone).collect();
        cells.sort_by_key(|change| change.kind);
        let compared = present.keys().filter(|id| before.contains_key(**id)).count();
        let differs = |cell: &Cell| cell.change_since(before.get(cell.id.as_str()).copied());
        let verdicts = now.cells.iter().filter_map(|cell| Some((cell.id.clone(), differs(cell)?))).collect();
        Self { since: baseline.run.started.clone(), cells, compared, verdicts }
    }

    /// Changes by kind, the most urgent first; kinds without a change are left out.
    #[must_use]
    pub fn by_kind(&self) -> Vec<(ChangeKind, Vec<&Change>)> {
        let of = |kind| self.cells.iter().filter(|change| change.kind == kind).collect::<Vec<_>>();
        ChangeKind::ALL
            .map(|kind| (kind, of(kind)))
            .into_iter()
            .filter(|(_, same)| !same.is_empty())
            .collect()
    }

    /// Cells that are worse than in the baseline.
    #[must_use]
    pub fn worse(&self) -> usize {
        self.cells.iter().filter(|change| change.kind.is_worse()).count()
    }
}

fn kind(before: Option<&Cell>, now: &Cell, is_control: bool) -> Option<ChangeKind> {
    let Some(before) = before else {
        return Some(if now.matched { ChangeKind::New } else { ChangeKind::NewFailure });
    };
    let differs = before.verdict != now.verdict;
    match (before.matched, now.matched) {
        _ if is_control => differs.then_some(ChangeKind::Unprotected),
        (true, false) => Some(ChangeKind::NewFailure),
        (false, true) => Some(ChangeKind::Fixed),
        _ if !differs => None,
        _ if !(before.verdict.is_verdict() && now.verdict.is_verdict()) => Some(ChangeKind::Otherwise),
        _ if now.verdict > before.verdict => Some(ChangeKind::Worse),
        _ => Some(ChangeKind::Better),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample_cell;

    fn cell(verdict: Verdict, matched: bool) -> Cell {
        Cell { verdict, matched, ..sample_cell("engine/llama/base") }
    }

    #[test]
    fn every_pair_of_cells_has_the_kind_of_the_table() {
        use ChangeKind::{Better, Fixed, NewFailure, Otherwise, Unprotected, Worse};
        use Verdict::{Corrupt, Equivalent, Exact, Refused, Unsupported};
        for (before, now, control, expected) in [
            ((Exact, true), (Exact, true), false, None),
            ((Exact, true), (Corrupt, false), false, Some(NewFailure)),
            ((Refused, true), (Exact, false), false, Some(NewFailure)),
            ((Corrupt, false), (Exact, true), false, Some(Fixed)),
            ((Exact, true), (Equivalent, true), false, Some(Worse)),
            ((Equivalent, true), (Exact, true), false, Some(Better)),
            ((Refused, false), (Corrupt, false), false, Some(Worse)),
            ((Exact, true), (Unsupported, true), false, Some(Otherwise)),
            ((Exact, true), (Corrupt, true), true, Some(Unprotected)),
            ((Exact, true), (Exact, true), true, None),
        ] {
            let (before, now) = (cell(before.0, before.1), cell(now.0, now.1));
            assert_eq!(kind(Some(&before), &now, control), expected, "{} → {}", before.verdict, now.verdict);
        }
        assert_eq!(kind(None, &cell(Exact, true), false), Some(ChangeKind::New));
        assert_eq!(kind(None, &cell(Corrupt, false), false), Some(NewFailure));
    }

    #[test]
    fn a_kind_is_named_as_serde_names_it() {
        for kind in ChangeKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("json"), kind.name());
        }
    }
}
