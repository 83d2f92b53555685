//! What is said to a worker that is measured, one operation at a time.

use std::path::Path;
use std::time::Duration;

use intact_protocol::{
    Cage, FlashAttention, Floor, Forget, Hello, Load, Loaded, Open, Outcome, ParameterSource, Replied,
    Request, Said, Save, Saved, Say, Settings, Timings, Work,
};

use super::{MeasureError, Setting};
use crate::caging;
use crate::worker::{Limits, Worker};

/// How long one answer may take. Evaluating a long session on one thread takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);
const LEAVING: Duration = Duration::from_secs(5);

/// Id of the session that is measured.
const SESSION: &str = "perf";
/// What fills a session up to its tokens.
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog. ";
const SHORT_REPLY: &str = "Indeed.";
/// Room that a session leaves in its context, in tokens.
const ROOM: u32 = 768;
/// Bytes that a floor works through at least, so that its time is well above the clock's resolution.
const FLOOR_BYTES: u64 = 64 << 20;

/// A worker, and its command line for messages.
#[derive(Debug)]
pub(super) struct Conversation {
    worker: Worker,
    command: String,
}

/// The result of an operation, or why the worker did not carry it out. A worker that died is an error instead.
pub(super) type Answered<T> = Result<Result<T, String>, MeasureError>;

impl Conversation {
    /// Starts a worker that reads this model and writes to this folder.
    pub(super) fn start(
        command: &[String],
        model: &Path,
        folder: &Path,
    ) -> Result<(Self, Hello), MeasureError> {
        let name = command.join(" ");
        let cage = Cage { read: caging::model(model), write: vec![folder.to_owned()] };
        let limits = Limits { cage, ..Limits::default() };
        let started = Worker::start_in(command, &[], &limits, PATIENCE);
        let (worker, hello) =
            started.map_err(|source| MeasureError::Worker { command: name.clone(), source })?;
        Ok((Self { worker, command: name }, hello))
    }

    pub(super) fn leave(self) {
        self.worker.leave(LEAVING);
    }

    /// Opens the setting's model for sessions of this KV type.
    pub(super) fn open(&mut self, setting: &Setting, kv: &str, attention: FlashAttention) -> Answered<()> {
        let settings = Settings {
            n_ctx: Some(setting.tokens + ROOM),
            threads: Some(setting.threads),
            type_k: Some(kv.to_owned()),
            type_v: Some(kv.to_owned()),
            flash_attention: Some(attention),
            ..Settings::default()
        };
        let open = Open::new(setting.model.clone(), settings);
        self.ask(Request::Open(Box::new(open)), |replied| matches!(replied, Replied::Open(_)).then_some(()))
    }

    /// Starts the session and fills it with about so many tokens.
    pub(super) fn fill(&mut self, tokens: u32) -> Answered<()> {
        // What one sentence takes and what the template adds are learnt from two short sessions.
        let mut lengths = [0; 2];
        for (sentences, length) in [1, 9].into_iter().zip(&mut lengths) {
            match self.say("probe", sentences, Some(SHORT_REPLY))? {
                Ok(said) => *length = said.tokens,
                Err(reason) => return Ok(Err(reason)),
            }
            let forget = Request::Forget(Forget { session: "probe".to_owned() });
            if let Err(reason) =
                self.ask(forget, |replied| matches!(replied, Replied::Forget).then_some(()))?
            {
                return Ok(Err(reason));
            }
        }
        let of_sentence = lengths[1].saturating_sub(lengths[0]).div_ceil(8).max(1);
        let framing = lengths[0].saturating_sub(of_sentence);
        let sentences = tokens.saturating_sub(framing) / of_sentence;
        let said = self.say(SESSION, sentences.max(1), Some(SHORT_REPLY))?;
        Ok(said.map(|_| ()))
    }

    /// One more turn of a few sentences.
    pub(super) fn turn(&mut self) -> Answered<()> {
        Ok(self.say(SESSION, 2, Some(SHORT_REPLY))?.map(|_| ()))
    }

    /// Seconds from a short message to the first text of the reply.
    pub(super) fn first_text(&mut self) -> Answered<f64> {
        let said = self.say(SESSION, 1, None)?;
        Ok(said.and_then(|said| {
            let first = said.timings.steps.get("first-text").copied();
            measured(first.unwrap_or(said.timings.total_seconds))
        }))
    }

    fn say(&mut self, session: &str, sentences: u32, reply: Option<&str>) -> Answered<Said> {
        let say = Say {
            session: session.to_owned(),
            system: None,
            text: SENTENCE.repeat(sentences as usize),
            reply: reply.map(str::to_owned),
            max_tokens: Some(4),
            greedy: true,
            cancel_after: None,
            stream: false,
        };
        self.ask(Request::Say(say), |replied| match replied {
            Replied::Say(said) => Some(said),
            _ => None,
        })
    }

    pub(super) fn save(&mut self, path: &Path) -> Answered<Saved> {
        let save = Save {
            session: SESSION.to_owned(),
            path: path.to_owned(),
            format: None,
            manifest: false,
            own: false,
        };
        self.ask(Request::Save(save), |replied| match replied {
            Replied::Save(saved) => Some(saved),
            _ => None,
        })
    }

    /// Loads by this route alone; `None` leaves the choice to the subject.
    pub(super) fn load(&mut self, path: &Path, route: Option<&str>) -> Answered<Loaded> {
        let load = Load {
            path: path.to_owned(),
            session: Some(SESSION.to_owned()),
            reader_format: None,
            routes: route.map(|route| vec![route.to_owned()]),
            parameters: ParameterSource::Saved,
            manifest: false,
        };
        let loaded = self.ask(Request::Load(load), |replied| match replied {
            Replied::Load(loaded) => Some(loaded),
            _ => None,
        })?;
        Ok(loaded.and_then(|loaded| match route {
            Some(wanted) if wanted != loaded.receipt.route => {
                Err(format!("it was loaded by the route {}, not {wanted}", loaded.receipt.route))
            }
            _ => Ok(loaded),
        }))
    }

    pub(super) fn floor(&mut self, work: Work, bytes: u64) -> Answered<Timings> {
        let times = u32::try_from(FLOOR_BYTES.div_ceil(bytes.max(1))).unwrap_or(u32::MAX);
        self.ask(Request::Floor(Floor { work, bytes, times }), |replied| match replied {
            Replied::Floor(timings) => Some(timings),
            _ => None,
        })
    }

    fn ask<T>(&mut self, request: Request, wanted: impl FnOnce(Replied) -> Option<T>) -> Answered<T> {
        let operation = request.operation();
        let outcome = self
            .worker
            .ask(request, PATIENCE, &mut |_| {})
            .map_err(|source| MeasureError::Worker { command: self.command.clone(), source })?;
        Ok(match outcome {
            Outcome::Ok { result } => {
                wanted(*result).ok_or_else(|| format!("`{operation}` was answered with another result"))
            }
            Outcome::Refused(refusal) => Err(format!("`{operation}` was refused: {}", refusal.message)),
            Outcome::Unsupported { message, .. } => Err(format!("`{operation}` is not supported: {message}")),
            Outcome::Error { message, .. } => Err(format!("`{operation}` failed: {message}")),
        })
    }
}

/// A time that was measured at all.
pub(super) fn measured(seconds: f64) -> Result<f64, String> {
    if seconds > 0.0 {
        return Ok(seconds);
    }
    Err("the worker does not measure it; build it from these sources".to_owned())
}
