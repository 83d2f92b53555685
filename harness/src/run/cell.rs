//! One cell: a worker with its model open, the load, what is seen afterwards, and the judgement.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use intact_format::place::is_no_room;
use intact_protocol::{Loaded, Logits, ParameterSource};

use super::phase::{Executor, Prepared, Prerequisites, SideSetup, timed};
use super::pool::{Lease, WorkerPool};
use super::references::{Reference, ReferenceKey, References, failure};
use super::saved::Artifacts;
use crate::distance::{Distance, Measured, by_position, weakened};
use crate::environment;
use crate::fault::{FaultError, SessionFiles};
use crate::folder::Outcome;
use crate::judge::{Evidence, Floor, Harm, Judgement, LoadedEvidence, Sampled};
use crate::recipe::{LoadOperation, Scenario, SessionForm};
use crate::results::Dims;
use crate::scenario::{
    Artifact, BYSTANDER, Dialogue, LoadOutcome, OpenWorker, SESSION, StepError, history_difference,
};
use crate::verdict::Verdict;
use crate::worker::WorkerError;

/// What a cell is compared with.
struct Yardstick<'a> {
    reference: &'a Reference,
    cost_of_settings: Option<Distance>,
    noise: Option<Floor>,
    differs: Option<String>,
}

/// Why a cell has no evidence.
enum NoEvidence {
    /// A step did not give what was asked for.
    Step(StepError),
    /// The cell asks for something that there is not.
    Inapplicable(String),
    /// What it needs was to be made elsewhere, and was not.
    Absent(String),
    /// The harness could not do its part.
    Broken(String),
    /// The harness had no room for its part.
    NoRoom(String),
}

impl NoEvidence {
    /// A file of the harness's own that the system did not take.
    fn unwritten(path: &Path, error: &io::Error) -> Self {
        let message = format!("{}: {error}", path.display());
        if is_no_room(error) { Self::NoRoom(message) } else { Self::Broken(message) }
    }
}

impl From<StepError> for NoEvidence {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<WorkerError> for NoEvidence {
    fn from(error: WorkerError) -> Self {
        Self::Step(error.into())
    }
}

impl From<FaultError> for NoEvidence {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::Inapplicable(reason) => Self::Inapplicable(reason),
            FaultError::Io { path, source } => Self::unwritten(&path, &source),
        }
    }
}

