//! Scenarios: what is asked of workers to save a session, to load it elsewhere, and to know what is right.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use intact_protocol::{
    Forget, Load, Loaded, Logits, Message, Open, Opened, Outcome, ParameterSource, Refusal, Replied, Request,
    Role, Save, Say, Score, Settings,
};
use thiserror::Error;

use crate::config::{Conversation, Turn};
use crate::fault::SessionFiles;
use crate::judge::Harm;
use crate::worker::{Worker, WorkerError};

/// Id of the session that is saved and loaded.
pub const SESSION: &str = "session";
/// Id of the session that is live in the reader and has nothing to do with it.
pub const BYSTANDER: &str = "bystander";

/// A worker with a model open, and how long it may take to answer.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The worker.
    pub worker: &'a mut Worker,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// Which conversation is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Script {
    /// The one that is saved and loaded.
    Session,
    /// The one whose files take the other's place where a fault swaps them.
    Other,
    /// The one that is live while another is loaded.
    Bystander,
}

/// Why a step did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum StepError {
    /// The subject decided against it.
    #[error("{op} was refused ({code}): {message}", code = refusal.code, message = refusal.message)]
    Refused {
        /// The request.
        op: &'static str,
        /// What the subject said.
        refusal: Refusal,
    },
    /// The subject cannot do it.
    #[error("{op} is not supported: {message}")]
    Unsupported {
        /// The request.
        op: &'static str,
        /// What the subject said.
        message: String,
    },
    /// It failed.
    #[error("{op} failed: {message}")]
    Failed {
        /// The request.
        op: &'static str,
        /// What the subject said.
        message: String,
    },
    /// The worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// A saved session.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Its files.
    pub files: SessionFiles,
    /// Its tokens.
    pub tokens: u32,
    /// Digest of the parameters that were saved, where the subject tells.
    pub parameters: Option<String>,
}

/// What a load gave.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadOutcome {
    /// It reported success.
    Loaded(Box<Loaded>),
    /// It was refused.
    Refused(Refusal),
    /// It failed.
    Failed(String),
    /// The subject cannot do it.
    Unsupported(String),
}

impl Script {
    /// The turns of the conversation.
    #[must_use]
    pub fn turns(self, conversation: &Conversation) -> &[Turn] {
        match self {
            Self::Session => &conversation.session,
            Self::Other => &conversation.other,
            Self::Bystander => &conversation.bystander,
        }
    }

    /// A short name for files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Other => "other",
            Self::Bystander => "bystander",
        }
    }
}

