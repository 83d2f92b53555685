//! `intact chat`: talk to a model in the terminal, save the session, load it again.

mod files;
mod input;
mod kept;
mod line;
mod reach;
mod sealing;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use intact_format::image::Durable;
use intact_format::inputs::TemplateInputs;
use intact_format::place::{FileSink, FileSource, sidecar_path};
use intact_format::regular;
use intact_format::route::RefusalCode;
use intact_format::session_id::SessionId;
use intact_format::text::without_byte_order_mark;
use intact_protocol::{
    CAGED_FILES, Give, Inputs, Load, Loaded, Outcome, ParameterSource, Replied, Request, Save, Saved, Say,
};
use intact_seal::Form;
use serde::de::IgnoredAny;

use super::Failure;
use super::check::route;
use super::keys::LockArguments;
use super::policy::Policy;
use super::scratch::ScratchArguments;
use super::stored::{form_name, refused};
use super::table::plain;
use super::worker::{Answered, ModelArguments, Session, told};
use crate::exit::Exit;
use crate::quantity::counted;
use files::{FLAG, Files, unless_untold};
use input::Input;
use kept::Kept;
use line::Line;
use reach::Reach;
use sealing::{Plain, Readable, Sealing};

/// How long one answer may take before the worker counts as stuck.
const PATIENCE: Duration = Duration::from_secs(3600);

const HELP: &str = "\
/save [FILE]  save the session (default: the store, else the file it came from or was saved to, else
              <session>.json); only what it came from is replaced
/save --replace [FILE]  the same, over whatever session is there
/load FILE    load a session and go on with it
/tools [FILE] give the model the tools of a JSON array; without a file, take all away
/new [ID]     start a new session
/help         this text
/quit         leave (so does the end of input)
Anything else is said to the model. A message that starts with / is written with //; one of several lines stands between two\nlines of \"\"\".";

/// Talk to a model in the terminal; save the session and load it again
///
/// /save [FILE] saves, /load FILE loads, /quit leaves, /help lists the rest. Reads standard input line by line, so that
/// a conversation can also be piped in; the exit code is then that of the worst error.
///
/// A sealed or compressed session stays sealed or compressed when it is saved again. With --recipient or --sealed all
/// sessions are saved sealed, and those that are not are refused. The worker gets no keys: it reads and writes a plain
/// session in a folder (--scratch) that only you can read and that is removed at once, also when this command is
/// interrupted or killed.
#[derive(Debug, Args)]
pub(super) struct Chat {
    #[command(flatten)]
    model: ModelArguments,

    /// The system prompt, which comes before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Id of the session
    #[arg(long, value_name = "ID", default_value = "chat")]
    session: String,

    /// The most tokens in one reply
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,

    /// Always take the likeliest token
    #[arg(long)]
    greedy: bool,

    /// Load this session file first
    ///
    /// Where it cannot be loaded and standard input is not a terminal, the conversation does not begin, and the exit
    /// code is that of `intact check`: 100 where it is refused. Nothing is saved over a file that could not be loaded.
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,

    /// Go on with the session if this store has it; /save without a file saves it there
    #[arg(long, value_name = "URL", conflicts_with = "load")]
    store: Option<String>,

    /// Treat the texts of control tokens in messages, such as <|im_end|>, as control tokens
    ///
    /// Otherwise they are text, and only the model's chat template writes control tokens.
    #[arg(long)]
    control_tokens: bool,

    /// Which ways of loading a session are allowed
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,

    #[command(flatten, next_help_heading = "Sealed sessions")]
    lock: LockArguments,

    #[command(flatten)]
    scratch: ScratchArguments,
}

struct Conversation {
    worker: Option<Session>,
    kept: Option<Kept>,
    sealing: Sealing,
    files: Files,
    reach: Reach,
    policy: Policy,
    /// The worst that went wrong.
    worst: Exit,
    id: String,
    system: Option<String>,
    /// What `/tools` gave, for sessions that are begun anew too.
    tools: Option<String>,
    max_tokens: Option<u32>,
    greedy: bool,
}

