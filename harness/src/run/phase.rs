//! The phases of a run: artifacts are written once, controls are made once, then every cell is read and judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use intact_protocol::Logits;

use super::models::Models;
use super::subjects::Subjects;
use super::{Progress, parallel};
use crate::config::Config;
use crate::judge::{Judgement, judge};
use crate::plan::PlannedCell;
use crate::recipe::{Place, Recipe, SessionForm};
use crate::run::cell::CellOutcome;
use crate::run::seat::{Seats, Sitting};
use crate::scenario::{Adapter, Artifact, BYSTANDER, SESSION, Script, StepError};
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
    place: String,
    format: Option<String>,
    script: Script,
    form: SessionForm,
}

/// What identifies an uninterrupted session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ControlKey {
    subject: String,
    model: PathBuf,
    place: String,
    form: SessionForm,
}

/// Logits of the sessions that nothing happened to.
#[derive(Debug, Clone)]
pub(super) struct Control {
    /// Of the session that is saved and loaded in cells.
    pub session: Result<Logits, StepError>,
    /// Of the session that is live while another is loaded.
    pub bystander: Result<Logits, StepError>,
    /// What is sampled from the first one, where it is.
    pub sampled: Option<Result<String, StepError>>,
}

/// A cell with everything that it needs worked out.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub planned: &'a PlannedCell,
    pub subject: String,
    pub recipe: Recipe,
    pub writer: Seating,
    pub reader: Seating,
}

/// What a worker opens for one side of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seating {
    pub model: PathBuf,
    pub place: Place,
    pub adapter: Option<Adapter>,
}