impl Stage<'_> {
    /// Loads a model and takes settings for every session from now on.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn open(&mut self, model: &Path, settings: &Settings) -> Result<Opened, StepError> {
        let open = Open {
            model: model.to_owned(),
            settings: settings.clone(),
            preset: None,
            model_repo: None,
            forget_layouts: false,
        };
        match self.ask(Request::Open(Box::new(open)))? {
            Replied::Open(opened) => Ok(opened),
            other => Err(mismatch("open", &other)),
        }
    }

    /// Holds a conversation, with forced replies, in a new session.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn hold(
        &mut self,
        session: &str,
        script: Script,
        conversation: &Conversation,
    ) -> Result<(), StepError> {
        for (index, turn) in script.turns(conversation).iter().enumerate() {
            let say = Say {
                session: session.to_owned(),
                system: (index == 0).then(|| conversation.system.clone()),
                text: turn.user.clone(),
                reply: Some(turn.reply.clone()),
                max_tokens: None,
                greedy: true,
                stream: false,
            };
            match self.ask(Request::Say(say))? {
                Replied::Say(_) => {}
                other => return Err(mismatch("say", &other)),
            }
        }
        Ok(())
    }

    /// Saves a live session into a folder of its own.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn save(&mut self, session: &str, dir: &Path, format: Option<&str>) -> Result<Artifact, StepError> {
        let path = dir.join(format!("{session}.json"));
        fs::create_dir_all(dir).map_err(|error| StepError::Failed {
            op: "save",
            message: format!("{}: {error}", dir.display()),
        })?;
        let save =
            Save { session: session.to_owned(), path, format: format.map(str::to_owned), manifest: false };
        match self.ask(Request::Save(save))? {
            Replied::Save(saved) => Ok(Artifact {
                files: session_files(&saved.files)?,
                tokens: saved.tokens,
                parameters: saved.parameters,
            }),
            other => Err(mismatch("save", &other)),
        }
    }

    /// Loads a session file.
    ///
    /// # Errors
    /// [`WorkerError`]; everything that the subject says is an outcome.
    pub fn load(
        &mut self,
        document: &Path,
        reader_format: Option<&str>,
        routes: Option<&[String]>,
        parameters: ParameterSource,
    ) -> Result<LoadOutcome, WorkerError> {
        let load = Load {
            path: document.to_owned(),
            session: Some(SESSION.to_owned()),
            reader_format: reader_format.map(str::to_owned),
            routes: routes.map(<[String]>::to_vec),
            parameters,
            manifest: false,
        };
        let outcome = self.worker.ask(Request::Load(load), self.timeout, &mut |_| {})?;
        Ok(match outcome {
            Outcome::Refused(refusal) => LoadOutcome::Refused(refusal),
            Outcome::Unsupported { message, .. } => LoadOutcome::Unsupported(message),
            Outcome::Error { message } => LoadOutcome::Failed(message),
            Outcome::Ok { result } => match *result {
                Replied::Load(loaded) => LoadOutcome::Loaded(Box::new(loaded)),
                _ => {
                    let how = "it answered with the result of another request".to_owned();
                    return Err(WorkerError::Protocol { op: "load", how });
                }
            },
        })
    }

    /// Forces the continuation on a session and reads the logits.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn score(
        &mut self,
        session: &str,
        text: &str,
        tokens: u32,
        file: &Path,
    ) -> Result<Logits, StepError> {
        let score = Score {
            session: session.to_owned(),
            text: text.to_owned(),
            max_tokens: tokens,
            path: file.to_owned(),
        };
        match self.ask(Request::Score(score))? {
            Replied::Score(scored) => Logits::read(&scored.path)
                .map_err(|error| StepError::Failed { op: "score", message: error.to_string() }),
            other => Err(mismatch("score", &other)),
        }
    }

    /// Drops a session, whether or not it is live.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub fn forget(&mut self, session: &str) -> Result<(), WorkerError> {
        let forget = Request::Forget(Forget { session: session.to_owned() });
        self.worker.ask(forget, self.timeout, &mut |_| {}).map(|_| ())
    }

    /// Whether a live session still answers as one that was left alone.
    ///
    /// # Errors
    /// [`WorkerError`]; everything that the subject says of the session is a finding.
    pub fn harm(
        &mut self,
        session: &str,
        text: &str,
        tokens: u32,
        file: &Path,
        untouched: &Logits,
    ) -> Result<Harm, WorkerError> {
        match self.score(session, text, tokens, file) {
            Ok(logits) if is_bit_equal(&logits, untouched) => Ok(Harm::None),
            Ok(_) => Ok(Harm::Done(format!("`{session}` answers with other logits than before"))),
            Err(StepError::Worker(error)) => Err(error),
            Err(error) => Ok(Harm::Done(format!("`{session}` no longer answers: {error}"))),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Replied, StepError> {
        let op = crate::worker::operation(&request);
        match self.worker.ask(request, self.timeout, &mut |_| {})? {
            Outcome::Ok { result } => Ok(*result),
            Outcome::Refused(refusal) => Err(StepError::Refused { op, refusal }),
            Outcome::Unsupported { message, .. } => Err(StepError::Unsupported { op, message }),
            Outcome::Error { message } => Err(StepError::Failed { op, message }),
        }
    }
}

/// The chat that a script leaves behind.
#[must_use]
pub fn history(script: Script, conversation: &Conversation) -> Vec<Message> {
    let message = |role, text: &str| Message { role, text: text.to_owned() };
    let system = [message(Role::System, &conversation.system)];
    let turns = script.turns(conversation);
    let said = turns
        .iter()
        .flat_map(|turn| [message(Role::User, &turn.user), message(Role::Assistant, &turn.reply)]);
    system.into_iter().filter(|message| !message.text.is_empty()).chain(said).collect()
}

/// What a loaded chat differs in from the one that was held.
#[must_use]
pub fn history_difference(held: &[Message], loaded: &[Message]) -> Option<String> {
    if let Some(index) = held.iter().zip(loaded).position(|(held, loaded)| held != loaded) {
        return Some(format!(
            "message {} was {:?} and is {:?}.",
            index + 1,
            excerpt(&held[index].text),
            excerpt(&loaded[index].text)
        ));
    }
    (held.len() != loaded.len()).then(|| format!("it had {} messages and has {}.", held.len(), loaded.len()))
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A subject names the session file first; the image is the first file beside it that is no JSON.
fn session_files(files: &[PathBuf]) -> Result<SessionFiles, StepError> {
    let (document, beside) = files
        .split_first()
        .ok_or_else(|| StepError::Failed { op: "save", message: "it names no file that it wrote".into() })?;
    let image = beside.iter().find(|file| file.extension().is_none_or(|extension| extension != "json"));
    Ok(SessionFiles { document: document.clone(), image: image.cloned() })
}

fn is_bit_equal(left: &Logits, right: &Logits) -> bool {
    let bits = |logits: &Logits| logits.rows().flatten().map(|logit| logit.to_bits()).collect::<Vec<_>>();
    left.n_vocab() == right.n_vocab() && bits(left) == bits(right)
}

fn mismatch(op: &'static str, replied: &Replied) -> StepError {
    let result = format!("{replied:?}");
    let name = result.split(['(', ' ']).next().unwrap_or_default();
    StepError::Worker(WorkerError::Protocol { op, how: format!("it answered with the result of {name}") })
}
