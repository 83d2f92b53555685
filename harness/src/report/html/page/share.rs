//! Cells counted by verdict: in bars, and in the slots of tables.

use std::collections::BTreeMap;

use crate::plan::subject_of;
use crate::properties::system;
use crate::report::called::called;
use crate::report::pivot::{Row, Slot};
use crate::results::{Part, Results};
use crate::style::Style;
use crate::verdict::Verdict;

/// Some cells of one verdict.
pub(crate) struct Share {
    pub(super) name: &'static str,
    pub(super) glyph: char,
    pub(super) tone: &'static str,
    pub(super) count: usize,
}

/// All cells of one system of the run.
pub(crate) struct Bar {
    pub(super) subject: String,
    pub(super) part: &'static str,
    pub(super) shares: Vec<Share>,
}

/// A row of a table; in every slot the judged cells, and the unprotected ones.
pub(crate) struct TableRow {
    pub(super) name: String,
    pub(super) slots: Vec<[Vec<Share>; 2]>,
}

impl Share {
    pub(super) fn of(verdict: Verdict, count: usize) -> Self {
        let style = Style::of(verdict);
        Self { name: verdict.name(), glyph: style.glyph, tone: style.tone.name(), count }
    }
}

impl Bar {
    /// A bar for every system of the run of which something is known.
    pub(super) fn all(results: &Results) -> Vec<Self> {
        let mut systems: Vec<(&str, BTreeMap<Verdict, usize>)> = Vec::new();
        for cell in &results.cells {
            let name = system(cell);
            let place = systems.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                systems.push((name, BTreeMap::new()));
                systems.len() - 1
            });
            *systems[place].1.entry(cell.verdict).or_default() += 1;
        }
        let is_known = |(_, counts): &(&str, BTreeMap<Verdict, usize>)| {
            counts.keys().any(|verdict| *verdict != Verdict::NotRun)
        };
        let control = |name: &str| {
            let info = results.subjects.iter().find(|subject| subject.name == subject_of(name));
            info.is_some_and(|subject| subject.part == Part::Control)
        };
        let mut known: Vec<_> = systems.into_iter().filter(is_known).collect();
        known.sort_by_key(|(name, _)| control(name));
        let bar = |(name, counts): (&str, BTreeMap<Verdict, usize>)| Self {
            subject: called(name).to_owned(),
            part: if control(name) { "unprotected" } else { "judged" },
            shares: counts.into_iter().map(|(verdict, count)| Share::of(verdict, count)).collect(),
        };
        known.into_iter().map(bar).collect()
    }
}

impl TableRow {
    pub(super) fn of(row: &Row) -> Self {
        Self { name: called(&row.name).to_owned(), slots: row.slots.iter().map(sides).collect() }
    }
}

pub(super) fn table((name, rows): &(String, Vec<Row>)) -> (String, Vec<TableRow>) {
    (name.clone(), rows.iter().map(TableRow::of).collect())
}

/// The judged cells of a slot, and the unprotected ones.
pub(super) fn sides(slot: &Slot) -> [Vec<Share>; 2] {
    [shares(&slot.judged), shares(&slot.unprotected)]
}

pub(super) fn shares(counts: &BTreeMap<Verdict, u32>) -> Vec<Share> {
    counts.iter().map(|(verdict, count)| Share::of(*verdict, *count as usize)).collect()
}
