//! The end of a run: from what became of each cell to its results.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::inputs::Inputs;
use super::reproduce::Reproduction;
use crate::claims;
use crate::control::controls;
use crate::expectation::Comparison;
use crate::folder::{Manifest, Outcome};
use crate::gate;
use crate::plan::PlannedCell;
use crate::predictions;
use crate::properties;
use crate::results::{
    Attempt, Cell, Counts, Environment, Expected, Finding, FindingKind, NotCovered, Part, PlanInfo,
    RESULTS_VERSION, Results, RunInfo, is_unprotected, judged_verdicts,
};
use crate::suspects::suspects;
use crate::verdict::Verdict;

/// What is known of each cell, in the order of attempts.
pub(super) type Outcomes = BTreeMap<String, Vec<Outcome>>;

/// Everything that results are made of.
pub(super) struct Conclusion<'a> {
    pub inputs: &'a Inputs,
    pub manifest: &'a Manifest,
    pub plan: PlanInfo,
    /// Every cell of the whole plan, with those that the filter leaves out, where they are known.
    pub whole_plan: Option<&'a [PlannedCell]>,
    /// The cells that this run answers for.
    pub cells: &'a [PlannedCell],
    pub outcomes: &'a Outcomes,
    /// What is said of a cell that has no outcome.
    pub missing: Outcome,
    pub environment: Environment,
    pub seconds: f64,
    pub jobs: usize,
    pub notes: Vec<String>,
}

impl Conclusion<'_> {
    /// The results.
    pub(super) fn results(self) -> Results {
        let Self { inputs, manifest, .. } = self;
        let config = &inputs.config;
        let today = today(&manifest.started);
        let mut findings = match self.whole_plan {
            // Models of the user's own need not have what the configured ones are expected to do.
            Some(cells) if manifest.models.is_empty() => {
                inputs.expectations.findings(cells, &manifest.plan, today)
            }
            _ => inputs.expectations.lapsed(today),
        };
        let reproduction = Reproduction::of(manifest);
        let judged = self.cells.iter().map(|cell| {
            let attempts =
                self.outcomes.get(&cell.id).map_or(std::slice::from_ref(&self.missing), Vec::as_slice);
            verdict(cell, attempts, inputs, &reproduction)
        });
        let (cells, found): (Vec<Cell>, Vec<Option<Finding>>) = judged.unzip();
        findings.extend(found.into_iter().flatten());
        // A part of a plan may have drawn none that is judged; what puts the parts together asks again.
        let verdicts = match manifest.partition {
            Some(_) => cells.iter().map(|cell| cell.verdict).collect(),
            None => judged_verdicts(&cells, &manifest.subjects),
        };
        let judged: Vec<&Cell> =
            cells.iter().filter(|cell| !is_unprotected(cell, &manifest.subjects)).collect();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let plan = PlanInfo {
            selected: count(cells.len()),
            digest: Some(manifest.digest.whole.clone()),
            ..self.plan
        };
        Results {
            version: RESULTS_VERSION,
            run: RunInfo {
                harness: manifest.harness.clone(),
                started: manifest.started.clone(),
                seconds: self.seconds,
                command: manifest.command.clone(),
                filter: manifest.filter.clone(),
                partition: manifest.partition.map(|partition| partition.to_string()),
                seed: manifest.seed,
                jobs: count(self.jobs),
                notes: self.notes,
            },
            environment: self.environment,
            subjects: manifest.subjects.clone(),
            releases: manifest.releases.clone(),
            predictions: predictions::judge(&cells),
            models: manifest.model_infos.clone(),
            counts: Counts::of(&cells),
            gate: gate::decide(cells.len(), &verdicts, findings),
            suspects: suspects(&plan.axes, &judged),
            controls: controls(config, &plan.axes, &cells),
            claims: claims::judge(&cells),
            properties: properties::answer(&cells),
            not_covered: not_covered(),
            plan,
            cells,
        }
    }
}

fn not_covered() -> Vec<NotCovered> {
    let entries = intact_fixtures::not_covered().iter().cloned();
    entries.map(|entry| NotCovered { what: entry.what, names: entry.names, reason: entry.reason }).collect()
}

/// Whether what became of a cell is what was expected of it.
pub(super) fn is_expected(cell: &PlannedCell, outcome: &Outcome, inputs: &Inputs) -> bool {
    compare(&turned_out(cell, outcome), outcome, inputs).finding.is_none()
}