impl Chat {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        SessionId::new(self.session.as_str()).map_err(Failure::setup)?;
        let scratch = self.scratch.within();
        let sealing = Sealing::of(&self.lock, self.scratch)?;
        let kept = self.store.as_deref().map(Kept::open).transpose()?;
        // Where `/save` saves without a file, and beside what was loaded.
        let loaded = self.load.as_deref().and_then(Path::parent).map(|folder| Path::new(".").join(folder));
        let reach = Reach::of([Path::new(".")].into_iter().chain(loaded.as_deref()));
        let folder = kept.as_ref().map(|kept| kept.folder().folder().to_owned());
        let worker =
            self.model.open_for_chat(reach.cage(folder.into_iter().chain([scratch])), self.control_tokens)?;
        let interactive = io::stdin().is_terminal();
        eprintln!(
            "{} model, {} tokens of context, llama.cpp {}. /help lists the commands.",
            worker.opened.architecture, worker.opened.n_ctx, worker.hello.release
        );
        note(&worker.opened.notes);
        let mut conversation = Conversation {
            worker: Some(worker),
            kept,
            sealing,
            files: Files::default(),
            reach,
            policy: self.policy,
            worst: Exit::Fine,
            id: self.session,
            system: self.system,
            tools: None,
            max_tokens: self.max_tokens,
            greedy: self.greedy,
        };
        let begun = match &self.load {
            Some(file) => conversation.load(file),
            None => conversation.resume()?,
        };
        if let Err(failure) = begun {
            // Only a person can decide to go on without the session. What is piped in was meant for it.
            if !interactive {
                conversation.leave();
                return Err(failure);
            }
            failure.report();
        }
        prompt(interactive);
        let mut input = Input::new(io::stdin().lock());
        while let Some(entry) = input.entry() {
            match entry.map(Line::of) {
                Ok(Line::Quit) => break,
                Ok(line) => conversation.tell(&line),
                Err(failure) => conversation.report(&failure),
            }
            prompt(interactive);
        }
        let worst = conversation.leave();
        // Who sits in front of it has read what went wrong.
        Ok(if interactive { Exit::Fine } else { worst })
    }
}

/// Says what whoever sits in front of it should know.
fn note(notes: &[String]) {
    for note in notes {
        eprintln!("note: {}", plain(note));
    }
}

fn prompt(interactive: bool) {
    if interactive {
        eprint!("> ");
    }
}

impl Conversation {
    /// Does what a line asks. An error is told and ends nothing.
    fn tell(&mut self, line: &Line) {
        let done = match line {
            Line::Empty | Line::Quit => Ok(()),
            Line::Help => {
                eprintln!("{HELP}");
                Ok(())
            }
            Line::Unknown(command) => Err(Failure::setup(format!("there is no command {command}"))
                .help("/help lists the commands; a message that starts with / is written with //")),
            Line::Save { file, replace } => self.save(file.clone(), *replace),
            Line::Load(file) => self.load(file),
            Line::LoadWhat => Err(Failure::setup("load which file?").help("/load FILE")),
            Line::Tools(file) => self.give(file.as_deref()),
            Line::New(id) => self.start_anew(id.clone()),
            Line::Message(text) => self.say(text),
        };
        if let Err(failure) = done {
            self.report(&failure);
        }
    }

