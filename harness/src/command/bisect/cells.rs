//! Cells of a plan: what the release that works saved, each release loads.

use std::path::{Path, PathBuf};

use super::{Answer, Candidate};
use crate::bisect::Tried;
use crate::command::Failure;
use crate::command::models::model_file;
use crate::command::progress::Shown;
use crate::command::run::failed;
use crate::exit::Exit;
use crate::filter::Filter;
use crate::fleeting::FleetingFolder;
use crate::results::Cell;
use crate::run::{RunError, RunOptions, run};
use crate::style::{Style, Tone};

/// Which cells are asked.
pub(super) struct Cells {
    filter: String,
    plan: String,
    /// The release that saves.
    writer: String,
    model: Option<PathBuf>,
    folder: FleetingFolder,
}

impl Cells {
    pub(super) fn new(filter: &str, plan: &str, writer: &str, model: Option<&Path>) -> Result<Self, Failure> {
        let _sound: Filter = filter.parse().map_err(|error| Failure::setup(error).exit(Exit::BadFilter))?;
        let folder = FleetingFolder::make(&std::env::temp_dir()).map_err(Failure::setup)?;
        let model = model.map(model_file).transpose()?;
        Ok(Self {
            filter: filter.to_owned(),
            plan: plan.to_owned(),
            writer: writer.to_owned(),
            model,
            folder,
        })
    }

    /// Runs them with this release as the reader.
    pub(super) fn ask(&self, candidate: &Candidate<'_>) -> Result<Answer, Failure> {
        let reader = &candidate.release.tag;
        let options = RunOptions {
            out: self.folder.path().join(reader),
            models: self.model.clone().into_iter().collect(),
            filter: Some(format!("({}) & reader(={reader}) & writer(={})", self.filter, self.writer)),
            plan: Some(self.plan.clone()),
            no_retry: true,
            command: crate::command::selection::command_line(),
            ..RunOptions::default()
        };
        let progress = Shown::quiet();
        let results = run(&options, &progress);
        progress.finish();
        let results = match results {
            // Where nothing is asked of the one that saves, nothing is asked of any.
            Err(RunError::NothingSelected { .. }) if *reader == self.writer => {
                let (filter, plan) = (self.filter.clone(), self.plan.clone());
                return Err(failed(RunError::NothingSelected { filter, plan }));
            }
            Err(RunError::NothingSelected { .. }) => {
                let evidence = "the filter selects no cell of this release".to_owned();
                return Ok(Answer { tried: Tried::Skipped, evidence });
            }
            results => results.map_err(failed)?,
        };
        Ok(told(&results.cells))
    }
}

/// Any cell that fails makes a release a bad one; a release without a verdict cannot be tried.
fn told(cells: &[Cell]) -> Answer {
    let fails = |cell: &&Cell| matches!(Style::of(cell.verdict).tone, Tone::Safe | Tone::Weak | Tone::Bad);
    let judged: Vec<&Cell> = cells.iter().filter(|cell| cell.verdict.is_verdict()).collect();
    let failing: Vec<&Cell> = judged.iter().copied().filter(|cell| fails(cell)).collect();
    match (failing.iter().max_by_key(|cell| cell.verdict), judged.first()) {
        (Some(worst), _) => Answer {
            tried: Tried::Bad,
            evidence: format!(
                "{} of {} cells fail; {}: {} ({})",
                failing.len(),
                judged.len(),
                worst.id,
                worst.verdict,
                worst.message
            ),
        },
        (None, Some(_)) => {
            Answer { tried: Tried::Good, evidence: format!("all of {} cells come back", judged.len()) }
        }
        (None, None) => {
            let why = cells.first().map_or("there is none", |cell| cell.message.as_str());
            Answer { tried: Tried::Skipped, evidence: format!("no cell has a verdict: {why}") }
        }
    }
}
