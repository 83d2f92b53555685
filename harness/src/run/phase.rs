//! The phases of a run: sessions are saved once, references are held once, then every cell is played and judged.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use intact_protocol::{Cage, Logits, TINY_MODEL};
use serde_json::json;

use super::budget::Budget;
use super::cell::is_sound;
use super::elsewhere::{Elsewhere, KEY_VERSION};
use super::models::Models;
use super::pool::{Lease, WorkerPool};
use super::references::References;
use super::room::Room;
use super::saved::{self, Artifacts};
use super::subjects::{ABSENT, Lacks, Subjects};
use super::{Progress, parallel};
use crate::config::{Config, Conversation};
use crate::fault::Fault;
use crate::folder::{ArtifactStore, FolderError, Outcome};
use crate::interrupt;
use crate::judge::{Evidence, Judgement, judge};
use crate::plan::PlannedCell;
use crate::recipe::{Place, Recipe, Scenario, SessionForm};
use crate::scenario::{Adapter, Dialogue, StepError};
use crate::verdict::Verdict;

/// Everything that the phases share.
pub(super) struct Executor<'a> {
    pub config: &'a Config,
    pub subjects: &'a Subjects,
    pub models: &'a Models,
    pub dir: &'a Path,
    /// What workers may touch: the models, and the folder that all such folders of a pass are in.
    pub cage: Cage,
    pub jobs: usize,
    pub threads: u32,
    pub timeout: Duration,
    pub cell_timeout: Duration,
    pub seed: u64,
    pub progress: &'a dyn Progress,
    /// What was made elsewhere. If there is such a place, nothing is saved here.
    pub elsewhere: Option<&'a Elsewhere>,
    /// Everything that is judged is noted here too.
    pub witness: Option<&'a Mutex<Vec<Evidence>>>,
    /// How often cells were played before: sets the files of this time apart.
    pub pass: u32,
    /// Every cell is played by processes of its own.
    pub fresh: bool,
    /// When nothing more is begun, if ever.
    pub budget: Option<Budget>,
    /// Nothing more is begun without it either.
    pub room: &'a Room,
}

/// A cell with everything that it needs worked out.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub planned: &'a PlannedCell,
    pub subject: String,
    /// The subject that holds the uninterrupted sessions.
    pub holder: String,
    pub recipe: Recipe,
    pub writer: SideSetup,
    pub reader: SideSetup,
}

/// A cell that can be played, or what becomes of one that cannot.
pub(super) type Ready<'a> = Result<Prepared<'a>, Box<Outcome>>;

/// What a worker opens for one side of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SideSetup {
    /// What the model is called, wherever its file lies.
    pub name: String,
    pub model: PathBuf,
    pub place: Place,
    pub adapters: Vec<Adapter>,
    /// What is said to it.
    pub conversation: Arc<Conversation>,
}

impl SideSetup {
    /// The same as text, without what is a matter of the machine: equal text means an equal place.
    pub(super) fn key(&self) -> String {
        // Every field is named: whoever adds one decides whether it makes another session.
        let Place {
            settings,
            preset,
            adapter,
            control_vector,
            unrotated,
            subject,
            release,
            backend,
            container,
            forgets_layouts,
        } = &self.place;
        let mut key = json!({
            "version": KEY_VERSION,
            "model": self.name,
            "settings": settings,
            "preset": preset,
            "adapter": adapter,
            "control_vector": control_vector,
            "unrotated": unrotated,
            "subject": subject,
            "release": release,
            "container": container,
            "forgets_layouts": forgets_layouts,
        });
        // What no earlier session had is no part of its key.
        if let Some(backend) = backend {
            key["backend"] = json!(backend);
        }
        key.to_string()
    }
}

/// What cells are played with.
#[derive(Default)]
pub(super) struct Prerequisites {
    pub artifacts: Artifacts,
    pub references: References,
}

