//! What would have to change in `expectations.toml` for a run's verdicts to be the expected ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::expectation::{Edit, Expectations, NewEntry};
use crate::filter::{Filter, Matcher, Subject};
use crate::results::{Cell, FindingKind, Results};
use crate::verdict::Verdict;

/// Days after which a proposed exception lapses.
const DAYS: i64 = 30;

/// What would have to change for the run to pass. Cells without a verdict, and flaky ones, are never excused.
#[must_use]
pub(crate) fn proposal(expectations: &Expectations, results: &Results, today: Date) -> Edit {
    let excusable = |cell: &&Cell| cell.verdict.is_verdict() && !cell.flaky;
    let unexpected: BTreeSet<&str> = results
        .gate
        .findings
        .iter()
        .filter(|finding| matches!(finding.kind, FindingKind::Worse | FindingKind::Stale))
        .filter_map(|finding| finding.cell.as_deref())
        .collect();
    let mut edit = Edit::default();
    let mut left: BTreeMap<&str, &Cell> = results
        .cells
        .iter()
        .filter(excusable)
        .filter(|cell| unexpected.contains(cell.id.as_str()))
        .map(|cell| (cell.id.as_str(), cell))
        .collect();
    for (index, governed) in governed(expectations, results) {
        let failing = governed.iter().filter(|cell| left.contains_key(cell.id.as_str())).count();
        // Where all of an entry's cells ended otherwise, and none of them failed, the entry is what is wrong.
        if failing == 0 || governed.len() != failing || !governed.iter().all(|cell| is_stale(cell)) {
            continue;
        }
        governed.iter().for_each(|cell| {
            left.remove(cell.id.as_str());
        });
        let outcome = verdicts(&governed);
        if outcome.iter().all(|verdict| verdict.passes()) {
            edit.remove.push(index);
        } else {
            edit.change.push((index, outcome, code(&governed)));
        }
    }
    let mut added: Vec<(String, Vec<&Cell>)> = Vec::new();
    for suspect in &results.suspects {
        let cells: Vec<&Cell> = suspect.cells.iter().filter_map(|id| left.remove(id.as_str())).collect();
        if cells.len() == suspect.cells.len() {
            let predicates = suspect.values.iter().map(|(name, value)| {
                let matchers = vec![Matcher::Exact(value.clone())];
                Filter::Is { name: name.clone(), matchers }
            });
            let when = predicates.reduce(|all, next| Filter::And(Box::new(all), Box::new(next)));
            added.extend(when.map(|when| (when.to_string(), cells)));
        } else {
            left.extend(cells.into_iter().map(|cell| (cell.id.as_str(), cell)));
        }
    }
    if !left.is_empty() {
        let mut alike: BTreeMap<Verdict, Vec<&Cell>> = BTreeMap::new();
        left.into_values().for_each(|cell| alike.entry(cell.verdict).or_default().push(cell));
        added.extend(alike.into_values().map(|cells| {
            let matchers = cells.iter().map(|cell| Matcher::Exact(cell.id.clone())).collect();
            (Filter::Is { name: "id".into(), matchers }.to_string(), cells)
        }));
    }
    let entry = |(when, cells): (String, Vec<&Cell>)| {
        let outcome = verdicts(&cells);
        let lapses = outcome.iter().any(|verdict| verdict.needs_expiry());
        NewEntry {
            when,
            plan: results.plan.name.clone(),
            code: code(&cells),
            found: found(&cells),
            expires: lapses.then(|| today.saturating_add(DAYS.days())),
            outcome,
        }
    };
    edit.add = added.into_iter().map(entry).collect();
    edit
}

/// The judged cells of each entry, by the entry's place.
fn governed<'a>(expectations: &Expectations, results: &'a Results) -> BTreeMap<usize, Vec<&'a Cell>> {
    let mut governed: BTreeMap<usize, Vec<&Cell>> = BTreeMap::new();
    let judged = results.cells.iter().filter(|cell| cell.verdict.is_verdict());
    for cell in judged.filter(|cell| cell.expected.entry.is_some()) {
        let subject = Subject::planned(&cell.id, &cell.dims).in_plan(&results.plan.name);
        if let Some(index) = expectations.governing(subject) {
            governed.entry(index).or_default().push(cell);
        }
    }
    governed
}

fn is_stale(cell: &Cell) -> bool {
    cell.expected.outcome.iter().all(|wanted| cell.verdict < *wanted)
}

fn verdicts(cells: &[&Cell]) -> Vec<Verdict> {
    cells.iter().map(|cell| cell.verdict).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The code that all refusals among the cells have.
fn code(cells: &[&Cell]) -> Option<String> {
    let refused = cells.iter().filter(|cell| cell.verdict == Verdict::Refused);
    let codes: BTreeSet<Option<&String>> = refused.map(|cell| cell.code.as_ref()).collect();
    if codes.len() == 1 { codes.into_iter().next().flatten().cloned() } else { None }
}

fn found(cells: &[&Cell]) -> String {
    let first = cells.first().map(|cell| cell.message.as_str()).unwrap_or_default();
    let short: String =
        crate::text::brief(first).chars().filter(|character| !character.is_control()).take(120).collect();
    match cells.len() {
        1 => short,
        more => format!("{more} cells; the first: {short}"),
    }
}
