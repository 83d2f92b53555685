//! Scenarios: what is asked of workers to save a session, to load it elsewhere, and to know what is right.

mod growth;
mod loading;
mod step;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use intact_fixtures::AdapterKind;
use intact_protocol::{
    CleanUp, Forget, Logits, Message, Open, Opened, Outcome, Replied, Request, Role, Save, Say, Score, Start,
};

use crate::config::{Conversation, Turn};
use crate::fault::SessionFiles;
use crate::judge::Harm;
use crate::recipe::{Place, SessionForm};
use crate::worker::{Worker, WorkerError};
pub use growth::Grown;
pub use loading::LoadOutcome;
pub use step::StepError;

/// Id of the session that is saved and loaded.
pub const SESSION: &str = "session";
/// Id of the session that is live in the reader and has nothing to do with it.
pub const BYSTANDER: &str = "bystander";

/// A worker with a model open, and how long it may take to answer.
#[derive(Debug)]
pub struct OpenWorker<'a> {
    /// The worker.
    pub worker: &'a mut Worker,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// When it must be done with what it is at as a whole, if there is such a time.
    pub deadline: Option<Instant>,
}

/// Which conversation is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialogue {
    /// The one that is saved and loaded.
    Session,
    /// The one whose files take the other's place where a fault swaps them.
    Other,
    /// The one that is live while another is loaded.
    Bystander,
}

/// A session that is held: what is still to be said at its start, and its chat so far.
struct Said {
    session: String,
    system: Option<String>,
    history: Vec<Message>,
}

impl Said {
    fn new(session: &str, system: &str) -> Self {
        let message = Message::new(Role::System, system);
        let history = Some(message).filter(|message| !message.text.is_empty()).into_iter().collect();
        Self { session: session.to_owned(), system: Some(system.to_owned()), history }
    }
}

/// How a reply comes about.
#[derive(Clone, Copy)]
enum Reply<'a> {
    /// It is forced.
    Forced(&'a str),
    /// It is generated greedily, and cancelled after so many tokens.
    Interrupted(u32),
}

/// A reply of one token in any vocabulary. It is not generated: models and settings would choose another one each.
const ONE_TOKEN: &str = ".";
/// How often a long session repeats the turns.
const LONG: usize = 5;
/// Tokens after which a reply is interrupted.
const INTERRUPTED: u32 = 8;
/// The strategy by which older messages leave the context.
const CLEAN_UP: &str = "KeepSystemPromptAndHalf";
/// Code of a cancelled reply.
const CANCELLED: &str = "cancelled";

/// A saved session.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Its files.
    pub files: SessionFiles,
    /// Its tokens.
    pub tokens: u32,
    /// Digest of the parameters that were saved, where the subject tells.
    pub parameters: Option<String>,
    /// The chat that was held.
    pub history: Vec<Message>,
}

/// Something that a model is opened with.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// What it is.
    pub kind: AdapterKind,
    /// Its file.
    pub path: PathBuf,
    /// How strongly it is applied.
    pub scale: f32,
}

impl Dialogue {
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

impl OpenWorker<'_> {
    /// How long the next answer may take.
    fn patience(&self) -> Duration {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// Loads a model and takes settings for every session from now on.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn open(&mut self, model: &Path, place: &Place, adapters: &[Adapter]) -> Result<Opened, StepError> {
        let mut settings = place.settings.clone();
        for Adapter { kind, path, scale } in adapters {
            let files = match kind {
                AdapterKind::Lora => &mut settings.lora,
                AdapterKind::ControlVector => &mut settings.control_vectors,
            };
            files.push((path.clone(), *scale));
        }
        let open = Open {
            model: model.to_owned(),
            settings,
            preset: place.preset.clone(),
            model_repo: None,
            forget_layouts: place.forgets_layouts,
            control_tokens_in_content: false,
        };
        match self.ask(Request::Open(Box::new(open)))? {
            Replied::Open(opened) => Ok(opened),
            other => Err(mismatch("open", &other)),
        }
    }

