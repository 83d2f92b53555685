//! Cells being played, and what is known of them so far, in memory and on disk.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::budget::{self, Budget};
use super::conclusion::{Outcomes, is_expected, verdict};
use super::phase::{Executor, Prerequisites, Ready};
use super::reproduce::Reproduction;
use super::setup::Setup;
use super::{Progress, RunError, RunOptions};
use crate::environment;
use crate::folder::{Event, EventLog, FolderError, Judged, Outcome, RunFolder, outcomes};
use crate::interrupt;
use crate::plan::PlannedCell;
use crate::results::{LEFT_OUT, Part};
use crate::verdict::Verdict;

/// Cells being played.
pub(super) struct Session<'a> {
    setup: &'a Setup,
    folder: &'a RunFolder,
    record: Mutex<Record>,
    progress: &'a dyn Progress,
}

impl<'a> Session<'a> {
    /// Begins, or goes on after what happened earlier.
    pub(super) fn begin(
        setup: &'a Setup,
        folder: &'a RunFolder,
        mut log: EventLog,
        earlier: Vec<Event>,
        progress: &'a dyn Progress,
        options: &RunOptions,
    ) -> Result<Self, RunError> {
        log.append(&Event::Started {
            at: Timestamp::now().to_string(),
            command: options.command.clone(),
            environment: environment::here(),
            jobs: u32::try_from(setup.jobs).unwrap_or(u32::MAX),
        })?;
        let mut record = Record { log, outcomes: outcomes(earlier), broken: None };
        let cells = setup.cells(options.partition);
        for (id, reason) in again(&cells, &record.outcomes, setup, options) {
            record.discard(id, reason)?;
        }
        Ok(Self { setup, folder, record: Mutex::new(record), progress })
    }

    /// Ends, and gives what became of each cell.
    pub(super) fn end(self, seconds: f64) -> Result<Outcomes, RunError> {
        let mut record = self.record.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !interrupt::requested() {
            record.log.append(&Event::Finished { at: Timestamp::now().to_string(), seconds })?;
        }
        Ok(record.outcomes)
    }

    /// Plays every cell that has not been played yet, as far as they fit into a time if there is one.
    pub(super) fn play_within(&self, cells: &[PlannedCell], budget: Option<Budget>) -> Result<(), RunError> {
        let Some(budget) = budget else { return self.play(cells, 0, None) };
        let due: Vec<PlannedCell> = cells.iter().filter(|cell| self.is_due(cell, 0)).cloned().collect();
        let began = Instant::now();
        let scratch = self.folder.scratch()?;
        let (mut played, mut prerequisites) = (0, Prerequisites::default());
        for (batch, cells) in budget::batches(&due).iter().enumerate() {
            if interrupt::requested() {
                break;
            }
            if batch > 0 && budget.is_over() {
                cells.iter().for_each(|cell| self.played(cell, budget.left_out()));
                continue;
            }
            // The first ones say little: what they need besides is made then.
            if batch == 1 || batch == 2 {
                let rest = budget::estimate(due.len() - played, played, began.elapsed());
                self.progress.phase(&budget.forecast(rest), 0);
            }
            let folder = scratch.path().join(format!("batch-{batch}"));
            fs::create_dir(&folder)
                .map_err(|error| RunError::Folder { path: folder.clone(), reason: error.to_string() })?;
            prerequisites = self.play_batch(
                cells,
                (0, Some(budget).filter(|_| batch > 0)),
                (scratch.path(), &folder),
                prerequisites,
            )?;
            played += cells.len();
        }
        Ok(())
    }

    /// Plays every cell once more that has been played once and did not end as expected, while there is time.
    pub(super) fn retry(&self, cells: &[PlannedCell], budget: Option<Budget>) -> Result<(), RunError> {
        if budget.is_some_and(Budget::is_over) {
            return Ok(());
        }
        self.play(cells, 1, budget)
    }

    /// Plays every cell that has been played so often, and did not end as expected if at all.
    fn play(&self, cells: &[PlannedCell], pass: u32, budget: Option<Budget>) -> Result<(), RunError> {
        let due: Vec<PlannedCell> = cells.iter().filter(|cell| self.is_due(cell, pass)).cloned().collect();
        if due.is_empty() || interrupt::requested() {
            return Ok(());
        }
        if pass > 0 {
            self.progress.phase("retrying unexpected cells", due.len());
        }
        let scratch = self.folder.scratch()?;
        let folders = (scratch.path(), scratch.path());
        self.play_batch(&due, (pass, budget), folders, Prerequisites::default()).map(drop)
    }

