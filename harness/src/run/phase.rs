//! The phases of a run: artifacts are written once, controls are made once, then every cell is read and judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use intact_protocol::{Logits, Settings};

use super::models::Models;
use super::subjects::Subjects;
use super::{Progress, parallel};
use crate::config::Config;
use crate::judge::{Judgement, judge};
use crate::plan::PlannedCell;
use crate::recipe::Recipe;
use crate::run::cell::{CellOutcome, Seats, Sitting};
use crate::scenario::{Artifact, BYSTANDER, SESSION, Script, StepError};
use crate::verdict::Verdict;

/// Everything that the phases share.
pub(super) struct Scene<'a> {
    pub config: &'a Config,
    pub subjects: &'a Subjects,
    pub models: &'a Models,
    pub dir: &'a Path,
    pub jobs: usize,
    pub threads: u32,
    pub timeout: Duration,
    pub seed: u64,
    pub progress: &'a dyn Progress,
}

/// What identifies a saved session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ArtifactKey {
    subject: String,
    model: PathBuf,
    settings: String,
    format: Option<String>,
    script: Script,
}

/// What identifies an uninterrupted session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ControlKey {
    subject: String,
    model: PathBuf,
    settings: String,
}

/// Logits of the sessions that nothing happened to.
#[derive(Debug, Clone)]
pub(super) struct Control {
    /// Of the session that is saved and loaded in cells.
    pub session: Result<Logits, StepError>,
    /// Of the session that is live while another is loaded.
    pub bystander: Result<Logits, StepError>,
}

/// A cell with everything that it needs worked out.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub planned: &'a PlannedCell,
    pub subject: String,
    pub recipe: Recipe,
    pub writer_model: PathBuf,
    pub reader_model: PathBuf,
}

/// What the write phase gave.
pub(super) type Artifacts = BTreeMap<ArtifactKey, Result<Artifact, StepError>>;
/// What the control phase gave.
pub(super) type Controls = BTreeMap<ControlKey, Result<Control, StepError>>;

