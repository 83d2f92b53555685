//! The worker behind `check` and `chat`: found, started, opened with a model.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use intact_base::tool;
use intact_protocol::{Cage, FlashAttention, Hello, Open, Opened, Outcome, Replied, Request, Settings};

use super::Failure;
use super::models::model_file;
use crate::caging;
use crate::model_file::{telling, trouble};
use crate::recipe::LEAST_CONTEXT;
use crate::tags::{self, Release};
use crate::trust::WORKER;
use crate::worker::{Limits, Worker};

/// How long a worker may take to say who it is.
const GREETING: Duration = Duration::from_secs(60);
/// How long a worker may take to load a model. Models of many gigabytes come from slow disks.
const OPENING: Duration = Duration::from_secs(1800);

/// Tokens of a context at most: more than any model was trained with, and few enough for their sizes to be numbers.
const MOST_CONTEXT: i64 = 1 << 28;
/// As many threads as the engine takes.
pub(super) const MOST_THREADS: i64 = 512;

/// The model, and the settings of the context that sessions live in.
#[derive(Debug, Args)]
pub(super) struct ModelArguments {
    /// The model: a GGUF file, or `id:` and an id of `intact models list`
    #[arg(short, long, value_name = "FILE.gguf")]
    pub(super) model: PathBuf,

    #[command(flatten)]
    context: ContextArguments,
}

/// The settings of the context that sessions live in, and the worker that has it.
#[derive(Debug, Args)]
pub(super) struct ContextArguments {
    #[command(flatten)]
    settings: SettingArguments,

    /// The worker to use, instead of the one beside this command
    #[arg(long, value_name = "PROGRAM", env = "INTACT_WORKER")]
    worker: Option<PathBuf>,
}

/// The settings of the context that sessions live in.
#[derive(Debug, Clone, Args)]
pub(super) struct SettingArguments {
    /// Context length of a session, in tokens
    #[arg(
        long,
        value_name = "TOKENS",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(i64::from(LEAST_CONTEXT)..=MOST_CONTEXT),
        help_heading = "Context"
    )]
    context: u32,

    /// KV type of K and V, by ggml's name, for example q8_0
    ///
    /// A quantized V needs flash attention.
    #[arg(long, value_name = "TYPE", help_heading = "Context")]
    kv: Option<String>,

    /// Whether flash attention is used
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Context")]
    flash_attention: Option<When>,

    /// Threads that evaluate tokens [default: one for each processor]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=MOST_THREADS),
        help_heading = "Context"
    )]
    threads: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// llama.cpp decides
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// What to do where there is no worker.
pub(super) const MISSING_WORKER: &str = "the program intact-worker belongs beside intact: install both, in a clone by `./ci/intact`, or name it \
    with --worker or INTACT_WORKER. Without compiling llama.cpp: `intact tags fetch 0.5.0`, on which most commands can run";

/// There is no such model.
pub(super) fn missing_model(model: &Path) -> Failure {
    Failure::setup(format!("there is no model file {}", model.display()))
        .help("give a GGUF file; `intact models generate llama` makes a tiny one to try with")
}

/// A worker with a model open.
pub(super) struct Session {
    worker: Worker,
    command: Vec<String>,
    limits: Limits,
    open: Open,
    /// Who the worker is.
    pub(super) hello: Hello,
    /// What was opened.
    pub(super) opened: Opened,
}

impl ModelArguments {
    /// Starts a worker that may touch this besides the model, and opens the model in it.
    pub(super) fn open(self, cage: Cage) -> Result<Session, Failure> {
        self.context.open(&self.model, cage)
    }

    /// The same, where the texts of control tokens may be control tokens in messages.
    pub(super) fn open_for_chat(
        self,
        cage: Cage,
        control_tokens_in_content: bool,
    ) -> Result<Session, Failure> {
        self.context.start(&self.model, cage, control_tokens_in_content)
    }
}

