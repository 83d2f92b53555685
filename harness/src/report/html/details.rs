//! The details of the cells: what the page's drawer shows. They repeat a lot, so texts, expectations and axes are kept
//! once and cells refer to them.

use std::collections::BTreeMap;

use intact_protocol::{AxisReport, Receipt};
use serde::Serialize;

use super::packed::{Interned, rounded};
use crate::report::Report;
use crate::results::{Attempt, Cell, Expected};
use crate::verdict::Verdict;

/// What the page's script reads when a cell is first opened: a column for each field, a row for each cell.
#[derive(Default, Serialize)]
pub(super) struct Details<'a> {
    texts: Vec<&'a str>,
    expectations: Vec<Told<'a>>,
    axes: Vec<Axis<'a>>,
    steps: Vec<Vec<&'a str>>,
    code: Vec<Option<usize>>,
    message: Vec<usize>,
    route: Vec<Option<usize>>,
    restored: Vec<Option<u32>>,
    evaluated: Vec<Option<u32>>,
    nmse: Vec<Option<f64>>,
    kl: Vec<Option<f64>>,
    agreement: Vec<Option<f64>>,
    floor: Vec<Option<f64>>,
    noise: Vec<Option<[f64; 2]>>,
    expected: Vec<usize>,
    receipt: Vec<Option<Loaded>>,
    log: Vec<Vec<usize>>,
    seconds: Vec<f64>,
    reproduce: Vec<usize>,
    /// Of the cells that are some way from the reference: how far, token by token.
    distances: BTreeMap<usize, &'a [Option<f64>]>,
    /// Of the cells that were played several times: what each time came to, and why.
    attempts: BTreeMap<usize, Vec<(Verdict, usize)>>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Told<'a> {
    outcome: &'a [Verdict],
    code: Option<&'a str>,
    reason: Option<&'a str>,
    issue: Option<&'a str>,
    entry: Option<&'a str>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Axis<'a> {
    axis: &'a str,
    saved: &'a str,
    here: &'a str,
    consequence: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Loaded {
    axes: Vec<usize>,
    notes: Vec<usize>,
    canary: Option<f64>,
    steps: usize,
    seconds: Vec<f64>,
}

#[derive(Default)]
struct Tables<'a> {
    texts: Interned<&'a str>,
    expectations: Interned<Told<'a>>,
    axes: Interned<Axis<'a>>,
    steps: Interned<Vec<&'a str>>,
}

impl<'a> Details<'a> {
    pub(super) fn of(report: &Report<'a>) -> Self {
        let cells = &report.results.cells;
        let mut tables = Tables::default();
        let mut details = Self::default();
        for cell in cells {
            details.push(cell, &mut tables);
        }
        details.texts = tables.texts.into_list();
        details.expectations = tables.expectations.into_list();
        details.axes = tables.axes.into_list();
        details.steps = tables.steps.into_list();
        details
    }

    fn push(&mut self, cell: &'a Cell, tables: &mut Tables<'a>) {
        if !cell.distances.is_empty() {
            self.distances.insert(self.code.len(), &cell.distances);
        }
        if !cell.attempts.is_empty() {
            let told = |attempt: &'a Attempt| (attempt.verdict, tables.texts.place(attempt.message.as_str()));
            self.attempts.insert(self.code.len(), cell.attempts.iter().map(told).collect());
        }
        self.code.push(cell.code.as_deref().map(|code| tables.texts.place(code)));
        self.message.push(tables.texts.place(&cell.message));
        self.route.push(cell.route.as_deref().map(|route| tables.texts.place(route)));
        self.restored.push(cell.tokens_restored);
        self.evaluated.push(cell.tokens_evaluated);
        self.nmse.push(cell.nmse.map(rounded));
        self.kl.push(cell.kl.map(rounded));
        self.agreement.push(cell.top1_agreement.map(rounded));
        self.floor.push(cell.floor.and_then(|floor| floor.kl).map(rounded));
        self.noise.push(cell.noise.map(|noise| [rounded(noise.nmse), rounded(noise.kl)]));
        self.expected.push(tables.expectations.place(told(&cell.expected)));
        self.receipt.push(cell.receipt.as_ref().map(|receipt| tables.loaded(receipt)));
        self.log.push(cell.log.iter().map(|line| tables.texts.place(line)).collect());
        self.seconds.push(rounded(cell.seconds));
        self.reproduce.push(tables.texts.place(&cell.reproduce));
    }
}

impl<'a> Tables<'a> {
    fn loaded(&mut self, receipt: &'a Receipt) -> Loaded {
        Loaded {
            axes: receipt.axes.iter().map(|report| self.axes.place(axis(report))).collect(),
            notes: receipt.notes.iter().map(|note| self.texts.place(note)).collect(),
            canary: receipt.canary_distance.map(|distance| rounded(distance.into())),
            steps: self.steps.place(receipt.timings.steps.keys().map(String::as_str).collect()),
            seconds: receipt.timings.steps.values().copied().map(rounded).collect(),
        }
    }
}

fn told(expected: &Expected) -> Told<'_> {
    Told {
        outcome: &expected.outcome,
        code: expected.code.as_deref(),
        reason: expected.reason.as_deref(),
        issue: expected.issue.as_deref(),
        entry: expected.entry.as_deref(),
    }
}

fn axis(report: &AxisReport) -> Axis<'_> {
    Axis {
        axis: &report.axis,
        saved: &report.saved,
        here: &report.here,
        consequence: &report.consequence,
        reason: &report.reason,
    }
}
