//! Putting runs together that are parts of one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use intact_format::regular;

use super::conclusion::{Conclusion, Outcomes};
use super::inputs::Inputs;
use super::{RunError, RunOptions, is_same};
use crate::environment;
use crate::files::write_whole;
use crate::folder::{
    CONFIG, EXPECTATIONS, Event, Judged, Kind, Manifest, Outcome, Planned, RESULTS, RunFolder, outcomes,
};
use crate::results::{ReleaseInfo, Results};

/// What is to be put together.
#[derive(Debug, Clone, Default)]
pub struct MergeOptions {
    /// The folders of the runs.
    pub runs: Vec<PathBuf>,
    /// The folder that the whole run goes to.
    pub out: PathBuf,
    /// The expectations; those that the first run was made with if not given.
    pub expectations: Option<PathBuf>,
    /// The command line, for the record.
    pub command: Vec<String>,
}

/// Puts runs together that are parts of one, and writes `results.json`. Cells of the plan that none of them has are in
/// the results as not run.
///
/// # Errors
/// [`RunError`]: the runs are of different plans, or disagree on a cell.
pub fn merge(options: &MergeOptions) -> Result<Results, RunError> {
    let Some(first) = options.runs.first() else {
        return Err(RunError::Merge("there is nothing to merge".into()));
    };
    RunFolder::check_free(&options.out)?;
    let first = RunFolder::open(first)?;
    let planned = first.plan()?;
    let mut parts = Vec::new();
    for run in &options.runs {
        if is_same(run, &options.out) {
            let message = format!("{} is one of the runs: choose another folder with --out", run.display());
            return Err(RunError::Merge(message));
        }
        let folder = RunFolder::open(run)?;
        let manifest = folder.manifest()?;
        folder.check_plan(&manifest.digest, &planned.digest)?;
        if manifest.kind != Kind::Produce {
            parts.push((run.clone(), manifest, folder.events()?));
        }
    }
    if parts.is_empty() {
        let message = "no cell was run in any of them: `intact consume` runs the cells whose sessions `intact produce` saved";
        return Err(RunError::Merge(message.into()));
    }
    let manifest = whole(&parts, options);
    let seconds = parts.iter().flat_map(|(_, _, events)| events).map(Event::seconds).sum();
    let jobs = parts.len();
    let (outcomes, notes) = united(parts)?;
    let inputs = Inputs::read(&RunOptions {
        config: Some(first.file(CONFIG)),
        expectations: Some(options.expectations.clone().unwrap_or_else(|| first.file(EXPECTATIONS))),
        plan: Some(manifest.plan.clone()),
        ..RunOptions::default()
    })?;
    write(&manifest, &planned, &outcomes, &inputs, &first, options)?;
    let conclusion = Conclusion {
        inputs: &inputs,
        manifest: &manifest,
        plan: planned.info.clone(),
        whole_plan: manifest.filter.is_none().then_some(&planned.cells[..]),
        cells: &planned.cells,
        outcomes: &outcomes,
        missing: Outcome::not_run("missing", "None of the merged runs has run this cell."),
        environment: manifest.environment.clone(),
        seconds,
        jobs,
        notes,
    };
    let results = conclusion.results();
    results.write(&options.out.join(RESULTS))?;
    Ok(results)
}

/// A part: where it lies, what it is, and what happened in it.
type PartOfRun = (PathBuf, Manifest, Vec<Event>);

/// The manifest of the whole: that of the first part, with everything that any of them reached.
fn whole(parts: &[PartOfRun], options: &MergeOptions) -> Manifest {
    let mut whole = parts[0].1.clone();
    let mut releases: Vec<ReleaseInfo> = Vec::new();
    for release in parts.iter().flat_map(|(_, manifest, _)| &manifest.releases) {
        match releases.iter_mut().find(|known| known.release == release.release) {
            None => releases.push(release.clone()),
            Some(known) if known.problem.is_some() && release.problem.is_none() => *known = release.clone(),
            Some(_) => {}
        }
    }
    whole.kind = Kind::Merge;
    whole.started =
        parts.iter().map(|(_, manifest, _)| manifest.started.clone()).min().unwrap_or(whole.started);
    whole.command.clone_from(&options.command);
    whole.partition = None;
    whole.releases = releases;
    whole.from = options.runs.clone();
    whole
}

/// What became of each cell in any of the parts, and which of them overlap.
fn united(parts: Vec<PartOfRun>) -> Result<(Outcomes, Vec<String>), RunError> {
    let mut united: Outcomes = Outcomes::new();
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut twice: BTreeMap<(PathBuf, PathBuf), usize> = BTreeMap::new();
    for (path, _, events) in parts {
        for (cell, attempts) in outcomes(events) {
            if let Some(others) = united.get(&cell) {
                let said = |attempts: &[Outcome]| {
                    let said = attempts.iter().map(|outcome| (outcome.verdict, outcome.code.clone()));
                    said.collect::<Vec<_>>()
                };
                if said(others) != said(&attempts) {
                    let names = |attempts: &[Outcome]| {
                        let names: Vec<&str> =
                            attempts.iter().map(|outcome| outcome.verdict.name()).collect();
                        names.join(", then ")
                    };
                    let message = format!(
                        "{cell} is {} in {} and {} in {}: they are different runs, not parts of one. Give one of \
                         them, or run the cell again in one of them with `intact run --resume DIR --rerun failed`",
                        names(others),
                        seen[&cell].display(),
                        names(&attempts),
                        path.display(),
                    );
                    return Err(RunError::Merge(message));
                }
                *twice.entry((seen[&cell].clone(), path.clone())).or_default() += 1;
                continue;
            }
            seen.insert(cell.clone(), path.clone());
            united.insert(cell, attempts);
        }
    }
    let notes = twice.into_iter().map(|((one, other), cells)| {
        format!(
            "{} and {} have both run {cells} of the cells, with the same verdicts. If they are jobs of one matrix, both were given the same \
             --partition, and their parts count once",
            one.display(),
            other.display()
        )
    });
    Ok((united, notes.collect()))
}

/// Writes the whole as a run's folder, from which it can be reported and merged again.
fn write(
    manifest: &Manifest,
    planned: &Planned,
    outcomes: &Outcomes,
    inputs: &Inputs,
    first: &RunFolder,
    options: &MergeOptions,
) -> Result<(), RunError> {
    let (folder, mut log) = RunFolder::begin(&options.out)?;
    folder.write_plan(planned)?;
    let copied = regular::read(first.file(CONFIG))
        .and_then(|config| write_whole(&folder.file(CONFIG), config))
        .and_then(|()| write_whole(&folder.file(EXPECTATIONS), &inputs.expectations_text));
    copied.map_err(|error| RunError::Folder { path: options.out.clone(), reason: error.to_string() })?;
    folder.write_manifest(manifest)?;
    log.append(&Event::Started {
        at: jiff::Timestamp::now().to_string(),
        command: options.command.clone(),
        environment: environment::here(),
        jobs: 1,
    })?;
    for (cell, attempts) in outcomes {
        for outcome in attempts {
            let judged = Judged { cell: cell.clone(), outcome: outcome.clone() };
            log.append(&Event::Judged(Box::new(judged)))?;
        }
    }
    Ok(())
}
