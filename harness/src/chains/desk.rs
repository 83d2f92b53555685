//! Playing paths: a worker for each release, kept as long as it lives.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use intact_matrix::Limits as Thresholds;
use intact_protocol::{
    Cage, FlashAttention, Forget, Load, Logits, Open, Outcome, ParameterSource, Replied, Request, Save, Say,
    Score, Settings,
};

use super::{Ended, Fate, Play};
use crate::caging;
use crate::distance::Distance;
use crate::fleeting::FleetingFolder;
use crate::tags::{ProbeError, started};
use crate::worker::{Limits, Worker};

/// Longest wait for one answer. The models are tiny.
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory that a worker may take: older releases take what they misread for a count of cells.
const MEMORY: u64 = 4 << 30;
/// Room for a session that grows with every release it goes through.
const CONTEXT: u32 = 4096;
/// Tokens after a session that are compared.
const COMPARED: u32 = 8;
/// What is said after it.
const CONTINUATION: &str = "The lamp was lit at dusk, and the keeper wrote down every ship that passed.";
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
        let options = self.form.subject.options().iter().map(|word| (*word).to_owned());
        let command: Vec<String> = self.commands[release].iter().cloned().chain(options).collect();
        let folder = self.folder.path().to_owned();
        let mut read = caging::model(&self.model);
        read.push(folder.clone());
        let limits = Limits { memory: Some(MEMORY), cage: Cage { read, write: vec![folder] } };
        let (mut worker, _) = started(&command, &limits)?;
        let settings = Settings {
            n_ctx: Some(CONTEXT),
            type_k: Some(self.form.kv.clone()),
            type_v: Some(self.form.kv.clone()),
            flash_attention: Some(FlashAttention::On),
            threads: Some(1),
            ..Settings::default()
        };
        let open = Request::Open(Box::new(Open::new(&self.model, settings)));
        match worker.ask(open, PATIENCE, &mut |_| {})? {
            Outcome::Ok { .. } => Ok(place.insert(worker)),
            other => Err(ProbeError::Declined { op: "open", why: told(&other).0 }),
        }
    }

    /// One release: loads what the one before it saved, goes on with it, saves it, and says whether it is what it should be.
    /// Gives whether tokens were evaluated again.
    fn step(&mut self, release: usize, at: usize) -> Result<Result<bool, String>, Stopped> {
        let file = |at: usize| self.folder.path().join(format!("step-{at}.json"));
        let (from, to) = (at.checked_sub(1).map(file), file(at));
        let logits = ["afresh", "restored"].map(|name| self.folder.path().join(format!("{name}.logits")));
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
        // First the copy, whose tokens are evaluated again: the session itself goes on with what it says.
        for (path, afresh) in logits.iter().zip([true, false]) {
            let score = Score {
                session: SESSION.to_owned(),
                text: CONTINUATION.to_owned(),
                max_tokens: COMPARED,
                path: path.clone(),
                afresh,
            };
            asked(worker, Request::Score(score), afresh)?;
            said.push(Logits::read(path).map_err(|error| Stopped::Told(error.to_string(), true))?);
        }
        asked(worker, Request::Forget(Forget { session: SESSION.to_owned() }), true)?;
        Ok(judged(&said[0], &said[1], &thresholds).map(|()| again))
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

/// What was said after the session against what is said after the same tokens, evaluated again.
fn judged(reference: &Logits, observed: &Logits, limits: &Thresholds) -> Result<(), String> {
    let Some(distance) = Distance::between(reference, observed) else {
        return Err("what the model says cannot be compared".to_owned());
    };
    if distance.bit_equal || distance.is_within_limits(limits) {
        return Ok(());
    }
    Err(format!(
        "after the session and after its tokens the model differs by KL {:.1e}, and agrees on {:.0} % of the likeliest tokens",
        distance.kl,
        distance.top1_agreement * 100.0
    ))
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