    /// Holds a conversation in a new session, with forced replies unless its form asks for others, and gives the chat
    /// that it left behind.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn hold(
        &mut self,
        session: &str,
        dialogue: Dialogue,
        form: SessionForm,
        conversation: &Conversation,
    ) -> Result<Vec<Message>, StepError> {
        let turns = dialogue.turns(conversation);
        let mut said = Said::new(session, &conversation.system);
        match form {
            SessionForm::Empty => {
                self.start(session, Some(String::new()))?;
                return Ok(Vec::new());
            }
            SessionForm::OneToken => {
                let text = turns.first().map_or("", |turn| turn.user.as_str());
                self.say(&mut said, text, Reply::Forced(ONE_TOKEN))?;
            }
            SessionForm::Long => {
                for turn in (0..LONG).flat_map(|_| turns) {
                    self.say(&mut said, &turn.user, Reply::Forced(&turn.reply))?;
                }
            }
            SessionForm::Turns | SessionForm::Interrupted | SessionForm::Pending | SessionForm::CleanedUp => {
                for turn in turns {
                    self.say(&mut said, &turn.user, Reply::Forced(&turn.reply))?;
                }
            }
        }
        match form {
            SessionForm::Interrupted => {
                self.say(&mut said, &conversation.question, Reply::Interrupted(INTERRUPTED))?;
            }
            SessionForm::Pending => {
                self.say(&mut said, &conversation.question, Reply::Interrupted(0))?;
            }
            SessionForm::CleanedUp | SessionForm::Long => self.clean_up(session)?,
            _ => {}
        }
        Ok(said.history)
    }

    /// Says something and gives the text that is sampled for it.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn sample(&mut self, session: &str, text: &str, tokens: u32) -> Result<String, StepError> {
        let say = Say {
            session: session.to_owned(),
            system: None,
            text: text.to_owned(),
            reply: None,
            max_tokens: Some(tokens),
            greedy: false,
            cancel_after: None,
            stream: false,
        };
        match self.ask(Request::Say(say))? {
            Replied::Say(said) => Ok(said.text),
            other => Err(mismatch("say", &other)),
        }
    }

    /// Says something, and gives the tokens of the session then; 0 where the reply was interrupted.
    fn say(&mut self, so_far: &mut Said, text: &str, reply: Reply<'_>) -> Result<u32, StepError> {
        let (forced, cancel_after) = match reply {
            Reply::Forced(reply) => (Some(reply.to_owned()), None),
            Reply::Interrupted(after) => (None, Some(after)),
        };
        let say = Say {
            session: so_far.session.clone(),
            system: so_far.system.take(),
            text: text.to_owned(),
            reply: forced,
            max_tokens: None,
            greedy: true,
            cancel_after,
            stream: false,
        };
        let mut note = |role, text: &str| so_far.history.push(Message::new(role, text));
        note(Role::User, text);
        match self.ask(Request::Say(say)) {
            Ok(Replied::Say(said)) => {
                note(Role::Assistant, &said.text);
                Ok(said.tokens)
            }
            Ok(other) => Err(mismatch("say", &other)),
            Err(StepError::Refused { refusal, .. })
                if cancel_after.is_some() && refusal.code == CANCELLED =>
            {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn start(&mut self, session: &str, system: Option<String>) -> Result<(), StepError> {
        match self.ask(Request::Start(Start { session: session.to_owned(), system }))? {
            Replied::Start => Ok(()),
            other => Err(mismatch("start", &other)),
        }
    }

    fn clean_up(&mut self, session: &str) -> Result<(), StepError> {
        let clean_up = CleanUp { session: session.to_owned(), strategy: CLEAN_UP.to_owned() };
        match self.ask(Request::CleanUp(clean_up))? {
            Replied::CleanUp => Ok(()),
            other => Err(mismatch("clean-up", &other)),
        }
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
        let save = Save {
            session: session.to_owned(),
            path,
            format: format.map(str::to_owned),
            manifest: false,
            own: false,
        };
        match self.ask(Request::Save(save))? {
            Replied::Save(saved) => Ok(Artifact {
                files: session_files(&saved.files)?,
                tokens: saved.tokens,
                parameters: saved.parameters,
                history: Vec::new(),
            }),
            other => Err(mismatch("save", &other)),
        }
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
        self.scored(session, text, tokens, file, false)
    }

    /// The same of a copy of the session that is evaluated again, in another batch shape; the session stays as it is.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn score_afresh(
        &mut self,
        session: &str,
        text: &str,
        tokens: u32,
        file: &Path,
    ) -> Result<Logits, StepError> {
        self.scored(session, text, tokens, file, true)
    }

    fn scored(
        &mut self,
        session: &str,
        text: &str,
        tokens: u32,
        file: &Path,
        afresh: bool,
    ) -> Result<Logits, StepError> {
        let score = Score {
            session: session.to_owned(),
            text: text.to_owned(),
            max_tokens: tokens,
            path: file.to_owned(),
            afresh,
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
        self.worker.ask(forget, self.patience(), &mut |_| {}).map(|_| ())
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
            Err(StepError::Worker { error }) => Err(error),
            Err(error) => Ok(Harm::Done(format!("`{session}` no longer answers: {error}"))),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Replied, StepError> {
        let op = request.operation();
        match self.worker.ask(request, self.patience(), &mut |_| {})? {
            Outcome::Ok { result } => Ok(*result),
            Outcome::Refused(refusal) => Err(StepError::Refused { op, refusal }),
            Outcome::Unsupported { message, .. } => Err(StepError::Unsupported { op, message }),
            Outcome::Error { message, no_room: true } => Err(StepError::NoRoom { op, message }),
            Outcome::Error { message, no_room: false } => Err(StepError::Failed { op, message }),
        }
    }
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
    let name = replied.name();
    WorkerError::Protocol { op, how: format!("it answered with the result of {name}") }.into()
}