impl WorkerPool<'_> {
    /// Plays one cell.
    pub(super) fn play(&mut self, cell: &Prepared<'_>, prerequisites: &Prerequisites) -> Outcome {
        self.clear_log(&cell.subject, &cell.reader);
        self.deadline = Some(Instant::now() + self.executor.cell_timeout);
        let (evidence, seconds) = timed(|| self.evidence(cell, prerequisites));
        self.deadline = None;
        let loaded = match &evidence {
            Ok(Evidence::Loaded(loaded)) => Some(loaded),
            _ => None,
        };
        let (receipt, load_seconds) =
            (loaded.map(|loaded| loaded.receipt.clone()), loaded.map(|loaded| loaded.load_seconds));
        let floor = loaded.and_then(|loaded| loaded.cost_of_settings).map(Measured::from);
        let saved = prerequisites.artifacts.get(&cell.artifact(Dialogue::Session));
        let saved_bytes = saved.and_then(|saved| saved.artifact.as_ref().ok()).and_then(bytes);
        let distances = evidence.as_ref().map(distances).unwrap_or_default();
        let mut judgement = match evidence {
            Ok(evidence) => self.executor.judge(&evidence),
            Err(stop) => self.stopped(stop),
        };
        judgement.message = readable(&judgement.message, self.executor.dir);
        let sound = is_sound(judgement.verdict);
        let log = if sound { Vec::new() } else { self.log(&cell.subject, &cell.reader) };
        let outcome = Outcome {
            distances,
            receipt,
            floor,
            saved_bytes,
            load_seconds,
            log,
            seconds,
            dims: Dims::new(),
            ..Outcome::plain(judgement)
        };
        self.settle(&cell.subject, &cell.reader, sound);
        outcome
    }

    fn stopped(&self, stop: NoEvidence) -> Judgement {
        match stop {
            NoEvidence::Inapplicable(reason) => Judgement::plain(Verdict::Filtered, None, reason),
            NoEvidence::Absent(message) => Judgement::plain(Verdict::NotRun, Some("not-produced"), message),
            NoEvidence::Broken(message) => Judgement::plain(Verdict::HarnessError, None, message),
            NoEvidence::NoRoom(message) => {
                self.executor.room.ran_out(&message);
                Judgement::plain(Verdict::HarnessError, None, message)
            }
            NoEvidence::Step(StepError::Worker { error }) => self.executor.judge(&Evidence::Died(error)),
            NoEvidence::Step(error @ (StepError::Refused { .. } | StepError::Unsupported { .. })) => {
                self.executor.judge(&Evidence::Unsupported { message: error.to_string() })
            }
            NoEvidence::Step(error @ (StepError::Failed { .. } | StepError::NoRoom { .. })) => {
                self.executor.room.failed(&error);
                Judgement::plain(Verdict::HarnessError, None, error.to_string())
            }
        }
    }

    fn evidence(
        &mut self,
        cell: &Prepared<'_>,
        prerequisites: &Prerequisites,
    ) -> Result<Evidence, NoEvidence> {
        let Prerequisites { artifacts, references } = prerequisites;
        self.runs_the_model(cell, references)?;
        let artifact = saved(artifacts, cell, Dialogue::Session)?;
        let reference = held(references, &cell.reference())?;
        let cost = cost_of_settings(cell, &reference, references);
        let reference = match cell.recipe.operation {
            LoadOperation::Load => reference,
            // It is another system's session that goes on.
            LoadOperation::Adopt => {
                Reference { session: held(references, &cell.writers_reference())?.session, ..reference }
            }
        };
        let name = format!("{}-{}", self.executor.pass, folder(&cell.planned.id));
        let dir = self.executor.dir.join("cells").join(name);
        fs::create_dir_all(&dir).map_err(|error| NoEvidence::unwritten(&dir, &error))?;
        let artifact = struck(cell, artifact, artifacts, &dir, self.executor.seed)?;
        let differs = differs(cell, artifacts);
        let yardstick = Yardstick {
            reference: &reference,
            cost_of_settings: cost,
            noise: noise(cell, references),
            differs,
        };
        let first = self.load_and_look(cell, &cell.reader, &artifact, &yardstick, &dir)?;
        let third = match cell.recipe.scenario {
            Scenario::Relay => &cell.reader,
            Scenario::WriteBack => &cell.writer,
            Scenario::Resume | Scenario::Replace => {
                self.clear(&cell.subject, &cell.reader)?;
                return Ok(first);
            }
        };
        let Evidence::Loaded(loaded) = &first else {
            self.clear(&cell.subject, &cell.reader)?;
            return Ok(first);
        };
        let evaluated_before = loaded.receipt.tokens_evaluated;
        // The first reader has gone on by the scored tokens: a fresh one loads again, passes the session on, and a
        // third process loads what it wrote.
        self.settle(&cell.subject, &cell.reader, false);
        let relayed = self.relay(cell, &artifact, &dir)?;
        self.settle(&cell.subject, &cell.reader, false);
        let back =
            references.get(&cell.writers_reference()).filter(|_| cell.recipe.scenario == Scenario::WriteBack);
        let back = back.cloned().transpose()?;
        let yardstick = Yardstick { reference: back.as_ref().unwrap_or(&reference), ..yardstick };
        let mut second = self.load_and_look(cell, third, &relayed, &yardstick, &dir)?;
        if let Evidence::Loaded(loaded) = &mut second {
            loaded.evaluated_before = evaluated_before;
        }
        self.clear(&cell.subject, third)?;
        Ok(second)
    }

    /// Makes sure that another release or an installed subject can hold the session at all: where it cannot, that says
    /// nothing of saving and loading.
    fn runs_the_model(&self, cell: &Prepared<'_>, references: &References) -> Result<(), NoEvidence> {
        let sides = [(&cell.writer, cell.writers_reference()), (&cell.reader, cell.reference())];
        for (side, reference) in sides {
            let place = &side.place;
            let release = place.release.as_deref();
            let older = release.filter(|name| self.executor.subjects.is_older(&cell.subject, name));
            let installed = place.subject.clone().filter(|name| name.contains('@'));
            let Some(name) = installed.or_else(|| older.map(|older| format!("llama.cpp {older}"))) else {
                continue;
            };
            let Some(problem) = references.get(&reference).and_then(failure) else { continue };
            // An adapter that throws says nothing of its subject. Older releases of llama.cpp end a worker in any way.
            if problem.is_for_lack_of_time_or_room() || (older.is_none() && !problem.is_declared()) {
                return Err(NoEvidence::Step(problem.clone()));
            }
            let message = format!("{name} does not run this model with these settings: {problem}");
            return Err(NoEvidence::Step(StepError::Unsupported {
                op: "running a reference session",
                message,
            }));
        }
        Ok(())
    }

    fn relay(
        &mut self,
        cell: &Prepared<'_>,
        artifact: &Artifact,
        dir: &Path,
    ) -> Result<Artifact, NoEvidence> {
        let mut lease = self.lease(&cell.subject, &cell.reader)?;
        match load(&mut lease.open_worker, cell, artifact)? {
            LoadOutcome::Loaded(loaded) => {
                let format = cell.recipe.format.as_deref();
                let relayed = lease.open_worker.save(&loaded.session, &dir.join("relayed"), format)?;
                Ok(Artifact { history: artifact.history.clone(), ..relayed })
            }
            other => Err(NoEvidence::Broken(format!(
                "a load that went well before did not go well again: {other:?}"
            ))),
        }
    }

    fn clear(&mut self, subject: &str, side: &SideSetup) -> Result<(), NoEvidence> {
        let mut lease = self.lease(subject, side)?;
        lease.open_worker.forget(SESSION)?;
        lease.open_worker.forget(BYSTANDER)?;
        Ok(())
    }

    fn load_and_look(
        &mut self,
        cell: &Prepared<'_>,
        side: &SideSetup,
        artifact: &Artifact,
        yardstick: &Yardstick<'_>,
        dir: &Path,
    ) -> Result<Evidence, NoEvidence> {
        let executor = self.executor;
        let reference = yardstick.reference;
        let untouched = reference.bystander.clone()?;
        let replaces = cell.recipe.scenario == Scenario::Replace;
        let mut lease = self.lease(&cell.subject, side)?;
        let (turns, conversation) = (SessionForm::Turns, Arc::clone(&side.conversation));
        lease.open_worker.hold(BYSTANDER, Dialogue::Bystander, turns, &conversation)?;
        if replaces {
            lease.open_worker.hold(SESSION, Dialogue::Bystander, turns, &conversation)?;
        }
        let (outcome, load_seconds) = timed(|| load(&mut lease.open_worker, cell, artifact));
        let outcome = outcome?;
        let live: &[&str] = match outcome {
            LoadOutcome::Refused(_) | LoadOutcome::Failed(_) if replaces => &[BYSTANDER, SESSION],
            _ => &[BYSTANDER],
        };
        let observed = match &outcome {
            LoadOutcome::Loaded(loaded) => {
                let (form, file) = (cell.recipe.session, dir.join("loaded.logits"));
                Some(executor.score(&mut lease, &loaded.session, form, &file))
            }
            _ => None,
        };
        if let Some(Err(StepError::Worker { error })) = observed {
            // Nothing more can be asked of it.
            return Err(error.into());
        }
        let mut harm = harm(executor, &mut lease, live, &untouched, dir)?;
        if let LoadOutcome::Loaded(loaded) = &outcome
            && let Some(done) = &loaded.harm
        {
            harm = Harm::Done(done.clone());
        }
        let sampled = match &outcome {
            LoadOutcome::Loaded(loaded) => sampled(executor, &mut lease, cell, loaded, artifact, reference)?,
            _ => None,
        };
        Ok(match outcome {
            LoadOutcome::Refused(refusal) => Evidence::Refused { refusal, harm },
            LoadOutcome::Failed(message) => Evidence::Failed { message, harm },
            LoadOutcome::Unsupported(message) => Evidence::Unsupported { message },
            LoadOutcome::Loaded(loaded) => match observed {
                Some(Ok(observed)) => {
                    let after = After { load_seconds, observed, sampled, harm };
                    seen(cell, *loaded, artifact, yardstick, after)
                }
                Some(Err(error)) if reference.session.is_err() => {
                    if !error.is_declared() {
                        return Err(error.into());
                    }
                    let message = format!("the uninterrupted session cannot go on either: {error}");
                    Evidence::Unsupported { message }
                }
                Some(Err(error)) => {
                    Evidence::Unusable { receipt: loaded.receipt, message: error.to_string() }
                }
                None => Evidence::Unsupported { message: "nothing was scored".into() },
            },
        })
    }
}