impl ContextArguments {
    /// Starts a worker that may touch this besides a model, and opens the model in it.
    pub(super) fn open(self, model: &Path, cage: Cage) -> Result<Session, Failure> {
        self.start(model, cage, false)
    }

    fn start(self, model: &Path, cage: Cage, control_tokens_in_content: bool) -> Result<Session, Failure> {
        // The model first: one that is to be fetched says so before a worker is looked for.
        let model = model_file(model)?;
        let command = command(self.worker.as_deref())?;
        self.settings.start(command, &model, cage, control_tokens_in_content)
    }
}

impl fmt::Display for SettingArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.context)?;
        if let Some(kv) = &self.kv {
            write!(f, " in {kv}")?;
        }
        if let Some(when) = self.flash_attention {
            write!(f, ", flash attention {}", format!("{when:?}").to_lowercase())?;
        }
        self.threads.map_or(Ok(()), |threads| {
            write!(f, ", {}", crate::quantity::counted(threads as usize, "thread", "threads"))
        })
    }
}

impl SettingArguments {
    /// The type of K and V, where one is named.
    pub(super) fn kv(&self) -> Option<&str> {
        self.kv.as_deref()
    }

    /// Starts the worker of another release, which may touch this besides a model, and opens the model in it.
    pub(super) fn open_by(&self, command: Vec<String>, model: &Path, cage: Cage) -> Result<Session, Failure> {
        self.start(command, model, cage, false)
    }

    fn start(
        &self,
        command: Vec<String>,
        model: &Path,
        mut cage: Cage,
        control_tokens_in_content: bool,
    ) -> Result<Session, Failure> {
        let model = model_file(model)?;
        if !model.is_file() {
            return Err(missing_model(&model));
        }
        let settings = Settings {
            n_ctx: Some(self.context),
            threads: self.threads.or_else(processors),
            type_k: self.kv.clone(),
            type_v: self.kv.clone(),
            flash_attention: self.flash_attention.map(When::setting),
            ..Settings::default()
        };
        let open = Open { control_tokens_in_content, ..Open::new(model, settings) };
        cage.read.extend(caging::model(&open.model));
        let limits = Limits { cage, ..Limits::default() };
        Session::start(command, limits, open)
    }
}

fn processors() -> Option<u32> {
    std::thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok())
}

impl When {
    fn setting(self) -> FlashAttention {
        match self {
            Self::Auto => FlashAttention::Auto,
            Self::On => FlashAttention::On,
            Self::Off => FlashAttention::Off,
        }
    }
}

impl Session {
    fn start(command: Vec<String>, limits: Limits, open: Open) -> Result<Self, Failure> {
        let started = Worker::start_in(&command, &[], &limits, GREETING);
        let (mut worker, hello) = started.map_err(|error| Failure::setup(error).help(MISSING_WORKER))?;
        caging::tell(&hello);
        let outcome = worker.ask(Request::Open(Box::new(open.clone())), OPENING, &mut |_| {});
        let opened = match outcome {
            Ok(outcome) => match replied(outcome) {
                Ok(Replied::Open(opened)) => opened,
                other => {
                    return Err(unopened(
                        &format!("the model was not opened: {}", told(&other)),
                        &open,
                        &worker,
                    ));
                }
            },
            Err(error) => return Err(unopened(&error.to_string(), &open, &worker)),
        };
        Ok(Self { worker, command, limits, open, hello, opened })
    }

