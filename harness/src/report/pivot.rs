//! Cells as a table: what was tried × model, and in every slot how many cells ended how.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::{Attempt, Attempts, dim};
use super::story::is_control;
use crate::results::{Cell, Results};
use crate::verdict::Verdict;

/// Models that get a column each; more of them share one for each family.
const MODELS: usize = 10;

/// What was tried × model, or × family of models where there are many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// The dimension that columns are: `model` or `family`.
    pub dimension: &'static str,
    /// Its values, in order of appearance: the heading of each column.
    pub columns: Vec<String>,
    /// What was tried.
    pub rows: Vec<Row>,
}

/// One row of a [`Pivot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was tried, in words.
    pub name: String,
    /// One slot for each column.
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

impl Slot {
    /// Counts a cell on its side.
    pub(super) fn count(&mut self, cell: &Cell, is_control: bool) {
        let side = if is_control { &mut self.unprotected } else { &mut self.judged };
        *side.entry(cell.verdict).or_default() += 1;
    }
}

impl Pivot {
    /// The table of a run.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let models = distinct(results, "model");
        let (dimension, columns) =
            if models.len() <= MODELS { ("model", models) } else { ("family", distinct(results, "family")) };
        let column_of: BTreeMap<_, _> = columns.iter().cloned().zip(0..).collect();
        let attempts = Attempts::of(results);
        let mut rows: BTreeMap<Attempt, Vec<Slot>> = BTreeMap::new();
        for cell in &results.cells {
            let slots =
                rows.entry(attempts.of_cell(cell)).or_insert_with(|| vec![Slot::default(); columns.len()]);
            let slot: &mut Slot = &mut slots[column_of[&dim(cell, dimension)]];
            slot.count(cell, is_control(results, cell));
        }
        let rows =
            rows.into_iter().map(|(attempt, slots)| Row { name: attempt.to_string(), slots }).collect();
        Self { dimension, columns, rows }
    }
}

fn distinct(results: &Results, dimension: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let values = results.cells.iter().map(|cell| dim(cell, dimension));
    values.filter(|value| seen.insert(value.clone())).collect()
}