/// The cell as results have it, and why it does not pass.
pub(super) fn verdict(
    planned: &PlannedCell,
    attempts: &[Outcome],
    inputs: &Inputs,
    reproduction: &Reproduction<'_>,
) -> (Cell, Option<Finding>) {
    // The worst attempt that says something of the subject; where none does, the last.
    let telling = attempts.iter().filter(|outcome| outcome.verdict.is_verdict());
    // The first of equals.
    let worst = telling.clone().rev().max_by_key(|outcome| outcome.verdict);
    let nothing = Outcome::not_run("missing", "nothing is known of it");
    let outcome = worst.or(attempts.last()).unwrap_or(&nothing);
    let verdicts: Vec<Verdict> = telling.map(|outcome| outcome.verdict).collect();
    let flaky = planned.part == Part::Judged && verdicts.iter().any(|verdict| *verdict != outcome.verdict);
    let cell = turned_out(planned, outcome);
    let Comparison { expected, mut finding } = compare(&cell, outcome, inputs);
    if flaky {
        let names: Vec<&str> = verdicts.iter().map(|verdict| verdict.name()).collect();
        let message = format!("{} when it was retried: {}", names.join(", then "), outcome.message);
        finding = Some(Finding { kind: FindingKind::Flaky, cell: Some(cell.id.clone()), message });
    }
    let attempts = if attempts.len() > 1 { attempts.iter().map(attempt).collect() } else { Vec::new() };
    let matched = finding.is_none();
    let reproduce = reproduction.of_cell(&cell.id);
    (Cell { attempts, flaky, ..assembled(cell, outcome, expected, matched, reproduce) }, finding)
}

fn compare(cell: &PlannedCell, outcome: &Outcome, inputs: &Inputs) -> Comparison {
    match cell.part {
        Part::Judged => inputs.expectations.compare(cell, &outcome.judgement()),
        // Whatever becomes of it is no reason to fail, but that nothing is known of it is.
        Part::Control => Comparison { finding: unknown(cell, outcome), ..Comparison::default() },
    }
}

/// Why nothing is known of a cell that should have been played, if nothing is.
fn unknown(cell: &PlannedCell, outcome: &Outcome) -> Option<Finding> {
    let kind = match outcome.verdict {
        Verdict::HarnessError => FindingKind::HarnessError,
        Verdict::NotRun => FindingKind::NotRun,
        _ => return None,
    };
    Some(Finding { kind, cell: Some(cell.id.clone()), message: outcome.message.clone() })
}

/// The cell with the dimensions that turned out otherwise than planned.
fn turned_out(planned: &PlannedCell, outcome: &Outcome) -> PlannedCell {
    let mut cell = planned.clone();
    cell.dims.extend(outcome.dims.clone());
    cell
}

fn attempt(outcome: &Outcome) -> Attempt {
    let Outcome { verdict, code, message, .. } = outcome.clone();
    Attempt { verdict, code, message }
}

fn assembled(
    cell: PlannedCell,
    outcome: &Outcome,
    expected: Expected,
    matched: bool,
    reproduce: String,
) -> Cell {
    let Outcome { verdict, code, message, distance, distances, oracle, receipt, log, seconds, .. } =
        outcome.clone();
    Cell {
        id: cell.id,
        dims: cell.dims,
        verdict,
        code,
        message,
        route: receipt.as_ref().map(|receipt| receipt.route.clone()),
        tokens_restored: receipt.as_ref().map(|receipt| receipt.tokens_restored),
        tokens_evaluated: receipt.as_ref().map(|receipt| receipt.tokens_evaluated),
        nmse: distance.and_then(|distance| distance.nmse),
        kl: distance.and_then(|distance| distance.kl),
        top1_agreement: distance.map(|distance| distance.top1_agreement),
        floor: outcome.floor,
        noise: outcome.noise,
        oracle,
        saved_bytes: outcome.saved_bytes,
        load_seconds: outcome.load_seconds,
        expected,
        matched,
        receipt,
        log,
        seconds,
        reproduce,
        attempts: Vec::new(),
        flaky: false,
        distances,
    }
}

/// The day on which a run began.
pub(super) fn today(started: &str) -> jiff::civil::Date {
    let started: Timestamp = started.parse().unwrap_or_else(|_| Timestamp::now());
    started.to_zoned(TimeZone::UTC).date()
}
