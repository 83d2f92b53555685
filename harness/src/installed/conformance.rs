//! What a worker can do of the protocol: every operation tried once, on a tiny model, and what is missing.

use std::path::Path;
use std::time::Duration;

use intact_protocol::{
    Cage, Forget, Load, Logits, Open, Outcome as Answer, ParameterSource, Replied, Request, Save, Say, Score,
    Settings,
};

use crate::caging;
use crate::quantity::counted;
use crate::worker::{Limits, Worker, WorkerError};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What a worker must do.
    pub must: &'static str,
    /// What this one did.
    pub outcome: Outcome,
}

/// What a worker did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it must.
    Met(String),
    /// It says that it cannot: cells that need it are shown as `unsupported`.
    Unsupported(String),
    /// Something else: nothing that it says can be trusted until that is mended.
    Broken(String),
}

const PATIENCE: Duration = Duration::from_secs(60);
const SESSION: &str = "probe";
const CONTINUATION: &str = "And so it went on.";

/// Starts a worker and asks it everything once. `scratch` is a folder for what it writes.
///
/// # Errors
/// Where it cannot be started, or does not pass the compliance probe: nothing more can be asked.
pub fn conformance(command: &[String], model: &Path, scratch: &Path) -> Result<Vec<Check>, WorkerError> {
    let cage = Cage { read: caging::model(model), write: vec![scratch.to_owned()] };
    let limits = Limits { cage, ..Limits::default() };
    let (worker, hello) = Worker::start_in(command, &[], &limits, PATIENCE)?;
    let who = format!("{} {}, llama.cpp {}", hello.subject, hello.version, hello.release);
    let mut probe = Probe { worker, checks: vec![] };
    probe.note("answer `hello`, and a request that nobody knows with `unsupported`", Outcome::Met(who));
    probe.ask_everything(model, scratch)?;
    let Probe { worker, checks } = probe;
    worker.leave(PATIENCE);
    Ok(checks)
}

struct Probe {
    worker: Worker,
    checks: Vec<Check>,
}

impl Probe {
    fn ask_everything(&mut self, model: &Path, scratch: &Path) -> Result<(), WorkerError> {
        let settings = Settings { n_ctx: Some(512), threads: Some(1), ..Settings::default() };
        let open = Open::new(model, settings);
        let opened = self.ask("open a model", Request::Open(Box::new(open)))?;
        if opened.is_none() {
            return Ok(());
        }
        self.ask("hold a conversation with forced replies", Request::Say(say()))?;
        let path = scratch.join("probe.json");
        let save =
            Save { session: SESSION.into(), path: path.clone(), format: None, manifest: false, own: false };
        let saved = self.ask("save it", Request::Save(save))?;
        let before = self.score(scratch, "before.logits")?;
        if let Some(Replied::Save(saved)) = saved {
            let missing = saved.files.iter().find(|file| !file.is_file());
            let outcome = missing.map_or_else(
                || Outcome::Met(format!("{} files", saved.files.len())),
                |file| Outcome::Broken(format!("there is no file {}", file.display())),
            );
            self.note("name the files that it wrote, the session file first", outcome);
            self.ask("drop a session", Request::Forget(Forget { session: SESSION.into() }))?;
            self.load(&path, scratch, before.as_ref())?;
        }
        self.unknown_session(scratch)?;
        Ok(())
    }

    fn load(&mut self, path: &Path, scratch: &Path, before: Option<&Logits>) -> Result<(), WorkerError> {
        let load = Load {
            path: path.to_owned(),
            session: Some(SESSION.into()),
            reader_format: None,
            routes: None,
            parameters: ParameterSource::Saved,
            manifest: false,
        };
        let loaded = self.ask("load it, and say how many tokens were restored", Request::Load(load))?;
        if loaded.is_none() {
            return Ok(());
        }
        let after = self.score(scratch, "after.logits")?;
        if let (Some(before), Some(after)) = (before, after) {
            let same = before == &after;
            let outcome = if same {
                Outcome::Met(format!(
                    "{}, the same {}",
                    counted(after.rows().len(), "row", "rows"),
                    after.oracle().name()
                ))
            } else {
                Outcome::Broken(
                    "it answers differently after the load than before the save: does it evaluate the same tokens in \
                     the same batches?"
                        .into(),
                )
            };
            self.note("answer after the load as before the save", outcome);
        }
        Ok(())
    }