    /// Plays cells with what there is already and what they need besides, in a folder of the scratch folder.
    fn play_batch(
        &self,
        due: &[PlannedCell],
        (pass, budget): (u32, Option<Budget>),
        (scratch, folder): (&Path, &Path),
        prerequisites: Prerequisites,
    ) -> Result<Prerequisites, RunError> {
        let executor = Executor { budget, ..self.setup.executor(scratch, folder, pass, self.progress) };
        let ready: Vec<Ready<'_>> = executor.prepare(due);
        let prerequisites = executor.prerequisites(&ready, prerequisites);
        executor.play(due, &ready, &prerequisites, &|cell, outcome| self.played(cell, outcome));
        executor.room.check()?;
        for (cell, ready) in due.iter().zip(&ready) {
            if self.is_unexpected(cell) {
                executor.keep(ready, &prerequisites, &self.folder.artifacts())?;
            }
        }
        self.lock().broken.take().map_or(Ok(prerequisites), |error| Err(error.into()))
    }

    fn is_due(&self, cell: &PlannedCell, pass: u32) -> bool {
        let record = self.lock();
        let attempts = record.outcomes.get(&cell.id).map_or(&[][..], Vec::as_slice);
        match (pass, attempts) {
            (0, attempts) => attempts.is_empty(),
            (_, [only]) => {
                let known =
                    ![Verdict::NotRun, Verdict::Filtered, Verdict::Unsupported].contains(&only.verdict);
                cell.part == Part::Judged && known && !is_expected(cell, only, &self.setup.inputs)
            }
            _ => false,
        }
    }

    fn is_unexpected(&self, cell: &PlannedCell) -> bool {
        let record = self.lock();
        let last = record.outcomes.get(&cell.id).and_then(|attempts| attempts.last());
        let known = |outcome: &&Outcome| outcome.verdict.is_verdict();
        last.filter(known).is_some_and(|outcome| !is_expected(cell, outcome, &self.setup.inputs))
    }

    fn played(&self, cell: &PlannedCell, mut outcome: Outcome) {
        outcome.dims.extend(self.setup.turned_out(cell));
        let mut record = self.lock();
        record.judged(&cell.id, outcome);
        let attempts = &record.outcomes[&cell.id];
        let reproduction = Reproduction::of(&self.setup.manifest);
        self.progress.cell(&verdict(cell, attempts, &self.setup.inputs, &reproduction).0);
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of cells, in memory and on disk.
struct Record {
    log: EventLog,
    outcomes: Outcomes,
    /// Why the log could not be written, if it could not.
    broken: Option<FolderError>,
}

impl Record {
    fn judged(&mut self, cell: &str, outcome: Outcome) {
        let judged = Judged { cell: cell.to_owned(), outcome: outcome.clone() };
        let appended = self.log.append(&Event::Judged(Box::new(judged)));
        self.broken = self.broken.take().or(appended.err().map(FolderError::from));
        self.outcomes.entry(cell.to_owned()).or_default().push(outcome);
    }

    fn discard(&mut self, cell: String, reason: &str) -> Result<(), FolderError> {
        self.outcomes.remove(&cell);
        Ok(self.log.append(&Event::Discarded { cell, reason: reason.to_owned() })?)
    }
}

/// Whether there was no time for a cell.
pub(super) fn is_left_out(outcomes: &Outcomes, cell: &str) -> bool {
    let attempts = outcomes.get(cell).map_or(&[][..], Vec::as_slice);
    attempts.iter().any(|outcome| outcome.code.as_deref() == Some(LEFT_OUT))
}

/// Cells of an earlier attempt at the run that are to be played again, and why.
fn again(
    cells: &[PlannedCell],
    outcomes: &Outcomes,
    setup: &Setup,
    options: &RunOptions,
) -> Vec<(String, &'static str)> {
    let reproduction = Reproduction::of(&setup.manifest);
    let reason = |cell: &PlannedCell| {
        let attempts = outcomes.get(&cell.id)?;
        let unknown = [Verdict::NotRun, Verdict::HarnessError];
        if is_left_out(outcomes, &cell.id) {
            return Some("there was no time for it");
        }
        if attempts.iter().all(|outcome| unknown.contains(&outcome.verdict)) {
            return Some("it has no verdict");
        }
        let failed = || verdict(cell, attempts, &setup.inputs, &reproduction).1.is_some();
        (options.rerun_failed && failed()).then_some("it did not end as expected")
    };
    cells.iter().filter_map(|cell| Some((cell.id.clone(), reason(cell)?))).collect()
}