impl Scene<'_> {
    /// Plays every cell and gives what `finish` makes of each, in the cells' order.
    pub(super) fn play<R: Send>(
        &self,
        cells: &[PlannedCell],
        finish: &(dyn Fn(&PlannedCell, CellOutcome) -> R + Sync),
    ) -> Vec<R> {
        let prepared: Vec<Result<Prepared<'_>, Box<CellOutcome>>> =
            cells.iter().map(|cell| self.prepare(cell)).collect();
        let ready: Vec<&Prepared<'_>> = prepared.iter().filter_map(|cell| cell.as_ref().ok()).collect();
        let artifacts = self.write(&ready);
        let controls = self.hold_controls(&ready);
        self.progress.phase("loading and judging", cells.len());
        let work: Vec<_> = cells.iter().zip(&prepared).collect();
        parallel::map(
            self.jobs,
            &work,
            || Seats::new(self),
            |seats, (planned, prepared)| {
                let outcome = match prepared {
                    Ok(prepared) => seats.play(prepared, &artifacts, &controls),
                    Err(outcome) => (**outcome).clone(),
                };
                self.progress.step();
                finish(planned, outcome)
            },
        )
    }

    fn prepare<'c>(&self, planned: &'c PlannedCell) -> Result<Prepared<'c>, Box<CellOutcome>> {
        let stop = |verdict, code, message: &str| {
            Box::new(CellOutcome::plain(Judgement::plain(verdict, code, message)))
        };
        if let Some(reason) = &planned.filtered {
            return Err(stop(Verdict::Filtered, None, reason));
        }
        let broken = |message: &str| stop(Verdict::HarnessError, Some("recipe"), message);
        let mut recipe = Recipe::of(&planned.dims, self.config).map_err(|message| broken(&message))?;
        for settings in [&mut recipe.writer, &mut recipe.reader] {
            settings.threads = settings.threads.or(Some(self.threads));
        }
        let missing = || stop(Verdict::Filtered, None, "there is no other model to open");
        let writer_model = self.models.path(&recipe.model, None).ok_or_else(missing)?.to_owned();
        let reader_model = if recipe.fault.is_some_and(crate::fault::Fault::is_stranger) {
            self.models.stranger(&recipe.model)
        } else {
            self.models.path(&recipe.model, recipe.reader_model.as_deref())
        };
        let reader_model = reader_model.ok_or_else(missing)?.to_owned();
        let subject = planned.dims.get("subject").cloned().unwrap_or_default();
        Ok(Prepared { planned, subject, recipe, writer_model, reader_model })
    }

    /// Every session that a cell reads, saved once.
    fn write(&self, cells: &[&Prepared<'_>]) -> Artifacts {
        let mut wanted: BTreeMap<ArtifactKey, &Prepared<'_>> = BTreeMap::new();
        for cell in cells {
            for script in cell.scripts() {
                wanted.entry(cell.artifact(script)).or_insert(cell);
            }
        }
        let wanted: Vec<(ArtifactKey, &Prepared<'_>)> = wanted.into_iter().collect();
        self.progress.phase("saving sessions", wanted.len());
        let written = parallel::map(
            self.jobs,
            &numbered(&wanted),
            || Seats::new(self),
            |seats, (index, (key, cell))| {
                let dir = self.dir.join("saved").join(index.to_string());
                let artifact =
                    seats.sit(&key.subject, &key.model, &cell.recipe.writer).and_then(|mut sitting| {
                        sitting.stage.hold(SESSION, key.script, &self.config.conversation)?;
                        let artifact = sitting.stage.save(SESSION, &dir, key.format.as_deref())?;
                        sitting.stage.forget(SESSION)?;
                        Ok(artifact)
                    });
                seats.settle(&key.subject, artifact.is_ok());
                self.progress.step();
                artifact
            },
        );
        wanted.into_iter().map(|(key, _)| key).zip(written).collect()
    }

    /// Every uninterrupted session that a cell is compared with, held once.
    fn hold_controls(&self, cells: &[&Prepared<'_>]) -> Controls {
        let readers = cells.iter().map(|cell| (cell.control(), &cell.recipe.reader));
        let writers = cells.iter().map(|cell| (cell.writers_control(), &cell.recipe.writer));
        let wanted: BTreeMap<ControlKey, &Settings> = readers.chain(writers).collect();
        let wanted: Vec<(ControlKey, &Settings)> = wanted.into_iter().collect();
        self.progress.phase("holding uninterrupted sessions", wanted.len());
        let held = parallel::map(
            self.jobs,
            &numbered(&wanted),
            || Seats::new(self),
            |seats, (index, (key, settings))| {
                let dir = self.dir.join("controls").join(index.to_string());
                let control = seats.sit(&key.subject, &key.model, settings).and_then(|mut sitting| {
                    let bystander = self.uninterrupted(&mut sitting, BYSTANDER, Script::Bystander, &dir)?;
                    let session = self.uninterrupted(&mut sitting, SESSION, Script::Session, &dir)?;
                    Ok(Control { session, bystander })
                });
                let sound = control
                    .as_ref()
                    .is_ok_and(|control| control.session.is_ok() && control.bystander.is_ok());
                seats.settle(&key.subject, sound);
                self.progress.step();
                control
            },
        );
        wanted.into_iter().map(|(key, _)| key).zip(held).collect()
    }

    /// The outer error is the worker's death, the inner one what the subject said.
    fn uninterrupted(
        &self,
        sitting: &mut Sitting<'_>,
        session: &str,
        script: Script,
        dir: &Path,
    ) -> Result<Result<Logits, StepError>, StepError> {
        let file = dir.join(format!("{}.logits", script.name()));
        let made = fs::create_dir_all(dir).map_err(|error| StepError::Failed {
            op: "score",
            message: format!("{}: {error}", dir.display()),
        });
        let logits = made
            .and_then(|()| sitting.stage.hold(session, script, &self.config.conversation))
            .and_then(|()| self.score(sitting, session, &file));
        match logits {
            Err(error @ StepError::Worker(_)) => Err(error),
            logits => {
                sitting.stage.forget(session)?;
                Ok(logits)
            }
        }
    }

    /// Scores the continuation.
    pub(super) fn score(
        &self,
        sitting: &mut Sitting<'_>,
        session: &str,
        file: &Path,
    ) -> Result<Logits, StepError> {
        sitting.stage.score(
            session,
            &self.config.conversation.continuation,
            self.config.run.scored_tokens,
            file,
        )
    }

    /// Judges.
    pub(super) fn judge(&self, evidence: &crate::judge::Evidence) -> Judgement {
        judge(evidence, &self.config.thresholds)
    }
}

impl Prepared<'_> {
    /// The session that the cell loads, saved with this conversation.
    pub(super) fn artifact(&self, script: Script) -> ArtifactKey {
        ArtifactKey {
            subject: self.subject.clone(),
            model: self.writer_model.clone(),
            settings: text(&self.recipe.writer),
            format: self.recipe.format.clone(),
            script,
        }
    }

    /// The session that the cell is compared with.
    pub(super) fn control(&self) -> ControlKey {
        ControlKey {
            subject: self.subject.clone(),
            model: self.reader_model.clone(),
            settings: text(&self.recipe.reader),
        }
    }

    /// The same session, uninterrupted, where it was saved.
    pub(super) fn writers_control(&self) -> ControlKey {
        ControlKey {
            subject: self.subject.clone(),
            model: self.writer_model.clone(),
            settings: text(&self.recipe.writer),
        }
    }

    fn scripts(&self) -> impl Iterator<Item = Script> {
        let other = self.recipe.fault.is_some_and(crate::fault::Fault::needs_other).then_some(Script::Other);
        std::iter::once(Script::Session).chain(other)
    }
}

fn numbered<T>(items: &[T]) -> Vec<(usize, &T)> {
    items.iter().enumerate().collect()
}

fn text(settings: &Settings) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}

/// Time that a cell took.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let clock = Instant::now();
    let done = work();
    (done, clock.elapsed().as_secs_f64())
}