/// Whether it says that the worker is well.
pub(super) fn is_sound(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Exact | Verdict::Equivalent | Verdict::Recomputed | Verdict::Refused)
}

/// Length of the files of a saved session.
pub(super) fn bytes(artifact: &Artifact) -> Option<u64> {
    let files = [Some(&artifact.files.document), artifact.files.image.as_ref()];
    files.into_iter().flatten().map(|file| file.metadata().ok().map(|file| file.len())).sum()
}

/// The folder of a cell: ids can be longer than names of files.
fn folder(id: &str) -> String {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A message on one line that names files without the run's own folder, whatever characters that has.
fn readable(message: &str, dir: &Path) -> String {
    let scratch = dir.display().to_string();
    let mut parts = message.split(&scratch);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // In the folder every name is our own, and none has a space.
        let end = part.find(char::is_whitespace).unwrap_or(part.len());
        let (inside, behind) = part.split_at(end);
        text += inside.rsplit('/').next().unwrap_or(inside);
        text += behind;
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn load(
    open_worker: &mut OpenWorker<'_>,
    cell: &Prepared<'_>,
    saved: &Artifact,
) -> Result<LoadOutcome, NoEvidence> {
    let recipe = &cell.recipe;
    if recipe.operation == LoadOperation::Load {
        let (format, routes) = (recipe.reader_format.as_deref(), recipe.routes.as_deref());
        return Ok(open_worker.load(&saved.files.document, format, routes, recipe.parameters)?);
    }
    // A system that saves one file keeps the state in it.
    let state = saved.files.image.as_ref().unwrap_or(&saved.files.document);
    let outcome = open_worker.adopt(state, &saved.history)?;
    match &outcome {
        LoadOutcome::Loaded(loaded) if loaded.receipt.tokens_evaluated != saved.tokens => {
            let tokens = loaded.receipt.tokens_evaluated;
            let message =
                format!("{tokens} tokens were adopted of {}: they cannot be compared", saved.tokens);
            Err(NoEvidence::Broken(message))
        }
        _ => Ok(outcome),
    }
}

fn held(references: &References, key: &ReferenceKey) -> Result<Reference, NoEvidence> {
    let reference = references.get(key);
    Ok(reference.ok_or_else(|| NoEvidence::Broken("the reference session was not run".into()))?.clone()?)
}

fn harm(
    executor: &Executor<'_>,
    lease: &mut Lease<'_>,
    live: &[&str],
    untouched: &Logits,
    dir: &Path,
) -> Result<Harm, WorkerError> {
    let (text, tokens) = (&lease.conversation.continuation, executor.config.run.scored_tokens);
    for session in live {
        let file = dir.join(format!("{session}-after.logits"));
        let harm = lease.open_worker.harm(session, text, tokens, &file, untouched)?;
        if harm != Harm::None {
            return Ok(harm);
        }
    }
    Ok(Harm::None)
}

/// What the session says by sampling, and what the uninterrupted one said, where the saved parameters are in force: it is
/// loaded once more, because it has gone on by what was scored.
fn sampled(
    executor: &Executor<'_>,
    lease: &mut Lease<'_>,
    cell: &Prepared<'_>,
    loaded: &Loaded,
    artifact: &Artifact,
    reference: &Reference,
) -> Result<Option<Sampled>, NoEvidence> {
    let Some(expected) = &reference.sampled else { return Ok(None) };
    let unchanged = SAMPLING_ROUTES.contains(&loaded.receipt.route.as_str());
    if cell.recipe.parameters != ParameterSource::Saved || !(unchanged || cell.recipe.keeps_parameters()) {
        return Ok(None);
    }
    lease.open_worker.forget(&loaded.session)?;
    let again = match load(&mut lease.open_worker, cell, artifact)? {
        LoadOutcome::Loaded(loaded) => executor.sample(lease, &loaded.session)?,
        other => {
            return Err(NoEvidence::Broken(format!(
                "a load that went well before did not go well again: {other:?}"
            )));
        }
    };
    Ok(Some(Sampled { observed: again, reference: expected.clone()? }))
}

/// Routes after which the very same tokens must be sampled, whatever the subject says of parameters: the KV is what it was.
const SAMPLING_ROUTES: [&str; 2] = ["direct", "blind"];

/// What was seen of a load from outside.
struct After {
    load_seconds: f64,
    observed: Logits,
    sampled: Option<Sampled>,
    harm: Harm,
}

fn seen(
    cell: &Prepared<'_>,
    loaded: Loaded,
    artifact: &Artifact,
    yardstick: &Yardstick<'_>,
    After { load_seconds, observed, sampled, harm }: After,
) -> Evidence {
    let held = &artifact.history;
    let reference = yardstick.reference.session.clone().map_err(|error| error.to_string());
    let observed = match &reference {
        Ok(reference) => weakened(observed, reference.oracle()),
        Err(_) => observed,
    };
    let history_difference = loaded.history.as_deref().and_then(|loaded| history_difference(held, loaded));
    Evidence::Loaded(Box::new(LoadedEvidence {
        saved_parameters: expected_parameters(cell, artifact),
        receipt: loaded.receipt,
        load_seconds,
        saved_tokens: artifact.tokens,
        evaluated_before: 0,
        history_difference,
        observed,
        sampled,
        reference,
        cost_of_settings: yardstick.cost_of_settings,
        noise: yardstick.noise,
        differs: yardstick.differs.clone(),
        means_otherwise: cell.reader.place.means_otherwise(&cell.writer.place),
        harm,
    }))
}

/// How far the uninterrupted sessions of both sides are from themselves in another batch shape.
fn noise(cell: &Prepared<'_>, references: &References) -> Option<Floor> {
    let sides = [cell.reference(), cell.writers_reference()];
    let measured = sides.iter().filter_map(|side| references.get(side)?.as_ref().ok()?.noise);
    measured.reduce(Floor::or)
}

/// What differs between the two sides so that the last bits of logits may.
fn differs(cell: &Prepared<'_>, artifacts: &Artifacts) -> Option<String> {
    let mut names = cell.reader.place.computes_otherwise(&cell.writer.place);
    let writer = artifacts.get(&cell.artifact(Dialogue::Session)).and_then(|saved| saved.writer.as_ref());
    let here = environment::here();
    let moved = writer
        .is_some_and(|writer| (&writer.environment.cpu, &writer.environment.arch) != (&here.cpu, &here.arch));
    names.extend(moved.then_some("the machine"));
    (!names.is_empty()).then(|| names.join(", "))
}

/// What the change from the writer's to the reader's settings costs a session that is never interrupted.
fn cost_of_settings(cell: &Prepared<'_>, reference: &Reference, references: &References) -> Option<Distance> {
    if cell.writer.model != cell.reader.model || cell.writer == cell.reference_side() {
        return None;
    }
    let writers = references.get(&cell.writers_reference())?.as_ref().ok()?;
    Distance::by_the_weaker(reference.session.as_ref().ok()?, writers.session.as_ref().ok()?)
}

/// Parameters must survive where they are saved, asked for, and nothing in the reader overrides them.
fn expected_parameters(cell: &Prepared<'_>, artifact: &Artifact) -> Option<String> {
    let recipe = &cell.recipe;
    let kept = recipe.keeps_parameters() && recipe.writer == recipe.reader.sampling_as(&recipe.writer);
    artifact.parameters.clone().filter(|_| kept)
}

/// The session that was saved with this conversation.
fn saved(artifacts: &Artifacts, cell: &Prepared<'_>, dialogue: Dialogue) -> Result<Artifact, NoEvidence> {
    match artifacts.get(&cell.artifact(dialogue)) {
        Some(saved) => Ok(saved.artifact.clone()?),
        None => Err(NoEvidence::Absent("nobody has saved the session that it loads".into())),
    }
}

/// What the cell loads: the saved session, or a copy that the cell's fault has struck.
fn struck(
    cell: &Prepared<'_>,
    artifact: Artifact,
    artifacts: &Artifacts,
    dir: &Path,
    seed: u64,
) -> Result<Artifact, NoEvidence> {
    let Some(fault) = cell.recipe.fault else { return Ok(artifact) };
    let other = if fault.needs_other() { Some(saved(artifacts, cell, Dialogue::Other)?) } else { None };
    let copied = copy(&artifact.files, dir).map_err(|error| NoEvidence::unwritten(dir, &error))?;
    fault.strike(&copied, other.as_ref().map(|other| &other.files), seed)?;
    Ok(Artifact { files: copied, ..artifact })
}

fn copy(files: &SessionFiles, dir: &Path) -> io::Result<SessionFiles> {
    let copy = |file: &Path| -> io::Result<PathBuf> {
        let to = dir.join(file.file_name().unwrap_or_default());
        fs::copy(file, &to)?;
        Ok(to)
    };
    Ok(SessionFiles {
        document: copy(&files.document)?,
        image: files.image.as_deref().map(copy).transpose()?,
    })
}

/// How far a restored session is from the reference, token by token: nothing where it is not far at all. A figure has the
/// digits that a plot shows.
fn distances(evidence: &Evidence) -> Vec<Option<f64>> {
    let Evidence::Loaded(loaded) = evidence else { return Vec::new() };
    let Ok(reference) = &loaded.reference else { return Vec::new() };
    let distances = by_position(reference, &loaded.observed);
    if distances.iter().all(|distance| *distance == 0.0) {
        return Vec::new();
    }
    let short =
        |distance: f64| format!("{distance:.2e}").parse().ok().filter(|short: &f64| short.is_finite());
    distances.into_iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_names_files_without_the_runs_folder() {
        for dir in ["/tmp/out/work-x", "/tmp/my runs/out 1/work-x"] {
            let message = format!(
                "the file ({dir}/saved/3/session.kv: torn) of /home/me/model.gguf\n  differs from {dir}/a.kv"
            );
            assert_eq!(
                readable(&message, Path::new(dir)),
                "the file (session.kv: torn) of /home/me/model.gguf differs from a.kv"
            );
        }
    }
}