    fn score(&mut self, scratch: &Path, name: &str) -> Result<Option<Logits>, WorkerError> {
        let path = scratch.join(name);
        let score = Score {
            session: SESSION.into(),
            text: CONTINUATION.into(),
            max_tokens: 8,
            path: path.clone(),
            afresh: false,
        };
        let Some(Replied::Score(scored)) =
            self.ask("score forced tokens into a file", Request::Score(score))?
        else {
            return Ok(None);
        };
        let must = "write as many rows as there are forced tokens, and one more";
        let read = Logits::read(&scored.path);
        let outcome = match &read {
            Err(error) => Outcome::Broken(error.to_string()),
            Ok(logits) if logits.rows().len() != scored.tokens.len() + 1 => {
                Outcome::Broken(format!("{} rows for {} tokens", logits.rows().len(), scored.tokens.len()))
            }
            Ok(logits) => Outcome::Met(format!("{} rows of {}", logits.rows().len(), logits.oracle().name())),
        };
        self.note(must, outcome);
        Ok(read.ok())
    }

    /// A session that is not live is a mistake of the harness, and must not cost the worker its life.
    fn unknown_session(&mut self, scratch: &Path) -> Result<(), WorkerError> {
        let save = Save {
            session: "nobody".into(),
            path: scratch.join("nobody.json"),
            format: None,
            manifest: false,
            own: false,
        };
        let outcome = match self.worker.ask(Request::Save(save), PATIENCE, &mut |_| {})? {
            Answer::Refused(refusal) if !refusal.code.is_empty() => Outcome::Met(refusal.message),
            Answer::Refused(_) => Outcome::Broken("the refusal has no code".into()),
            Answer::Ok { .. } => Outcome::Broken("it reports success".into()),
            Answer::Unsupported { message, .. } | Answer::Error { message, .. } => Outcome::Broken(message),
        };
        self.note("refuse to save a session that is not live, with a code", outcome);
        Ok(())
    }

    /// Asks; what is given is the result, where there is one.
    fn ask(&mut self, must: &'static str, request: Request) -> Result<Option<Replied>, WorkerError> {
        let op = request.operation();
        let (outcome, replied) = match self.worker.ask(request, PATIENCE, &mut |_| {})? {
            Answer::Ok { result } => {
                let told = said(&result);
                if told.0 == op {
                    (Outcome::Met(told.1), Some(*result))
                } else {
                    (Outcome::Broken(format!("it answers `{op}` with the result of `{}`", told.0)), None)
                }
            }
            Answer::Unsupported { message, .. } => (Outcome::Unsupported(message), None),
            Answer::Refused(refusal) => {
                (Outcome::Broken(format!("it refuses ({}): {}", refusal.code, refusal.message)), None)
            }
            Answer::Error { message, .. } => (Outcome::Broken(message), None),
        };
        self.note(must, outcome);
        Ok(replied)
    }

    fn note(&mut self, must: &'static str, outcome: Outcome) {
        self.checks.push(Check { must, outcome });
    }
}

fn say() -> Say {
    Say {
        session: SESSION.into(),
        system: Some("Be brief.".into()),
        text: "What did you see?".into(),
        reply: Some("Three ships and a whale.".into()),
        max_tokens: None,
        greedy: true,
        cancel_after: None,
        stream: false,
    }
}

/// The operation that a result belongs to, and what is worth telling of it.
fn said(replied: &Replied) -> (String, String) {
    let value = serde_json::to_value(replied).unwrap_or_default();
    let op = value.get("op").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let told = match replied {
        Replied::Open(opened) => format!("{}, {} tokens of context", opened.architecture, opened.n_ctx),
        Replied::Say(said) => format!("{} tokens", said.tokens),
        Replied::Save(saved) => format!("{} bytes", saved.bytes),
        Replied::Load(loaded) => {
            let receipt = &loaded.receipt;
            format!("{} tokens restored, {} evaluated", receipt.tokens_restored, receipt.tokens_evaluated)
        }
        _ => String::new(),
    };
    (op, told)
}
