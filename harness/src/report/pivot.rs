//! Cells as a table: what was tried × family of models, and in every slot how many cells ended how.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::{Attempt, Attempts, dim};
use super::story::is_control;
use crate::results::Results;
use crate::verdict::Verdict;

/// What was tried × family of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// Families, in order of appearance: the heading of each column.
    pub families: Vec<String>,
    /// What was tried.
    pub rows: Vec<Row>,
}

/// One row of a [`Pivot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was tried, in words.
    pub name: String,
    /// One slot for each family.
    pub slots: Vec<Slot>,
}

/// How many cells of a row and column ended how, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slot {
    /// Cells of the judged subjects by verdict.
    pub judged: BTreeMap<Verdict, u32>,
    /// Cells of the unprotected subjects by verdict.
    pub unprotected: BTreeMap<Verdict, u32>,
}

impl Pivot {
    /// The table of a run.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let mut seen = BTreeSet::new();
        let families = results.cells.iter().map(|cell| dim(cell, "family"));
        let families: Vec<_> = families.filter(|family| seen.insert(family.clone())).collect();
        let column_of: BTreeMap<_, _> = families.iter().cloned().zip(0..).collect();
        let attempts = Attempts::of(results);
        let mut rows: BTreeMap<Attempt, Vec<Slot>> = BTreeMap::new();
        for cell in &results.cells {
            let slots =
                rows.entry(attempts.of_cell(cell)).or_insert_with(|| vec![Slot::default(); families.len()]);
            let slot: &mut Slot = &mut slots[column_of[&dim(cell, "family")]];
            let side = if is_control(results, cell) { &mut slot.unprotected } else { &mut slot.judged };
            *side.entry(cell.verdict).or_default() += 1;
        }
        let rows =
            rows.into_iter().map(|(attempt, slots)| Row { name: attempt.to_string(), slots }).collect();
        Self { families, rows }
    }
}
