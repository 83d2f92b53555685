//! Several runs as one: of other machines, other plans, other days.

use std::collections::BTreeSet;

use crate::results::{
    AxisControl, AxisInfo, Cell, Counts, PredictionOutcome, PredictionResult, Results, judged_verdicts,
};
use crate::{claims, gate};

/// The dimension that tells the runs apart.
const RUN: &str = "run";

/// Puts named runs together. Cells get the dimension `run`, and its value stands before their ids. One run stays as it is.
#[must_use]
pub fn combined(mut runs: Vec<(String, Results)>) -> Option<Results> {
    if runs.len() < 2 {
        return runs.pop().map(|(_, results)| results);
    }
    let names: Vec<String> = runs.iter().map(|(name, _)| name.clone()).collect();
    let mut runs = runs.into_iter().map(|(name, results)| named(&name, results));
    let mut all = runs.next()?;
    for results in runs {
        add(&mut all, results);
    }
    all.plan.axes.push(AxisInfo {
        name: RUN.into(),
        about: "Which of the merged runs.".into(),
        values: names,
    });
    all.claims = claims::judge(&all.cells);
    all.counts = Counts::of(&all.cells);
    all.gate = gate::decide(all.cells.len(), &judged_verdicts(&all.cells, &all.subjects), all.gate.findings);
    Some(all)
}

/// A run whose cells carry its name.
fn named(name: &str, mut results: Results) -> Results {
    let rename = |id: &mut String| *id = format!("{name}:{id}");
    for cell in &mut results.cells {
        rename(&mut cell.id);
        cell.dims.insert(RUN.to_owned(), name.to_owned());
    }
    results.gate.findings.iter_mut().filter_map(|finding| finding.cell.as_mut()).for_each(rename);
    results.suspects.iter_mut().flat_map(|suspect| &mut suspect.cells).for_each(rename);
    results.predictions.iter_mut().flat_map(|prediction| &mut prediction.against).for_each(rename);
    for control in &mut results.controls {
        control.cells.iter_mut().chain(&mut control.caught).for_each(rename);
    }
    results
}

fn add(all: &mut Results, other: Results) {
    all.run.seconds += other.run.seconds;
    all.run.filter = all.run.filter.take().filter(|filter| Some(filter) == other.run.filter.as_ref());
    if all.plan.name != other.plan.name && !all.plan.name.split(" and ").any(|name| name == other.plan.name) {
        all.plan.name = format!("{} and {}", all.plan.name, other.plan.name);
    }
    all.plan.planned += other.plan.planned;
    all.plan.selected += other.plan.selected;
    all.plan.coverage.extend(other.plan.coverage);
    for axis in other.plan.axes {
        match all.plan.axes.iter_mut().find(|known| known.name == axis.name) {
            Some(known) => extend(&mut known.values, axis.values, Clone::clone),
            None => all.plan.axes.push(axis),
        }
    }
    extend(&mut all.subjects, other.subjects, |subject| subject.name.clone());
    extend(&mut all.releases, other.releases, |release| release.release.clone());
    extend(&mut all.models, other.models, |model| model.name.clone());
    for control in other.controls {
        match all.controls.iter_mut().find(|known| known.axis == control.axis) {
            Some(known) => add_control(known, control),
            None => all.controls.push(control),
        }
    }
    for prediction in other.predictions {
        match all.predictions.iter_mut().find(|known| known.name == prediction.name) {
            Some(known) => add_prediction(known, prediction),
            None => all.predictions.push(prediction),
        }
    }
    all.suspects.extend(other.suspects);
    all.gate.findings.extend(other.gate.findings);
    all.cells.extend::<Vec<Cell>>(other.cells);
}

/// Adds what is not there yet, told by its name.
fn extend<T>(all: &mut Vec<T>, others: Vec<T>, name: impl Fn(&T) -> String) {
    let known: BTreeSet<String> = all.iter().map(&name).collect();
    all.extend(others.into_iter().filter(|other| !known.contains(&name(other))));
}

fn add_control(known: &mut AxisControl, other: AxisControl) {
    known.cells.extend(other.cells);
    known.caught.extend(other.caught);
    for (verdict, count) in other.unprotected {
        *known.unprotected.entry(verdict).or_default() += count;
    }
    for (verdict, count) in other.judged {
        *known.judged.entry(verdict).or_default() += count;
    }
    known.note = if known.tested || !other.tested { known.note.take() } else { other.note };
    known.tested |= other.tested;
}

fn add_prediction(known: &mut PredictionResult, other: PredictionResult) {
    known.cells += other.cells;
    known.against.extend(other.against);
    known.outcome = match (known.outcome, other.outcome) {
        (PredictionOutcome::Refuted, _) | (_, PredictionOutcome::Refuted) => PredictionOutcome::Refuted,
        (PredictionOutcome::Held, _) | (_, PredictionOutcome::Held) => PredictionOutcome::Held,
        _ => PredictionOutcome::NotTested,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::report::tests::{base, cell};
    use crate::results::{Finding, FindingKind};
    use crate::verdict::Verdict;

    #[test]
    fn one_run_stays_as_it_is() {
        let run = base(vec![cell("engine", &[], Verdict::Exact)]);
        assert_eq!(combined(vec![("a".into(), run.clone())]), Some(run));
        assert_eq!(combined(Vec::new()), None);
    }

    #[test]
    fn the_cells_of_several_runs_are_told_apart_and_all_of_them_count() {
        let good = base(vec![cell("engine", &[], Verdict::Exact)]);
        let mut bad = base(vec![cell("engine", &[], Verdict::Corrupt)]);
        bad.cells[0].matched = false;
        let finding = Finding {
            kind: FindingKind::Worse,
            cell: Some(bad.cells[0].id.clone()),
            message: "worse".into(),
        };
        bad.gate.findings = vec![finding];
        let all = combined(vec![("linux".into(), good), ("macos".into(), bad)]).expect("two runs");
        let ids: Vec<&str> = all.cells.iter().map(|cell| cell.id.as_str()).collect();
        assert_eq!(ids, ["linux:engine/llama/base", "macos:engine/llama/base"]);
        assert_eq!(all.cells[1].dims["run"], "macos");
        assert_eq!(all.gate.exit, Exit::GateFailed);
        assert_eq!(all.gate.findings[0].cell.as_deref(), Some("macos:engine/llama/base"));
        assert_eq!(all.plan.planned, 2);
        assert_eq!(
            all.plan.axes.last().map(|axis| axis.values.clone()),
            Some(vec!["linux".into(), "macos".into()])
        );
        assert_eq!(all.subjects.len(), 2);
    }
}
