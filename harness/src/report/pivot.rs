//! Cells as a table: rows by one dimension, columns by another, and in every slot how many cells ended how.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::{Attempt, Attempts, dim};
use crate::results::{Cell, Results};
use crate::verdict::Verdict;

/// A table of verdicts for the cells of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// The family of models.
    pub family: String,
    /// Heading of each column.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One row of a [`Pivot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its heading.
    pub name: String,
    /// One slot for each column.
    pub slots: Vec<Slot>,
}

/// How many cells of a row and column ended how, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slot {
    /// Cells by verdict.
    pub counts: BTreeMap<Verdict, u32>,
}

impl Pivot {
    /// One table for each family of the run, in order of appearance: what was tried × who tried it.
    #[must_use]
    pub fn by_family(results: &Results) -> Vec<Self> {
        let families = distinct(results.cells.iter().map(|cell| dim(cell, "family")));
        let columns = distinct(results.cells.iter().map(|cell| dim(cell, "subject")));
        let attempts = Attempts::of(results);
        families.into_iter().map(|family| Self::of(&results.cells, &attempts, family, &columns)).collect()
    }

    fn of(cells: &[Cell], attempts: &Attempts<'_>, family: String, columns: &[String]) -> Self {
        let mut rows: BTreeMap<Attempt, Vec<Slot>> = BTreeMap::new();
        for cell in cells.iter().filter(|cell| dim(cell, "family") == family) {
            let slots =
                rows.entry(attempts.of_cell(cell)).or_insert_with(|| vec![Slot::default(); columns.len()]);
            let subject = dim(cell, "subject");
            if let Some(column) = columns.iter().position(|column| *column == subject) {
                *slots[column].counts.entry(cell.verdict).or_default() += 1;
            }
        }
        let rows =
            rows.into_iter().map(|(attempt, slots)| Row { name: attempt.to_string(), slots }).collect();
        Self { family, columns: columns.to_vec(), rows }
    }
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    values.filter(|value| seen.insert(value.clone())).collect()
}
