//! Playing paths: a worker for each release, kept as long as it lives.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use intact_matrix::Limits as Thresholds;
use intact_protocol::{Forget, Load, Logits, Outcome, ParameterSource, Replied, Request, Save, Say};

use super::{Ended, Fate, Play};
use crate::afresh;
use crate::fleeting::FleetingFolder;
use crate::tags::{Opening, ProbeError, opened};
use crate::worker::Worker;

/// Longest wait for one answer. The models are tiny.
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory that a worker may take: older releases take what they misread for a count of cells.
const MEMORY: u64 = 4 << 30;
/// Room for a session that grows with every release it goes through.
const CONTEXT: u32 = 4096;
/// Id of the session.
const SESSION: &str = "walking";

/// Who saves and loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The engine.
    Engine,
    /// llama.cpp's own sequence files, which nothing checks.
    Blind,
}

/// What goes through the releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) subject: Subject,
    /// The tiny model's name.
    pub(crate) model: String,
    /// The type of K and V.
    pub(crate) kv: String,
}

impl Subject {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Blind => "blind",
        }
    }

    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &["--subject", "engine"],
            Self::Blind => &["--subject", "blind", "--container", "sequence-file"],
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.model, self.kv)
    }
}

/// Everything that it takes to play paths.
pub(crate) struct Desk<'a> {
    form: &'a Form,
    model: PathBuf,
    /// Command lines of the releases' workers.
    commands: &'a [Vec<String>],
    workers: BTreeMap<usize, Worker>,
    folder: FleetingFolder,
    thresholds: Thresholds,
    /// How paths ended that were played already: shrinking asks for the same ones again and again.
    known: BTreeMap<Vec<usize>, Ended>,
}

/// Why a step went no further.
enum Stopped {
    /// The worker answered, and not with what was asked for.
    Told(String, bool),
    /// It is dead.
    Dead(String),
}

impl<'a> Desk<'a> {
    pub(crate) fn new(
        form: &'a Form,
        model: PathBuf,
        commands: &'a [Vec<String>],
        thresholds: Thresholds,
    ) -> io::Result<Self> {
        let folder = FleetingFolder::make(&std::env::temp_dir())?;
        let (workers, known) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { form, model, commands, workers, folder, thresholds, known })
    }

    /// The worker of a release, with the model open.
    fn worker(&mut self, release: usize) -> Result<&mut Worker, ProbeError> {
        let place = match self.workers.entry(release) {
            Entry::Occupied(there) => return Ok(there.into_mut()),
            Entry::Vacant(place) => place,
        };
        let opening = Opening {
            subject: self.form.subject.options(),
            model: &self.model,
            kv: &self.form.kv,
            flash: true,
            n_ctx: CONTEXT,
            memory: Some(MEMORY),
        };
        let (worker, _) = opened(&self.commands[release], &opening, self.folder.path())?;
        Ok(place.insert(worker))
    }

    /// One release: loads what the one before it saved, goes on with it, saves it, and says whether it is what it should be.
    /// Gives whether tokens were evaluated again.
    fn step(&mut self, release: usize, at: usize) -> Result<Result<bool, String>, Stopped> {
        let file = |at: usize| self.folder.path().join(format!("step-{at}.json"));
        let (from, to) = (at.checked_sub(1).map(file), file(at));
        let scores = afresh::scores(SESSION, self.folder.path());
        let thresholds = self.thresholds.clone();
        let worker = self.worker(release).map_err(|error| Stopped::Told(error.to_string(), true))?;
        let mut again = false;
        if let Some(from) = from {
            let load = Load {
                path: from,
                session: Some(SESSION.to_owned()),
                reader_format: None,
                routes: None,
                parameters: ParameterSource::Saved,
                manifest: false,
            };
            if let Replied::Load(loaded) = asked(worker, Request::Load(load), false)? {
                again = loaded.receipt.route == "reprefilled" || loaded.receipt.route == "replayed";
            }
        }
        asked(worker, Request::Say(turn(at)), false)?;
        let save = Save { session: SESSION.to_owned(), path: to, format: None, manifest: false, own: false };
        asked(worker, Request::Save(save), false)?;
        let mut said = Vec::new();
        for score in scores {
            let (path, afresh) = (score.path.clone(), score.afresh);
            asked(worker, Request::Score(score), afresh)?;
            said.push(Logits::read(&path).map_err(|error| Stopped::Told(error.to_string(), true))?);
        }
        asked(worker, Request::Forget(Forget { session: SESSION.to_owned() }), true)?;
        let (is_near, evidence) = afresh::judged("session", &said[0], &said[1], &thresholds);
        Ok(if is_near { Ok(again) } else { Err(evidence) })
    }
}

/// What is said in a release: the session grows on its way.
fn turn(at: usize) -> Say {
    Say {
        session: SESSION.into(),
        system: (at == 0).then(|| "You keep the log of a lighthouse.".to_owned()),
        text: format!("What was written down on day {at}?"),
        reply: Some(format!(
            "On day {at} there were {} ships, and the wind came from the north.",
            at * 7 + 3
        )),
        max_tokens: None,
        greedy: true,
        cancel_after: None,
        stream: false,
    }
}

/// Asks for one thing. `is_ours`: where it is not done, nothing is said of the session.
fn asked(worker: &mut Worker, request: Request, is_ours: bool) -> Result<Replied, Stopped> {
    match worker.ask(request, PATIENCE, &mut |_| {}) {
        Ok(Outcome::Ok { result }) => Ok(*result),
        Ok(other) => {
            let (told, cannot) = told(&other);
            Err(Stopped::Told(told, is_ours || cannot))
        }
        Err(error) => Err(Stopped::Dead(error.to_string())),
    }
}

/// What an answer says, and whether it says that it cannot.
fn told(outcome: &Outcome) -> (String, bool) {
    match outcome {
        Outcome::Ok { .. } => ("done".to_owned(), false),
        Outcome::Refused(refusal) => (format!("{} ({})", refusal.message, refusal.code), false),
        Outcome::Unsupported { message, .. } => (message.clone(), true),
        Outcome::Error { message, .. } => (message.clone(), false),
    }
}

impl Play for Desk<'_> {
    fn play(&mut self, path: &[usize]) -> Ended {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let mut again = 0;
        let mut ended = None;
        for (at, release) in path.iter().enumerate() {
            let (fate, evidence) = match self.step(*release, at) {
                Ok(Ok(evaluated)) => {
                    again += usize::from(evaluated);
                    continue;
                }
                Ok(Err(evidence)) => (Fate::Wrong, evidence),
                Err(Stopped::Told(evidence, true)) => (Fate::Untried, evidence),
                Err(Stopped::Told(evidence, false)) => (Fate::Refused, evidence),
                Err(Stopped::Dead(evidence)) => (Fate::Wrong, evidence),
            };
            let evidence = evidence.replace(&format!("{}/", self.folder.path().display()), "");
            // Whatever is live in it is not what the next path expects.
            self.workers.remove(release);
            ended = Some(Ended { fate, at, evidence, again });
            break;
        }
        let ended = ended.unwrap_or_else(|| Ended {
            fate: Fate::Intact,
            at: path.len() - 1,
            evidence: String::new(),
            again,
        });
        self.known.insert(path.to_vec(), ended.clone());
        ended
    }
}
