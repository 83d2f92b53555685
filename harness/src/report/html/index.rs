//! The index of the cells: what the page's grid, list and filter work on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::packed::Interned;
use crate::report::attempt::{Attempt, Attempts, dim};
use crate::report::called::called;
use crate::report::pivot::Pivot;
use crate::report::systems::absent;
use crate::report::{ChangeKind, Changes, Report, when};
use crate::results::{Cell, Part, Results, SubjectInfo};
use crate::style::Style;
use crate::verdict::Verdict;

/// What the page's script reads first. A cell is its place in the run; values are kept once.
#[derive(Serialize)]
pub(super) struct Index<'a> {
    verdicts: Vec<Look>,
    controls: Vec<&'a str>,
    view: View,
    attempts: Vec<String>,
    ids: Vec<&'a str>,
    verdict: Vec<usize>,
    attempt: Vec<usize>,
    surprises: Vec<usize>,
    dimensions: BTreeMap<&'a str, Column>,
    extra: BTreeMap<&'static str, Known>,
    /// Names that are told in words where no filter is written.
    called: BTreeMap<&'a str, &'a str>,
    /// Cells that were not played because a system of them is not here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<usize>,
    about: Vec<(&'static str, String)>,
    kinds: Vec<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Before<'a>>,
}

/// A kind of change, to follow a number.
#[derive(Serialize)]
struct Kind {
    name: &'static str,
    one: &'static str,
    many: &'static str,
}

/// The run that this one is compared with: of each cell of this run its verdict there, and the cells that are gone.
#[derive(Serialize)]
struct Before<'a> {
    about: Vec<(&'static str, String)>,
    verdict: Vec<Option<usize>>,
    matched: Vec<u8>,
    gone: Vec<(&'a str, usize)>,
}

#[derive(Serialize)]
struct Look {
    name: &'static str,
    glyph: char,
    tone: &'static str,
    meaning: &'static str,
}

/// The values of one dimension, and which of them every cell has: none is listed where there is one value only.
#[derive(Serialize)]
struct Column {
    values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    /// Values that the plan has and no cell of this run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unused: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    at: Vec<usize>,
}

/// What is known of some cells.
#[derive(Serialize)]
struct Known {
    values: Vec<Option<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    at: Vec<usize>,
}

/// How the matrix is laid out at first: writer × reader for each family where a run compares several of either, and
/// what was tried × model otherwise.
#[derive(Serialize)]
struct View {
    rows: &'static str,
    columns: &'static str,
    tables: &'static str,
}

impl<'a> Index<'a> {
    pub(super) fn of(report: &Report<'a>) -> Self {
        let results = report.results;
        let cells = &results.cells;
        let names: BTreeSet<&str> =
            cells.iter().flat_map(|cell| cell.dims.keys().map(String::as_str)).collect();
        let attempts = Attempts::of(results);
        let attempt: Vec<Attempt> = cells.iter().map(|cell| attempts.of_cell(cell)).collect();
        let distinct: BTreeSet<&Attempt> = attempt.iter().collect();
        let places: BTreeMap<&Attempt, usize> = distinct.into_iter().zip(0..).collect();
        let column = |name| {
            let axis = results.plan.axes.iter().find(|axis| axis.name == name);
            let mut column = Column::of(&ordered(results, name), cells.iter().map(|cell| dim(cell, name)));
            column.base = axis.and_then(|axis| axis.values.first().cloned());
            let of_plan = axis.iter().flat_map(|axis| &axis.values);
            column.unused = of_plan.filter(|value| !column.values.contains(value)).cloned().collect();
            (name, column)
        };
        Self {
            verdicts: Verdict::ALL.map(look).into(),
            controls: controls(results),
            view: View::of(results),
            ids: cells.iter().map(|cell| cell.id.as_str()).collect(),
            verdict: cells.iter().map(|cell| place(cell.verdict)).collect(),
            attempt: attempt.iter().map(|attempt| places[attempt]).collect(),
            attempts: places.keys().map(ToString::to_string).collect(),
            surprises: (0..cells.len()).filter(|cell| !cells[*cell].matched).collect(),
            dimensions: names.into_iter().map(column).collect(),
            extra: extra(results, report.changes.as_ref()),
            called: told(results),
            missing: missing(results),
            about: about(results),
            kinds: ChangeKind::ALL
                .map(|kind| Kind { name: kind.name(), one: kind.words(1), many: kind.words(2) })
                .into(),
            before: report.baseline.map(|baseline| Before::of(baseline, results)),
        }
    }
}

impl Column {
    /// A column of these values, the ones that are `known` in the order in which they are.
    fn of(known: &[String], values: impl Iterator<Item = String>) -> Self {
        let values: Vec<String> = values.collect();
        let used: BTreeSet<&String> = values.iter().collect();
        let mut distinct = Interned::default();
        for value in known.iter().filter(|value| used.contains(value)) {
            distinct.place(value.clone());
        }
        let at: Vec<usize> = values.into_iter().map(|value| distinct.place(value)).collect();
        let values = distinct.into_list();
        Self { at: if values.len() > 1 { at } else { Vec::new() }, values, base: None, unused: Vec::new() }
    }
}

/// The values of a dimension in the order in which people look for them: releases by age, others as the plan has them.
fn ordered(results: &Results, name: &str) -> Vec<String> {
    if matches!(name, "writer" | "reader") {
        return results.releases.iter().map(|release| release.release.clone()).collect();
    }
    results.plan.axes.iter().find(|axis| axis.name == name).map_or_else(Vec::new, |axis| axis.values.clone())
}

/// What filters can name beside the dimensions; `null` of a cell that has none.
fn extra(results: &Results, changes: Option<&Changes>) -> BTreeMap<&'static str, Known> {
    let cells = || results.cells.iter();
    let plan = Known::of(cells().map(|_| Some(results.plan.name.as_str())));
    let route = Known::of(cells().map(|cell| cell.route.as_deref()));
    let mut extra = BTreeMap::from([("plan", plan), ("route", route)]);
    if let Some(changes) = changes {
        let changed = |id| changes.verdicts.get(id).map(|change| change.name());
        extra.insert("changed", Known::of(cells().map(|cell| changed(cell.id.as_str()))));
    }
    extra
}