    /// Asks the worker; pieces of a streamed reply go to `on_text`. A failure means that the worker is dead; what could not
    /// even be asked is answered here, and the worker goes on.
    pub(super) fn ask(
        &mut self,
        request: Request,
        timeout: Duration,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Answered, Failure> {
        match self.worker.ask(request, timeout, on_text) {
            Ok(outcome) => Ok(replied(outcome)),
            Err(error) if error.leaves_worker_alive() => Ok(Err(Outcome::error(error.to_string()))),
            Err(error) => Err(Failure::setup(error).help(last_words(&self.worker))),
        }
    }

    /// A new worker in place of one that died. What was live in it is gone.
    pub(super) fn restart(self) -> Result<Self, Failure> {
        Self::start(self.command, self.limits, self.open)
    }

    /// Lets the worker go.
    pub(super) fn leave(self) {
        self.worker.leave(Duration::from_secs(5));
    }
}

/// What a request that was carried out gave, or the outcome that it had instead.
pub(super) type Answered = Result<Replied, Outcome>;

fn replied(outcome: Outcome) -> Answered {
    match outcome {
        Outcome::Ok { result } => Ok(*result),
        other => Err(other),
    }
}

/// An answer other than the one wished for, for a person.
pub(super) fn told(answer: &Answered) -> String {
    match answer {
        Err(Outcome::Refused(refusal)) if refusal.code.is_empty() => refusal.message.clone(),
        Err(Outcome::Refused(refusal)) => format!("{} ({})", refusal.message, refusal.code),
        Err(Outcome::Unsupported { message, .. }) => format!("the worker cannot do that: {message}"),
        Err(Outcome::Error { message, .. }) => message.clone(),
        Err(Outcome::Ok { .. }) | Ok(_) => "the worker answered another question than the one asked".into(),
    }
}

/// Why a model could not be opened: what its file is, else what the worker wrote.
fn unopened(error: &str, open: &Open, worker: &Worker) -> Failure {
    let failure = Failure::setup(error);
    let failure = match trouble(&open.model) {
        Some(trouble) => failure.help(format!("of {}, {trouble}", open.model.display())),
        None => failure,
    };
    let log = worker.log();
    let lines: Vec<String> = telling(&log).into_iter().map(super::table::plain).collect();
    if lines.is_empty() {
        failure.also(last_words(worker))
    } else {
        failure.also(format!("the worker wrote:\n{}", lines.join("\n")))
    }
}

fn last_words(worker: &Worker) -> String {
    let log = worker.log();
    let tail: Vec<_> = log.iter().rev().take(8).rev().map(|line| super::table::plain(line)).collect();
    if tail.is_empty() {
        "the worker wrote nothing about it".into()
    } else {
        format!("the worker's last words:\n{}", tail.join("\n"))
    }
}

/// The command line of the worker: the one given, else the one beside this command, else one in the search path, else the one that
/// opens the newest release whose libraries were fetched.
fn command(given: Option<&Path>) -> Result<Vec<String>, Failure> {
    match find(given) {
        Ok(found) => Ok(vec![found.display().to_string()]),
        Err(failure) if given.is_some() => Err(failure),
        Err(failure) => tags::default_home().as_deref().and_then(tags::standby).ok_or(failure),
    }
}

/// The worker that is linked with llama.cpp: the one given, else the one beside this command, else one in the search path.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return if given.components().count() > 1 && !given.is_file() {
            Err(Failure::setup(format!("there is no worker {}", given.display())))
        } else {
            Ok(given.to_owned())
        };
    }
    tool::beside(WORKER).or_else(|| tool::in_search_path(WORKER)).ok_or_else(|| {
        Failure::setup(format!("the worker {WORKER} is neither beside this command nor in the search path"))
            .help(MISSING_WORKER)
    })
}

/// The worker beside this command, and the release that it is linked with.
pub(super) struct Linked {
    release: String,
    command: Vec<String>,
}

impl Linked {
    /// Its command line, where it is of this release.
    pub(super) fn command_of(&self, release: &Release) -> Option<Vec<String>> {
        release.is_called(&self.release).then(|| self.command.clone())
    }
}

/// The worker that is linked with a release, where there is one.
pub(super) fn linked() -> Option<Linked> {
    let command = vec![find(None).ok()?.display().to_string()];
    let (worker, hello) = Worker::start(&command, GREETING).ok()?;
    worker.leave(GREETING);
    Some(Linked { release: hello.release, command })
}