impl Seating {
    /// The same as text: equal text means an equal place.
    fn key(&self) -> String {
        format!("{:?} {:?}", self.place, self.adapter)
    }
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
        for host in ["writer", "reader"].map(|side| planned.dims.get(side)) {
            let subject = planned.dims.get("subject").map_or("", String::as_str);
            if let Some(reason) = host.and_then(|release| self.subjects.missing(subject, release)) {
                return Err(stop(Verdict::NotRun, Some("not-built"), &reason));
            }
        }
        let broken = |message: &str| stop(Verdict::HarnessError, Some("recipe"), message);
        let mut recipe = Recipe::of(&planned.dims, self.config).map_err(|message| broken(&message))?;
        for place in [&mut recipe.writer, &mut recipe.reader] {
            place.settings.threads = place.settings.threads.or(Some(self.threads));
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
        let seating = |model: PathBuf, place: &Place| {
            let adapter = place.adapter.as_deref().map(|name| {
                let adapter = self.models.adapter(&recipe.model, name).cloned();
                adapter.ok_or_else(|| stop(Verdict::Filtered, None, "the model has no such adapter"))
            });
            Ok::<_, Box<CellOutcome>>(Seating { model, place: place.clone(), adapter: adapter.transpose()? })
        };
        let (writer, reader) =
            (seating(writer_model, &recipe.writer)?, seating(reader_model, &recipe.reader)?);
        Ok(Prepared { planned, subject, recipe, writer, reader })
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
                let artifact = seats.sit(&key.subject, &cell.writer).and_then(|mut sitting| {
                    let conversation = &self.config.conversation;
                    let history = sitting.stage.hold(SESSION, key.script, key.form, conversation)?;
                    let artifact = sitting.stage.save(SESSION, &dir, key.format.as_deref())?;
                    sitting.stage.forget(SESSION)?;
                    Ok(Artifact { history, ..artifact })
                });
                seats.settle(&key.subject, &cell.writer, artifact.is_ok());
                self.progress.step();
                artifact
            },
        );
        wanted.into_iter().map(|(key, _)| key).zip(written).collect()
    }

    /// Every uninterrupted session that a cell is compared with, held once.
    fn hold_controls(&self, cells: &[&Prepared<'_>]) -> Controls {
        let readers = cells.iter().map(|cell| (cell.control(), cell.controls_seating()));
        let writers = cells.iter().map(|cell| (cell.writers_control(), cell.writer.clone()));
        let wanted: BTreeMap<ControlKey, Seating> = readers.chain(writers).collect();
        let wanted: Vec<(ControlKey, Seating)> = wanted.into_iter().collect();
        self.progress.phase("holding uninterrupted sessions", wanted.len());
        let held = parallel::map(
            self.jobs,
            &numbered(&wanted),
            || Seats::new(self),
            |seats, (index, (key, seating))| {
                let dir = self.dir.join("controls").join(index.to_string());
                let control = seats.sit(&key.subject, seating).and_then(|mut sitting| {
                    let bystander = (BYSTANDER, Script::Bystander, SessionForm::Turns);
                    let bystander = self.uninterrupted(&mut sitting, bystander, &dir)?;
                    let held = (SESSION, Script::Session, key.form);
                    let session = self.uninterrupted(&mut sitting, held, &dir)?;
                    let samples = seating.place.settings.sampling.is_some();
                    let sampled = samples.then(|| self.sampled(&mut sitting, key.form)).transpose()?;
                    Ok(Control { session, bystander, sampled })
                });
                let sound = control
                    .as_ref()
                    .is_ok_and(|control| control.session.is_ok() && control.bystander.is_ok());
                seats.settle(&key.subject, seating, sound);
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
        (session, script, form): (&str, Script, SessionForm),
        dir: &Path,
    ) -> Result<Result<Logits, StepError>, StepError> {
        let file = dir.join(format!("{}.logits", script.name()));
        let made = fs::create_dir_all(dir).map_err(|error| StepError::Failed {
            op: "score",
            message: format!("{}: {error}", dir.display()),
        });
        let logits = made
            .and_then(|()| sitting.stage.hold(session, script, form, &self.config.conversation))
            .and_then(|_| self.score(sitting, session, form, &file));
        match logits {
            Err(error @ StepError::Worker(_)) => Err(error),
            logits => {
                sitting.stage.forget(session)?;
                Ok(logits)
            }
        }
    }

    /// What a session that nothing happened to is made to say by sampling.
    fn sampled(
        &self,
        sitting: &mut Sitting<'_>,
        form: SessionForm,
    ) -> Result<Result<String, StepError>, StepError> {
        let conversation = &self.config.conversation;
        let held = sitting.stage.hold(SESSION, Script::Session, form, conversation);
        let text = held.and_then(|_| self.sample(sitting, SESSION));
        match text {
            Err(error @ StepError::Worker(_)) => Err(error),
            text => {
                sitting.stage.forget(SESSION)?;
                Ok(text)
            }
        }
    }

    /// Samples a reply to the question.
    pub(super) fn sample(&self, sitting: &mut Sitting<'_>, session: &str) -> Result<String, StepError> {
        sitting.stage.sample(session, &self.config.conversation.question, self.config.run.sampled_tokens)
    }

    /// Scores the continuation. In a session that says nothing, something is said first.
    pub(super) fn score(
        &self,
        sitting: &mut Sitting<'_>,
        session: &str,
        form: SessionForm,
        file: &Path,
    ) -> Result<Logits, StepError> {
        if form == SessionForm::Empty {
            let turns = SessionForm::Turns;
            sitting.stage.hold(session, Script::Bystander, turns, &self.config.conversation)?;
        }
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
            model: self.writer.model.clone(),
            place: self.writer.key(),
            format: self.recipe.format.clone(),
            script,
            form: self.recipe.session,
        }
    }

    /// The session that the cell is compared with.
    pub(super) fn control(&self) -> ControlKey {
        self.control_of(&self.controls_seating())
    }

    /// Where it is held: as the reader, but sampling as the writer does, which is what a load must bring back.
    pub(super) fn controls_seating(&self) -> Seating {
        Seating { place: self.reader.place.sampling_as(&self.writer.place), ..self.reader.clone() }
    }

    /// The same session, uninterrupted, where it was saved.
    pub(super) fn writers_control(&self) -> ControlKey {
        self.control_of(&self.writer)
    }

    fn control_of(&self, seating: &Seating) -> ControlKey {
        ControlKey {
            subject: self.subject.clone(),
            model: seating.model.clone(),
            place: uncontained(seating).key(),
            form: self.recipe.session,
        }
    }

    fn scripts(&self) -> impl Iterator<Item = Script> {
        let other = self.recipe.fault.is_some_and(crate::fault::Fault::needs_other).then_some(Script::Other);
        std::iter::once(Script::Session).chain(other)
    }
}

/// An uninterrupted session is kept in no container.
fn uncontained(seating: &Seating) -> Seating {
    Seating { place: Place { container: None, ..seating.place.clone() }, ..seating.clone() }
}

fn numbered<T>(items: &[T]) -> Vec<(usize, &T)> {
    items.iter().enumerate().collect()
}

/// Time that a cell took.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let clock = Instant::now();
    let done = work();
    (done, clock.elapsed().as_secs_f64())
}