impl Known {
    fn of<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut distinct = Interned::default();
        let at: Vec<usize> = values.map(|value| distinct.place(value.map(str::to_owned))).collect();
        let values = distinct.into_list();
        Self { at: if values.len() > 1 { at } else { Vec::new() }, values }
    }
}

impl<'a> Before<'a> {
    fn of(baseline: &'a Results, results: &Results) -> Self {
        let before: BTreeMap<&str, &Cell> =
            baseline.cells.iter().map(|cell| (cell.id.as_str(), cell)).collect();
        let there = |cell: &Cell| before.get(cell.id.as_str()).copied();
        let present: BTreeSet<&str> = results.cells.iter().map(|cell| cell.id.as_str()).collect();
        let gone = baseline.cells.iter().filter(|cell| !present.contains(cell.id.as_str()));
        Self {
            about: about(baseline),
            verdict: results.cells.iter().map(|cell| there(cell).map(|cell| place(cell.verdict))).collect(),
            matched: results
                .cells
                .iter()
                .map(|cell| u8::from(there(cell).is_some_and(|cell| cell.matched)))
                .collect(),
            gone: gone.map(|cell| (cell.id.as_str(), place(cell.verdict))).collect(),
        }
    }
}

/// What is to be known of a run that is compared. The page reads the same from a results.json.
fn about(results: &Results) -> Vec<(&'static str, String)> {
    let told = |subject: &SubjectInfo| match &subject.hello {
        Some(hello) => format!("{} {} ({})", subject.name, hello.version, hello.release),
        None => subject.name.clone(),
    };
    let systems: Vec<String> = results.subjects.iter().map(told).collect();
    let machine = &results.environment;
    let machine = [Some(&machine.os), Some(&machine.arch), machine.cpu.as_ref()];
    let machine: Vec<&str> = machine.into_iter().flatten().map(String::as_str).collect();
    vec![
        ("started", when(&results.run.started)),
        ("plan", results.plan.name.clone()),
        ("cells", results.cells.len().to_string()),
        ("systems", systems.join(", ")),
        ("intact", results.run.harness.clone()),
        ("machine", machine.join(", ")),
    ]
}

/// Names of systems that are told in words.
fn told(results: &Results) -> BTreeMap<&str, &str> {
    let subjects = results.subjects.iter().map(|subject| subject.name.as_str());
    subjects.map(|name| (name, called(name))).filter(|(name, told)| name != told).collect()
}

/// Cells that were not played because a system of them is not here.
fn missing(results: &Results) -> Vec<usize> {
    let absent: BTreeSet<&str> = absent(results).into_iter().collect();
    let is_missing = |cell: &Cell| {
        let who = ["subject", "writer", "reader"].map(|name| dim(cell, name));
        cell.verdict == Verdict::NotRun && who.iter().any(|name| absent.contains(name.as_str()))
    };
    (0..results.cells.len()).filter(|place| is_missing(&results.cells[*place])).collect()
}

fn controls(results: &Results) -> Vec<&str> {
    let controls = results.subjects.iter().filter(|subject| subject.part == Part::Control);
    controls.map(|subject| subject.name.as_str()).collect()
}

impl View {
    fn of(results: &Results) -> Self {
        let several = |name| results.cells.iter().map(|cell| dim(cell, name)).collect::<BTreeSet<_>>().len();
        if several("writer").max(several("reader")) > several("subject") {
            Self { rows: "writer", columns: "reader", tables: "family" }
        } else {
            Self { rows: "what was tried", columns: Pivot::of(results).dimension, tables: "everything" }
        }
    }
}

fn look(verdict: Verdict) -> Look {
    let style = Style::of(verdict);
    Look { name: verdict.name(), glyph: style.glyph, tone: style.tone.name(), meaning: verdict.meaning() }
}

fn place(verdict: Verdict) -> usize {
    Verdict::ALL.iter().position(|known| *known == verdict).unwrap_or_default()
}