    fn report(&mut self, failure: &Failure) {
        let exit = failure.report();
        if exit.code() > self.worst.code() {
            self.worst = exit;
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let say = Say {
            session: self.id.clone(),
            system: self.system.clone(),
            text: text.to_owned(),
            reply: None,
            max_tokens: self.max_tokens,
            greedy: self.greedy,
            cancel_after: None,
            stream: true,
        };
        let mut streamed = false;
        let mut out = io::stdout();
        let answer = self.ask(Request::Say(say), &mut |piece| {
            streamed = true;
            let _ = write!(out, "{}", printable(piece)).and_then(|()| out.flush());
        });
        if streamed {
            println!();
        }
        match answer? {
            Ok(Replied::Say(said)) => {
                if !streamed {
                    println!("{}", printable(&said.text));
                }
                note(&said.notes);
                Ok(())
            }
            other => Err(Failure::setup(told(&other))),
        }
    }

    /// Gives the model the tools of a file, or takes all away.
    fn give(&mut self, file: Option<&Path>) -> Result<(), Failure> {
        let (tools, count) = match file {
            Some(file) => tools_in(file)?,
            None => (NO_TOOLS.to_owned(), 0),
        };
        self.give_these(tools)?;
        match (file, count) {
            (None, _) => eprintln!("all tools are taken away"),
            (Some(_), 0) => eprintln!("the list is empty: the model has no tools"),
            (Some(_), count) => eprintln!("the model is told of {}", counted(count, "tool", "tools")),
        }
        Ok(())
    }

    fn give_these(&mut self, tools: String) -> Result<(), Failure> {
        let inputs = Inputs { tools: Some(tools.clone()), ..Inputs::default() };
        let give = Give { session: self.id.clone(), system: self.system.clone(), inputs };
        match self.ask(Request::Give(give), &mut |_| {})? {
            Ok(Replied::Give) => {
                self.tools = Some(tools).filter(|tools| tools != NO_TOOLS);
                Ok(())
            }
            other => Err(Failure::setup(told(&other)).but("the session goes on with the tools that it had")),
        }
    }

    fn save(&mut self, file: Option<PathBuf>, replace: bool) -> Result<(), Failure> {
        let form = self.sealing.form(&self.id).map_err(Failure::setup);
        let saved = form.and_then(|form| match file {
            None if self.kept.is_some() => self.save_in_store(form),
            None => self.save_to(&self.files.usual(&self.id), form, replace),
            Some(file) => self.save_to(&file, form, replace),
        });
        saved.map(|words| eprintln!("{words}")).map_err(|failure| failure.but("not saved"))
    }

    fn save_to(&mut self, file: &Path, form: Form, replace: bool) -> Result<String, Failure> {
        let path = std::path::absolute(file).map_err(|error| Failure::unreadable(file, &error))?;
        let (path, replaces) = self.files.admit(&self.id, &path, form == Form::Sealed, replace)?;
        if form == Form::Plain && (self.reach.has(&path) || !self.is_caged()) {
            let saved = self.write(path.clone(), !replace)?;
            self.files.note(&self.id, &path, Files::content(&path));
            return Ok(saved_words(&saved));
        }
        let scratch = self.sealing.scratch()?;
        let saved = self.write(scratch.file(), false)?;
        let mut sink = FileSink::new(&path, replaces, Durable::default());
        let put = self.sealing.put(&self.id, &scratch, &mut sink);
        let bytes = put.map_err(|error| match error.code {
            Some(RefusalCode::FileExists | RefusalCode::FileChanged) => Failure::setup(&error).help(FLAG),
            _ => refused(file, &error),
        })?;
        self.files.note(&self.id, &path, sink.saved());
        let files = vec![path.clone(), sidecar_path(&path)];
        let words = saved_words(&Saved { bytes, files, ..saved });
        Ok(if form == Form::Plain { words } else { format!("{words} ({})", form_name(form)) })
    }

    /// Whether the system keeps the worker to the folders that it was given.
    fn is_caged(&self) -> bool {
        let features = self.worker.iter().flat_map(|worker| &worker.hello.features);
        features.into_iter().any(|feature| feature == CAGED_FILES)
    }

    fn save_in_store(&mut self, form: Form) -> Result<String, Failure> {
        let scratch = if form == Form::Plain { None } else { Some(self.sealing.scratch()?) };
        let none = || Failure::setup("no store is open");
        let folder = scratch.as_ref().or(self.kept.as_ref().map(Kept::folder));
        self.write(folder.ok_or_else(none)?.file(), false)?;
        let kept = self.kept.as_mut().ok_or_else(none)?;
        let words = kept.keep(&self.id, scratch.as_ref(), &mut self.sealing)?;
        Ok(if form == Form::Plain { words } else { format!("{words} ({})", form_name(form)) })
    }

    /// Has the worker write the session to a file, which must be its own or may be any session's.
    fn write(&mut self, path: PathBuf, own: bool) -> Result<Saved, Failure> {
        unless_untold(&path)?;
        let save = Save { session: self.id.clone(), path, format: None, manifest: false, own };
        match self.ask(Request::Save(save), &mut |_| {})? {
            Ok(Replied::Save(saved)) => {
                note(&saved.notes);
                Ok(saved)
            }
            Err(Outcome::Refused(refusal))
                if [RefusalCode::FileExists, RefusalCode::FileChanged]
                    .iter()
                    .any(|code| code.as_str() == refusal.code) =>
            {
                Err(Failure::setup(refusal.message).help(FLAG))
            }
            other => Err(Failure::setup(told(&other))),
        }
    }

    fn load(&mut self, file: &Path) -> Result<(), Failure> {
        let path = std::path::absolute(file).map_err(|error| Failure::unreadable(file, &error))?;
        // What is read may be newer than this; then the next save is refused, and nothing is lost.
        let content = Files::content(&path);
        let source = FileSource::new(&path);
        let opened = self.sealing.open(file.display(), source, Plain::In(path.clone()));
        self.read(opened)?;
        self.files.note(&self.id, &path, content);
        Ok(())
    }

    /// Goes on with the session where the store has it. The inner failure is that of the load.
    fn resume(&mut self) -> Result<Result<(), Failure>, Failure> {
        let Some(kept) = &self.kept else { return Ok(Ok(())) };
        let Some((readable, generation)) = kept.fetch(&self.id, &self.sealing)? else { return Ok(Ok(())) };
        let read = self.read(Ok(readable));
        if let (Ok(()), Some(kept)) = (&read, &mut self.kept) {
            kept.loaded(&self.id, generation);
        }
        Ok(read)
    }

    /// Has the worker load a session that was opened.
    fn read(&mut self, opened: Result<Readable, Failure>) -> Result<(), Failure> {
        let load = |readable: Readable| {
            unless_untold(&readable.file)?;
            let load = Load {
                path: readable.file.clone(),
                session: None,
                reader_format: None,
                routes: self.policy.names(),
                parameters: ParameterSource::Saved,
                manifest: false,
            };
            match self.ask(Request::Load(load), &mut |_| {})? {
                Ok(Replied::Load(loaded)) => {
                    self.files.forget(&loaded.session);
                    self.id.clone_from(&loaded.session);
                    eprintln!("{}", loaded_words(&loaded));
                    note(&loaded.receipt.notes);
                    self.sealing.loaded(&loaded.session, readable);
                    Ok(())
                }
                Err(refused @ Outcome::Refused(_)) => {
                    Err(Failure::setup(told(&Err(refused))).exit(Exit::GateFailed))
                }
                other => Err(Failure::setup(told(&other))),
            }
        };
        let read = opened.and_then(load);
        read.map_err(|failure| {
            failure.but("not loaded").also(format!("the session {} goes on as it was", self.id))
        })
    }

    fn start_anew(&mut self, id: Option<String>) -> Result<(), Failure> {
        if let Some(id) = &id {
            SessionId::portable(id.as_str()).map_err(Failure::setup)?;
        }
        let forget = intact_protocol::Forget { session: self.id.clone() };
        let fresh = id.is_none();
        self.id = id.unwrap_or_else(|| self.id.clone());
        if fresh {
            // A session that was never started cannot be forgotten, and need not be.
            let _outcome = self.ask(Request::Forget(forget), &mut |_| {})?;
            self.files.forget(&self.id);
        }
        eprintln!("session {} starts with your next message", self.id);
        // They were given to this chat, whatever its sessions are called.
        match self.tools.clone() {
            Some(tools) => self.give_these(tools),
            None => Ok(()),
        }
    }

    fn ask(&mut self, request: Request, on_text: &mut dyn FnMut(&str)) -> Result<Answered, Failure> {
        let worker = self
            .worker
            .as_mut()
            .ok_or_else(|| Failure::setup("the worker is gone and could not be restarted"))?;
        worker.ask(request, PATIENCE, on_text).map_err(|died| {
            self.worker = self.worker.take().and_then(|dead| dead.restart().ok());
            self.files.clear();
            died.also(match self.worker {
                Some(_) => {
                    "the worker was restarted; what was live in it is gone, saved sessions can be loaded"
                }
                None => "the worker could not be restarted; /quit leaves",
            })
        })
    }

    /// Lets the worker go. Gives the worst that went wrong.
    fn leave(self) -> Exit {
        if let Some(worker) = self.worker {
            worker.leave();
        }
        self.worst
    }
}

/// A list of tools with none in it.
const NO_TOOLS: &str = "[]";

/// The tools of a file, to the letter, and how many they are.
fn tools_in(file: &Path) -> Result<(String, usize), Failure> {
    let bytes = regular::read(file).map_err(|error| Failure::unreadable(file, &error))?;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::setup(format!("{}: {error}", file.display()))
            .help("it is an array of tools as OpenAI-style APIs take them: [{\"type\": \"function\", \"function\": {\"name\": ...}}]")
    };
    let text = str::from_utf8(without_byte_order_mark(&bytes)).map_err(|error| failed(&error))?.trim();
    let inputs = TemplateInputs { tools: Some(text.to_owned()), ..TemplateInputs::default() };
    inputs.check().map_err(|error| failed(&error))?;
    let tools: Vec<IgnoredAny> = serde_json::from_str(text).map_err(|error| failed(&error))?;
    Ok((text.to_owned(), tools.len()))
}

fn saved_words(saved: &Saved) -> String {
    let files: Vec<_> = saved.files.iter().map(|file| file.display().to_string()).collect();
    format!("saved {} tokens, {} bytes written: {}", saved.tokens, saved.bytes, files.join(", "))
}

fn loaded_words(loaded: &Loaded) -> String {
    let receipt = &loaded.receipt;
    let mut words = format!(
        "loaded {}: {} ({}), {} tokens restored, {} evaluated",
        loaded.session,
        receipt.route,
        route(&receipt.route),
        receipt.tokens_restored,
        receipt.tokens_evaluated
    );
    for axis in receipt.axes.iter().filter(|axis| axis.consequence != "same") {
        words += &format!(
            "\n  {}: {} then, {} now; {}",
            plain(&axis.axis),
            plain(&axis.saved),
            plain(&axis.here),
            plain(&axis.reason)
        );
    }
    words
}

/// Text from a model, without anything but line breaks and tabs that a terminal would act on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}
