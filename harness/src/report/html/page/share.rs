//! Cells counted by verdict: in bars, and in the slots of tables.

use std::collections::BTreeMap;

use crate::report::pivot::{Row, Slot};
use crate::report::story::Tally;
use crate::style::Style;
use crate::verdict::Verdict;

/// Some cells of one verdict.
pub(crate) struct Share {
    pub(super) name: &'static str,
    pub(super) glyph: char,
    pub(super) tone: &'static str,
    pub(super) count: usize,
}

/// All cells of one part of the run.
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
    pub(super) fn of(tally: &Tally, part: &'static str) -> Option<Self> {
        let shares: Vec<_> =
            tally.counts.iter().map(|(verdict, count)| Share::of(*verdict, *count)).collect();
        (!shares.is_empty()).then(|| Self { subject: tally.subjects.join(", "), part, shares })
    }
}

impl TableRow {
    pub(super) fn of(row: &Row) -> Self {
        Self { name: row.name.clone(), slots: row.slots.iter().map(sides).collect() }
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
