//! One cell: a seat at a worker, the load, what is seen afterwards, and the judgement.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use intact_protocol::{Loaded, Logits, ParameterSource};

use super::controls::{Control, ControlKey, Controls};
use super::phase::{Prepared, Scene, Seating, Stock, timed};
use super::saved::Artifacts;
use super::seat::{Seats, Sitting};
use crate::distance::{Distance, Measured, by_position, weakened};
use crate::environment;
use crate::fault::{FaultError, SessionFiles};
use crate::folder::Outcome;
use crate::judge::{Evidence, Floor, Harm, Judgement, LoadedEvidence, Sampled};
use crate::recipe::{LoadOperation, Scenario, SessionForm};
use crate::results::Dims;
use crate::scenario::{
    Artifact, BYSTANDER, LoadOutcome, SESSION, Script, Stage, StepError, history_difference,
};
use crate::verdict::Verdict;
use crate::worker::WorkerError;

/// What a cell is compared with.
struct Truth<'a> {
    control: &'a Control,
    cost_of_settings: Option<Distance>,
    noise: Option<Floor>,
    differs: Option<String>,
}

/// Why a cell has no evidence.
enum Stop {
    /// A step did not give what was asked for.
    Step(StepError),
    /// The cell asks for something that there is not.
    Inapplicable(String),
    /// What it needs was to be made elsewhere, and was not.
    Absent(String),
    /// The harness could not do its part.
    Broken(String),
}

impl From<StepError> for Stop {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<WorkerError> for Stop {
    fn from(error: WorkerError) -> Self {
        Self::Step(error.into())
    }
}

impl From<FaultError> for Stop {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::Inapplicable(reason) => Self::Inapplicable(reason),
            FaultError::Io { .. } => Self::Broken(error.to_string()),
        }
    }
}