impl Executor<'_> {
    /// Works out what each cell needs.
    pub(super) fn prepare<'c>(&self, cells: &'c [PlannedCell]) -> Vec<Ready<'c>> {
        cells.iter().map(|cell| self.prepare_one(cell)).collect()
    }

    /// Makes what the cells are played with beside what there is, or fetches what was made elsewhere.
    pub(super) fn prerequisites(&self, cells: &[Ready<'_>], mut there: Prerequisites) -> Prerequisites {
        let ready: Vec<&Prepared<'_>> = cells.iter().filter_map(|cell| cell.as_ref().ok()).collect();
        let mut wanted = self.sessions(&ready);
        wanted.retain(|key, _| !there.artifacts.contains_key(key));
        there.artifacts.extend(match self.elsewhere {
            Some(_) => self.fetch(&wanted),
            None => self.save(wanted, &|_, _| ()),
        });
        let references = self.references(&ready, &there.references);
        there.references.extend(references);
        there
    }

    /// Why nothing more is to be begun, if it is not.
    pub(super) fn halted(&self) -> Option<&'static str> {
        if interrupt::requested() {
            Some("the run was interrupted")
        } else if self.room.lacking().is_some() {
            Some("the disk is full")
        } else {
            self.budget.filter(|budget| budget.is_over()).map(|_| "there was no time left")
        }
    }

    /// Plays every cell, and tells `played` what became of it. Cells that an interruption or a full disk reaches are left
    /// out; of those that there is no time for, it is told that there was none.
    pub(super) fn play(
        &self,
        planned: &[PlannedCell],
        cells: &[Ready<'_>],
        prerequisites: &Prerequisites,
        played: &(dyn Fn(&PlannedCell, Outcome) + Sync),
    ) {
        self.progress.phase("loading and judging", cells.len());
        let work: Vec<_> = planned.iter().zip(cells).collect();
        parallel::map(
            self.jobs,
            &work,
            || WorkerPool::new(self),
            |pool, (planned, cell)| {
                if interrupt::requested() || self.room.lacking().is_some() {
                    return;
                }
                let outcome = match (cell, self.budget.filter(|budget| budget.is_over())) {
                    (Err(outcome), _) => (**outcome).clone(),
                    // It has an outcome already.
                    (Ok(_), Some(_)) if self.pass > 0 => return,
                    (Ok(_), Some(budget)) => budget.left_out(),
                    (Ok(cell), None) => {
                        self.progress.begin(&cell.planned.id);
                        pool.play(cell, prerequisites)
                    }
                };
                self.progress.step();
                // What a worker did after it was killed says nothing, nor does what failed for lack of room.
                if !interrupt::requested() && (is_sound(outcome.verdict) || self.room.lacking().is_none()) {
                    played(planned, outcome);
                }
            },
        );
    }

    /// Keeps the sessions that a cell read.
    pub(super) fn keep(
        &self,
        cell: &Ready<'_>,
        prerequisites: &Prerequisites,
        store: &ArtifactStore,
    ) -> Result<(), FolderError> {
        let Ok(cell) = cell else { return Ok(()) };
        for dialogue in cell.dialogues() {
            let key = cell.artifact(dialogue);
            if let Some(artifact) = prerequisites.artifacts.get(&key) {
                saved::keep(store, &key, artifact)?;
            }
        }
        Ok(())
    }

    fn prepare_one<'c>(&self, planned: &'c PlannedCell) -> Ready<'c> {
        let stop =
            |verdict, code, message: &str| Box::new(Outcome::plain(Judgement::plain(verdict, code, message)));
        if let Some(reason) = &planned.filtered {
            return Err(stop(Verdict::Filtered, None, reason));
        }
        let broken = |message: &str| stop(Verdict::HarnessError, Some("recipe"), message);
        let recipe = self.config.recipe(&planned.dims).map_err(|message| broken(&message))?;
        // Where a session was saved elsewhere, its writer is needed only if it is to read it again.
        let writes = self.elsewhere.is_none() || recipe.scenario == Scenario::WriteBack;
        let sides: &[&str] = if writes { &["writer", "reader"] } else { &["reader"] };
        for host in sides.iter().map(|side| planned.dims.get(*side)) {
            let subject = planned.dims.get("subject").map_or("", String::as_str);
            if let Some((code, reason)) = host.and_then(|host| self.subjects.missing(subject, host)) {
                let verdict = if code == ABSENT { Verdict::Filtered } else { Verdict::NotRun };
                return Err(stop(verdict, Some(code), &reason));
            }
        }
        for place in [Some(&recipe.writer).filter(|_| writes), Some(&recipe.reader)].into_iter().flatten() {
            let subject = planned.dims.get("subject").map_or("", String::as_str);
            match self.subjects.backend(subject, place) {
                Ok(()) => {}
                Err(Lacks::Library(reason)) => return Err(stop(Verdict::NotRun, Some("not-built"), &reason)),
                Err(Lacks::Backend(reason)) => return Err(stop(Verdict::Filtered, None, &reason)),
            }
        }
        let missing = || stop(Verdict::Filtered, None, "there is no other model to open");
        let writer_model = self.models.path(&recipe.model, None).ok_or_else(missing)?.to_owned();
        let strange = recipe.fault.is_some_and(Fault::is_stranger);
        let reader_model = if strange {
            self.models.stranger(&recipe.model)
        } else {
            self.models.path(&recipe.model, recipe.reader_model.as_deref())
        };
        let reader_model = reader_model.ok_or_else(missing)?.to_owned();
        let subject = planned.dims.get("subject").cloned().unwrap_or_default();
        let side = |name: String, model: PathBuf, place: &Place| {
            let mut adapters = Vec::new();
            for name in place.adapter.iter().chain(&place.control_vector) {
                let named = self.models.adapters(&recipe.model, name);
                let none = || stop(Verdict::Filtered, None, "the model has no such adapter");
                adapters.extend_from_slice(named.ok_or_else(none)?);
            }
            let conversation = self.models.conversation(&recipe.model, self.config);
            Ok::<_, Box<Outcome>>(SideSetup { name, model, place: place.clone(), adapters, conversation })
        };
        let variant = if strange { Some("another model") } else { recipe.reader_model.as_deref() };
        let reader_name = match variant {
            Some(variant) => format!("{}/{variant}", recipe.model),
            None => recipe.model.clone(),
        };
        let writer = side(recipe.model.clone(), writer_model, &recipe.writer)?;
        let reader = side(reader_name, reader_model, &recipe.reader)?;
        let own = self.config.subjects.iter().find(|config| config.name == subject);
        let holder = own.and_then(|own| own.controls_of.clone()).unwrap_or_else(|| subject.clone());
        Ok(Prepared { planned, subject, holder, recipe, writer, reader })
    }

    /// Threads for a model where nothing else is asked for.
    pub(super) fn threads_for(&self, model: &Path) -> u32 {
        let tiny = model.metadata().is_ok_and(|file| file.len() < TINY_MODEL);
        if tiny { 1 } else { self.threads }
    }

    /// Samples a reply to the question.
    pub(super) fn sample(&self, lease: &mut Lease<'_>, session: &str) -> Result<String, StepError> {
        lease.open_worker.sample(session, &lease.conversation.question, self.config.run.sampled_tokens)
    }

    /// Scores the continuation. In a session that says nothing, something is said first.
    pub(super) fn score(
        &self,
        lease: &mut Lease<'_>,
        session: &str,
        form: SessionForm,
        file: &Path,
    ) -> Result<Logits, StepError> {
        self.break_silence(lease, session, form)?;
        let (text, tokens) = (&lease.conversation.continuation, self.config.run.scored_tokens);
        lease.open_worker.score(session, text, tokens, file)
    }

    /// Says something in a session that says nothing.
    pub(super) fn break_silence(
        &self,
        lease: &mut Lease<'_>,
        session: &str,
        form: SessionForm,
    ) -> Result<(), StepError> {
        if form == SessionForm::Empty {
            let turns = SessionForm::Turns;
            lease.open_worker.hold(session, Dialogue::Bystander, turns, lease.conversation)?;
        }
        Ok(())
    }

    /// Judges.
    pub(super) fn judge(&self, evidence: &Evidence) -> Judgement {
        if let Some(witness) = self.witness {
            witness.lock().unwrap_or_else(PoisonError::into_inner).push(evidence.clone());
        }
        judge(evidence, &self.config.thresholds)
    }
}

pub(super) fn numbered<T>(items: &[T]) -> Vec<(usize, &T)> {
    items.iter().enumerate().collect()
}

/// Time that something took.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let clock = Instant::now();
    let done = work();
    (done, clock.elapsed().as_secs_f64())
}
