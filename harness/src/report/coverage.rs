//! What the run's verdicts rest on: what every axis does to the judged and the unprotected subjects, which values nothing
//! was judged with, and which expectations were used.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::{Attempts, WHAT_IT_IS};
use super::pivot::Slot;
use super::story::is_control;
use crate::results::{AxisControl, AxisInfo, Cell, Expected, Results};

/// What the run's verdicts rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground<'a> {
    /// Every axis of the plan that says what is done to a session.
    pub axes: Vec<AxisGround<'a>>,
    /// Axes and their values that no judged subject has a verdict with.
    pub never: Vec<(&'a str, Vec<&'a str>)>,
    /// Expectations other than the default, those of most cells first.
    pub expectations: Vec<Used<'a>>,
}

/// One axis: its values, and what they did where nothing else differed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisGround<'a> {
    /// The axis.
    pub axis: &'a AxisInfo,
    /// Its negative control, where the run has one.
    pub control: Option<&'a AxisControl>,
    /// Values other than the base value, with what became of cells in which this alone differed.
    pub values: Vec<(&'a str, Slot)>,
}

/// An expectation that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used<'a> {
    /// The entry's filter.
    pub entry: &'a str,
    /// What it says, as one of its cells has it.
    pub expected: &'a Expected,
    /// Judged cells that it speaks of.
    pub cells: usize,
    /// Of these, those that are not as it says.
    pub against: usize,
}

impl<'a> Ground<'a> {
    /// What a run's verdicts rest on.
    #[must_use]
    pub fn of(results: &'a Results) -> Self {
        Self { axes: axes(results), never: never(results), expectations: expectations(results) }
    }
}

fn axes(results: &Results) -> Vec<AxisGround<'_>> {
    let attempts = Attempts::of(results);
    let mut slots: BTreeMap<(&str, String), Slot> = BTreeMap::new();
    for cell in &results.cells {
        if let Some(moved) = attempts.moved(cell) {
            slots.entry(moved).or_default().count(cell, is_control(results, cell));
        }
    }
    let mut grounds = Vec::new();
    let asked = |axis: &&AxisInfo| !WHAT_IT_IS.contains(&axis.name.as_str());
    for axis in results.plan.axes.iter().filter(asked) {
        let name = axis.name.as_str();
        let mut slot = |value: &String| slots.remove(&(name, value.clone())).unwrap_or_default();
        grounds.push(AxisGround {
            axis,
            control: results.controls.iter().find(|control| control.axis == name),
            values: axis.values.iter().skip(1).map(|value| (value.as_str(), slot(value))).collect(),
        });
    }
    grounds
}

fn never(results: &Results) -> Vec<(&str, Vec<&str>)> {
    let judged = judged(results).filter(|cell| cell.verdict.is_verdict());
    let seen: BTreeSet<(&str, &str)> = judged
        .flat_map(|cell| cell.dims.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .collect();
    let axes = results.plan.axes.iter().map(|axis| {
        let values = axis.values.iter().map(String::as_str);
        let unseen = values.filter(|value| !seen.contains(&(axis.name.as_str(), *value)));
        (axis.name.as_str(), unseen.collect::<Vec<_>>())
    });
    axes.filter(|(_, values)| !values.is_empty()).collect()
}

fn expectations(results: &Results) -> Vec<Used<'_>> {
    let mut used: BTreeMap<&str, Used<'_>> = BTreeMap::new();
    for cell in judged(results).filter(|cell| cell.verdict.is_verdict()) {
        let Some(entry) = cell.expected.entry.as_deref() else { continue };
        let one = Used { entry, expected: &cell.expected, cells: 0, against: 0 };
        let one = used.entry(entry).or_insert(one);
        one.cells += 1;
        one.against += usize::from(!cell.matched);
    }
    let mut used: Vec<_> = used.into_values().collect();
    used.sort_by_key(|used| std::cmp::Reverse(used.cells));
    used
}

fn judged(results: &Results) -> impl Iterator<Item = &Cell> {
    results.cells.iter().filter(|cell| !is_control(results, cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{base, cell};
    use crate::verdict::Verdict;

    #[test]
    fn an_axis_tells_what_its_values_did_alone_and_protection_apart() {
        let cells = vec![
            cell("engine", &[("kv", "q8_0")], Verdict::Recomputed),
            cell("engine", &[("kv", "q8_0"), ("flash", "off")], Verdict::Refused),
            cell("blind", &[("kv", "q8_0")], Verdict::Corrupt),
        ];
        let results = base(cells);
        let ground = Ground::of(&results);
        let kv = ground.axes.iter().find(|axis| axis.axis.name == "kv").expect("an axis");
        let slot =
            Slot { judged: [(Verdict::Recomputed, 1)].into(), unprotected: [(Verdict::Corrupt, 1)].into() };
        assert_eq!(kv.values, [("q8_0", slot)]);
    }

    #[test]
    fn a_value_without_a_verdict_of_a_judged_subject_is_not_covered() {
        let cells = vec![
            cell("engine", &[], Verdict::Exact),
            cell("engine", &[("flash", "off")], Verdict::Unsupported),
            cell("blind", &[("kv", "q8_0")], Verdict::Exact),
        ];
        assert_eq!(Ground::of(&base(cells)).never, [("kv", vec!["q8_0"]), ("flash", vec!["off"])]);
    }

    #[test]
    fn an_expectation_counts_its_cells_and_those_against_it() {
        let told = |matched| {
            let expected = Expected { entry: Some("kv(q8_0)".into()), ..Expected::default() };
            Cell { expected, matched, ..cell("engine", &[("kv", "q8_0")], Verdict::Exact) }
        };
        let results = base(vec![told(true), told(false), cell("engine", &[], Verdict::Exact)]);
        let ground = Ground::of(&results);
        let [used] = ground.expectations.as_slice() else { panic!("{:?}", ground.expectations) };
        assert_eq!((used.entry, used.cells, used.against), ("kv(q8_0)", 2, 1));
    }
}