impl Seats<'_> {
    /// Plays one cell.
    pub(super) fn play(&mut self, cell: &Prepared<'_>, stock: &Stock) -> Outcome {
        self.clear_log(&cell.subject, &cell.reader);
        self.deadline = Some(Instant::now() + self.scene.cell_timeout);
        let (evidence, seconds) = timed(|| self.evidence(cell, stock));
        self.deadline = None;
        let loaded = match &evidence {
            Ok(Evidence::Loaded(loaded)) => Some(loaded),
            _ => None,
        };
        let (receipt, load_seconds) =
            (loaded.map(|loaded| loaded.receipt.clone()), loaded.map(|loaded| loaded.load_seconds));
        let floor = loaded.and_then(|loaded| loaded.cost_of_settings).map(Measured::from);
        let saved = stock.artifacts.get(&cell.artifact(Script::Session));
        let saved_bytes = saved.and_then(|saved| saved.artifact.as_ref().ok()).and_then(bytes);
        let distances = evidence.as_ref().map(distances).unwrap_or_default();
        let mut judgement = match evidence {
            Ok(evidence) => self.scene.judge(&evidence),
            Err(stop) => self.stopped(stop),
        };
        judgement.message = readable(&judgement.message, self.scene.dir);
        let sound = matches!(
            judgement.verdict,
            Verdict::Exact | Verdict::Equivalent | Verdict::Recomputed | Verdict::Refused
        );
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

    fn stopped(&self, stop: Stop) -> Judgement {
        match stop {
            Stop::Inapplicable(reason) => Judgement::plain(Verdict::Filtered, None, reason),
            Stop::Absent(message) => Judgement::plain(Verdict::NotRun, Some("not-produced"), message),
            Stop::Broken(message) => Judgement::plain(Verdict::HarnessError, None, message),
            Stop::Step(StepError::Worker { error }) => self.scene.judge(&Evidence::Died(error)),
            Stop::Step(error @ (StepError::Refused { .. } | StepError::Unsupported { .. })) => {
                self.scene.judge(&Evidence::Unsupported { message: error.to_string() })
            }
            Stop::Step(error @ StepError::Failed { .. }) => {
                Judgement::plain(Verdict::HarnessError, None, error.to_string())
            }
        }
    }

    fn evidence(&mut self, cell: &Prepared<'_>, stock: &Stock) -> Result<Evidence, Stop> {
        let Stock { artifacts, controls } = stock;
        self.runs_the_model(cell, controls)?;
        let artifact = saved(artifacts, cell, Script::Session)?;
        let control = held(controls, &cell.control())?;
        let cost = cost_of_settings(cell, &control, controls);
        let control = match cell.recipe.operation {
            LoadOperation::Load => control,
            // It is another system's session that goes on.
            LoadOperation::Adopt => {
                Control { session: held(controls, &cell.writers_control())?.session, ..control }
            }
        };
        let name = format!("{}-{}", self.scene.pass, folder(&cell.planned.id));
        let dir = self.scene.dir.join("cells").join(name);
        fs::create_dir_all(&dir).map_err(|error| Stop::Broken(format!("{}: {error}", dir.display())))?;
        let artifact = struck(cell, artifact, artifacts, &dir, self.scene.seed)?;
        let differs = differs(cell, artifacts);
        let truth =
            Truth { control: &control, cost_of_settings: cost, noise: noise(cell, controls), differs };
        let first = self.load_and_look(cell, &cell.reader, &artifact, &truth, &dir)?;
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
            controls.get(&cell.writers_control()).filter(|_| cell.recipe.scenario == Scenario::WriteBack);
        let back = back.cloned().transpose()?;
        let truth = Truth { control: back.as_ref().unwrap_or(&control), ..truth };
        let mut second = self.load_and_look(cell, third, &relayed, &truth, &dir)?;
        if let Evidence::Loaded(loaded) = &mut second {
            loaded.evaluated_before = evaluated_before;
        }
        self.clear(&cell.subject, third)?;
        Ok(second)
    }

    /// Makes sure that another release or an installed subject can hold the session at all: where it cannot, that says
    /// nothing of saving and loading.
    fn runs_the_model(&self, cell: &Prepared<'_>, controls: &Controls) -> Result<(), Stop> {
        let sides = [(&cell.writer, cell.writers_control()), (&cell.reader, cell.control())];
        for (seating, control) in sides {
            let place = &seating.place;
            let release = place.release.as_deref();
            let older = release.filter(|name| self.scene.subjects.is_older(&cell.subject, name));
            let installed = place.subject.clone().filter(|name| name.contains('@'));
            let Some(name) = installed.or_else(|| older.map(|older| format!("llama.cpp {older}"))) else {
                continue;
            };
            let problem = match controls.get(&control) {
                Some(Err(error)) => error,
                Some(Ok(Control { session: Err(error), .. } | Control { bystander: Err(error), .. })) => {
                    error
                }
                _ => continue,
            };
            // An adapter that throws says nothing of its subject. Older releases of llama.cpp end a worker in any way.
            if older.is_none() && !problem.is_declared() {
                return Err(Stop::Step(problem.clone()));
            }
            let message = format!("{name} does not run this model with these settings: {problem}");
            return Err(Stop::Step(StepError::Unsupported {
                op: "holding an uninterrupted session",
                message,
            }));
        }
        Ok(())
    }

    fn relay(&mut self, cell: &Prepared<'_>, artifact: &Artifact, dir: &Path) -> Result<Artifact, Stop> {
        let mut sitting = self.sit(&cell.subject, &cell.reader)?;
        match load(&mut sitting.stage, cell, artifact)? {
            LoadOutcome::Loaded(loaded) => {
                let format = cell.recipe.format.as_deref();
                let relayed = sitting.stage.save(&loaded.session, &dir.join("relayed"), format)?;
                Ok(Artifact { history: artifact.history.clone(), ..relayed })
            }
            other => {
                Err(Stop::Broken(format!("a load that went well before did not go well again: {other:?}")))
            }
        }
    }

    fn clear(&mut self, subject: &str, seating: &Seating) -> Result<(), Stop> {
        let mut sitting = self.sit(subject, seating)?;
        sitting.stage.forget(SESSION)?;
        sitting.stage.forget(BYSTANDER)?;
        Ok(())
    }

    fn load_and_look(
        &mut self,
        cell: &Prepared<'_>,
        seating: &Seating,
        artifact: &Artifact,
        truth: &Truth<'_>,
        dir: &Path,
    ) -> Result<Evidence, Stop> {
        let scene = self.scene;
        let control = truth.control;
        let untouched = control.bystander.clone()?;
        let replaces = cell.recipe.scenario == Scenario::Replace;
        let mut sitting = self.sit(&cell.subject, seating)?;
        let (turns, conversation) = (SessionForm::Turns, Arc::clone(&seating.conversation));
        sitting.stage.hold(BYSTANDER, Script::Bystander, turns, &conversation)?;
        if replaces {
            sitting.stage.hold(SESSION, Script::Bystander, turns, &conversation)?;
        }
        let (outcome, load_seconds) = timed(|| load(&mut sitting.stage, cell, artifact));
        let outcome = outcome?;
        let live: &[&str] = match outcome {
            LoadOutcome::Refused(_) | LoadOutcome::Failed(_) if replaces => &[BYSTANDER, SESSION],
            _ => &[BYSTANDER],
        };
        let observed = match &outcome {
            LoadOutcome::Loaded(loaded) => {
                let (form, file) = (cell.recipe.session, dir.join("loaded.logits"));
                Some(scene.score(&mut sitting, &loaded.session, form, &file))
            }
            _ => None,
        };
        if let Some(Err(StepError::Worker { error })) = observed {
            // Nothing more can be asked of it.
            return Err(error.into());
        }
        let mut harm = harm(scene, &mut sitting, live, &untouched, dir)?;
        if let LoadOutcome::Loaded(loaded) = &outcome
            && let Some(done) = &loaded.harm
        {
            harm = Harm::Done(done.clone());
        }
        let sampled = match &outcome {
            LoadOutcome::Loaded(loaded) => sampled(scene, &mut sitting, cell, loaded, artifact, control)?,
            _ => None,
        };
        Ok(match outcome {
            LoadOutcome::Refused(refusal) => Evidence::Refused { refusal, harm },
            LoadOutcome::Failed(message) => Evidence::Failed { message, harm },
            LoadOutcome::Unsupported(message) => Evidence::Unsupported { message },
            LoadOutcome::Loaded(loaded) => match observed {
                Some(Ok(observed)) => {
                    let after = After { load_seconds, observed, sampled, harm };
                    seen(cell, *loaded, artifact, truth, after)
                }
                Some(Err(error)) if control.session.is_err() => {
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

/// Length of the files of a saved session.
fn bytes(artifact: &Artifact) -> Option<u64> {
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

fn load(stage: &mut Stage<'_>, cell: &Prepared<'_>, saved: &Artifact) -> Result<LoadOutcome, Stop> {
    let recipe = &cell.recipe;
    if recipe.operation == LoadOperation::Load {
        let (format, routes) = (recipe.reader_format.as_deref(), recipe.routes.as_deref());
        return Ok(stage.load(&saved.files.document, format, routes, recipe.parameters)?);
    }
    // A system that saves one file keeps the state in it.
    let state = saved.files.image.as_ref().unwrap_or(&saved.files.document);
    let outcome = stage.adopt(state, &saved.history)?;
    match &outcome {
        LoadOutcome::Loaded(loaded) if loaded.receipt.tokens_evaluated != saved.tokens => {
            let tokens = loaded.receipt.tokens_evaluated;
            let message =
                format!("{tokens} tokens were adopted of {}: they cannot be compared", saved.tokens);
            Err(Stop::Broken(message))
        }
        _ => Ok(outcome),
    }
}

fn held(controls: &Controls, key: &ControlKey) -> Result<Control, Stop> {
    let control = controls.get(key);
    Ok(control.ok_or_else(|| Stop::Broken("the control was not held".into()))?.clone()?)
}

fn harm(
    scene: &Scene<'_>,
    sitting: &mut Sitting<'_>,
    live: &[&str],
    untouched: &Logits,
    dir: &Path,
) -> Result<Harm, WorkerError> {
    let (text, tokens) = (&sitting.conversation.continuation, scene.config.run.scored_tokens);
    for session in live {
        let file = dir.join(format!("{session}-after.logits"));
        let harm = sitting.stage.harm(session, text, tokens, &file, untouched)?;
        if harm != Harm::None {
            return Ok(harm);
        }
    }
    Ok(Harm::None)
}

/// What the session says by sampling, and what the uninterrupted one said, where the saved parameters are in force: it is
/// loaded once more, because it has gone on by what was scored.
fn sampled(
    scene: &Scene<'_>,
    sitting: &mut Sitting<'_>,
    cell: &Prepared<'_>,
    loaded: &Loaded,
    artifact: &Artifact,
    control: &Control,
) -> Result<Option<Sampled>, Stop> {
    let Some(expected) = &control.sampled else { return Ok(None) };
    let unchanged = SAMPLING_ROUTES.contains(&loaded.receipt.route.as_str());
    if cell.recipe.parameters != ParameterSource::Saved || !(unchanged || cell.recipe.keeps_parameters()) {
        return Ok(None);
    }
    sitting.stage.forget(&loaded.session)?;
    let again = match load(&mut sitting.stage, cell, artifact)? {
        LoadOutcome::Loaded(loaded) => scene.sample(sitting, &loaded.session)?,
        other => {
            return Err(Stop::Broken(format!(
                "a load that went well before did not go well again: {other:?}"
            )));
        }
    };
    Ok(Some(Sampled { observed: again, control: expected.clone()? }))
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
    truth: &Truth<'_>,
    After { load_seconds, observed, sampled, harm }: After,
) -> Evidence {
    let held = &artifact.history;
    let control = truth.control.session.clone().map_err(|error| error.to_string());
    let observed = match &control {
        Ok(control) => weakened(observed, control.oracle()),
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
        control,
        cost_of_settings: truth.cost_of_settings,
        noise: truth.noise,
        differs: truth.differs.clone(),
        means_otherwise: cell.reader.place.means_otherwise(&cell.writer.place),
        harm,
    }))
}

/// How far the uninterrupted sessions of both sides are from themselves in another batch shape.
fn noise(cell: &Prepared<'_>, controls: &Controls) -> Option<Floor> {
    let sides = [cell.control(), cell.writers_control()];
    let measured = sides.iter().filter_map(|side| controls.get(side)?.as_ref().ok()?.noise);
    measured.reduce(Floor::or)
}

/// What differs between the two sides so that the last bits of logits may.
fn differs(cell: &Prepared<'_>, artifacts: &Artifacts) -> Option<String> {
    let mut names = cell.reader.place.computes_otherwise(&cell.writer.place);
    let writer = artifacts.get(&cell.artifact(Script::Session)).and_then(|saved| saved.writer.as_ref());
    let here = environment::here();
    let moved = writer
        .is_some_and(|writer| (&writer.environment.cpu, &writer.environment.arch) != (&here.cpu, &here.arch));
    names.extend(moved.then_some("the machine"));
    (!names.is_empty()).then(|| names.join(", "))
}

/// What the change from the writer's to the reader's settings costs a session that is never interrupted.
fn cost_of_settings(cell: &Prepared<'_>, control: &Control, controls: &Controls) -> Option<Distance> {
    if cell.writer.model != cell.reader.model || cell.writer == cell.controls_seating() {
        return None;
    }
    let writers = controls.get(&cell.writers_control())?.as_ref().ok()?;
    Distance::by_the_weaker(control.session.as_ref().ok()?, writers.session.as_ref().ok()?)
}

/// Parameters must survive where they are saved, asked for, and nothing in the reader overrides them.
fn expected_parameters(cell: &Prepared<'_>, artifact: &Artifact) -> Option<String> {
    let recipe = &cell.recipe;
    let kept = recipe.keeps_parameters() && recipe.writer == recipe.reader.sampling_as(&recipe.writer);
    artifact.parameters.clone().filter(|_| kept)
}

/// The session that was saved with this conversation.
fn saved(artifacts: &Artifacts, cell: &Prepared<'_>, script: Script) -> Result<Artifact, Stop> {
    match artifacts.get(&cell.artifact(script)) {
        Some(saved) => Ok(saved.artifact.clone()?),
        None => Err(Stop::Absent("nobody has saved the session that it loads".into())),
    }
}

/// What the cell loads: the saved session, or a copy that the cell's fault has struck.
fn struck(
    cell: &Prepared<'_>,
    artifact: Artifact,
    artifacts: &Artifacts,
    dir: &Path,
    seed: u64,
) -> Result<Artifact, Stop> {
    let Some(fault) = cell.recipe.fault else { return Ok(artifact) };
    let other = if fault.needs_other() { Some(saved(artifacts, cell, Script::Other)?) } else { None };
    let copied =
        copy(&artifact.files, dir).map_err(|error| Stop::Broken(format!("{}: {error}", dir.display())))?;
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

/// How far a restored session is from the control, token by token: nothing where it is not far at all. A figure has the
/// digits that a plot shows.
fn distances(evidence: &Evidence) -> Vec<Option<f64>> {
    let Evidence::Loaded(loaded) = evidence else { return Vec::new() };
    let Ok(control) = &loaded.control else { return Vec::new() };
    let distances = by_position(control, &loaded.observed);
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
