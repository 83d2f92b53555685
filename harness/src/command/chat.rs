//! `intact chat`: talk to a model in the terminal, save the session, load it again.

mod kept;
mod line;
mod sealing;

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use intact_format::image::Durable;
use intact_format::place::{FileSink, FileSource, sidecar_path};
use intact_protocol::{Load, Loaded, Outcome, ParameterSource, Replied, Request, Save, Saved, Say};
use intact_seal::Form;

use super::Failure;
use super::check::route;
use super::keys::LockArguments;
use super::scratch::ScratchArguments;
use super::stored::{form_name, refused, unless_mixed};
use super::table::plain;
use super::worker::{Answered, ModelArguments, Session, told};
use crate::exit::Exit;
use kept::Kept;
use line::Line;
use sealing::{Plain, Readable, Sealing};

/// How long one answer may take before the worker counts as stuck.
const PATIENCE: Duration = Duration::from_secs(3600);

const HELP: &str = "\
/save [FILE]  save the session (default: the store, else <session>.json)
/load FILE    load a session and go on with it
/new [ID]     start a new session
/help         this text
/quit         leave (so does the end of input)
Anything else is said to the model. A message that starts with / is written with //.";

/// Talk to a model in the terminal; save the session and load it again
///
/// /save [FILE] saves, /load FILE loads, /quit leaves, /help lists the rest. Reads standard input line by line, so
/// that a conversation can also be piped in.
///
/// A sealed or compressed session stays what it is when it is saved again. With --recipient or --sealed all sessions are
/// saved sealed, and those that are not are refused. The worker gets no keys: it reads and writes a plain session in a
/// folder (--scratch) that only you can read and that is removed at once, unless this command is killed.
#[derive(Debug, Args)]
pub(super) struct Chat {
    #[command(flatten)]
    model: ModelArguments,

    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Id of the session
    #[arg(long, value_name = "ID", default_value = "chat")]
    session: String,

    /// Most tokens of one reply
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,

    /// Always take the likeliest token
    #[arg(long)]
    greedy: bool,

    /// Load this session file first
    ///
    /// Where it cannot be loaded, and standard input is no terminal, nothing is said, and the exit code is that of
    /// `intact check`: 100 where it is refused. Nothing is saved over a file that could not be loaded.
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,

    /// Go on with the session where this store has it; /save without a file saves it there
    #[arg(long, value_name = "URL", conflicts_with = "load")]
    store: Option<String>,

    #[command(flatten, next_help_heading = "Sealed sessions")]
    lock: LockArguments,

    #[command(flatten)]
    scratch: ScratchArguments,
}

struct Conversation {
    worker: Option<Session>,
    kept: Option<Kept>,
    sealing: Sealing,
    id: String,
    system: Option<String>,
    max_tokens: Option<u32>,
    greedy: bool,
    /// Files that are there and could not be loaded: another session is not put over them.
    not_loaded: BTreeSet<PathBuf>,
}

impl Chat {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let sealing = Sealing::of(&self.lock, self.scratch)?;
        let kept = self.store.as_deref().map(Kept::open).transpose()?;
        let worker = self.model.open()?;
        let interactive = io::stdin().is_terminal();
        eprintln!(
            "{} model, {} tokens of context, llama.cpp {}. /help lists the commands.",
            worker.opened.architecture, worker.opened.n_ctx, worker.hello.release
        );
        for note in &worker.opened.notes {
            eprintln!("note: {}", plain(note));
        }
        let mut conversation = Conversation {
            worker: Some(worker),
            kept,
            sealing,
            id: self.session,
            system: self.system,
            max_tokens: self.max_tokens,
            greedy: self.greedy,
            not_loaded: BTreeSet::new(),
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
        for line in io::stdin().lock().lines() {
            match Line::parse(&line.map_err(|error| Failure::setup(format!("standard input: {error}")))?) {
                Line::Quit => break,
                line => conversation.tell(&line),
            }
            prompt(interactive);
        }
        conversation.leave();
        Ok(Exit::Fine)
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
            Line::Save(file) => self.save(file.clone()),
            Line::Load(file) => self.load(file),
            Line::LoadWhat => Err(Failure::setup("load which file?").help("/load FILE")),
            Line::New(id) => self.start_anew(id.clone()),
            Line::Message(text) => self.say(text),
        };
        if let Err(failure) = done {
            failure.report();
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
                Ok(())
            }
            other => Err(Failure::setup(told(&other))),
        }
    }

    fn save(&mut self, file: Option<PathBuf>) -> Result<(), Failure> {
        let form = self.sealing.form(&self.id).map_err(Failure::setup);
        let saved = form.and_then(|form| match file {
            None if self.kept.is_some() => self.save_in_store(form),
            None => self.save_to(&PathBuf::from(format!("{}.json", self.id)), form),
            Some(file) => self.save_to(&file, form),
        });
        saved.map(|words| eprintln!("{words}")).map_err(|failure| failure.but("not saved"))
    }

    fn save_to(&mut self, file: &Path, form: Form) -> Result<String, Failure> {
        let path = std::path::absolute(file).map_err(|error| Failure::unreadable(file, &error))?;
        if path.canonicalize().is_ok_and(|path| self.not_loaded.contains(&path)) {
            let name = file.display();
            return Err(Failure::setup(format!("{name} could not be loaded, and this is another session"))
                .help("name another file, or remove that one first"));
        }
        unless_mixed(&path, form == Form::Sealed)?;
        if form == Form::Plain {
            return Ok(saved_words(&self.write(path)?));
        }
        let scratch = self.sealing.scratch()?;
        let saved = self.write(scratch.file())?;
        let sink = FileSink::new(&path, Durable::default());
        let bytes = self.sealing.put(&self.id, &scratch, sink).map_err(|error| refused(file, &error))?;
        let files = vec![path.clone(), sidecar_path(&path)];
        Ok(format!("{} ({})", saved_words(&Saved { bytes, files, ..saved }), form_name(form)))
    }

    fn save_in_store(&mut self, form: Form) -> Result<String, Failure> {
        let scratch = if form == Form::Plain { None } else { Some(self.sealing.scratch()?) };
        let none = || Failure::setup("there is no store");
        let folder = scratch.as_ref().or(self.kept.as_ref().map(Kept::folder));
        self.write(folder.ok_or_else(none)?.file())?;
        let kept = self.kept.as_mut().ok_or_else(none)?;
        let words = kept.keep(&self.id, scratch.as_ref(), &mut self.sealing)?;
        Ok(if form == Form::Plain { words } else { format!("{words} ({})", form_name(form)) })
    }

    /// Has the worker write the session to a file.
    fn write(&mut self, path: PathBuf) -> Result<Saved, Failure> {
        let save = Save { session: self.id.clone(), path, format: None, manifest: false };
        match self.ask(Request::Save(save), &mut |_| {})? {
            Ok(Replied::Save(saved)) => Ok(saved),
            other => Err(Failure::setup(told(&other))),
        }
    }

    fn load(&mut self, file: &Path) -> Result<(), Failure> {
        let path = std::path::absolute(file).map_err(|error| Failure::unreadable(file, &error))?;
        let source = FileSource::new(&path);
        let there = path.canonicalize();
        let opened = self.sealing.open(file.display(), source, Plain::In(path));
        let read = self.read(opened);
        if let Ok(there) = there {
            match read {
                Ok(()) => self.not_loaded.remove(&there),
                Err(_) => self.not_loaded.insert(there),
            };
        }
        read
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
            let load = Load {
                path: readable.file.clone(),
                session: None,
                reader_format: None,
                routes: None,
                parameters: ParameterSource::Saved,
                manifest: false,
            };
            match self.ask(Request::Load(load), &mut |_| {})? {
                Ok(Replied::Load(loaded)) => {
                    self.id.clone_from(&loaded.session);
                    eprintln!("{}", loaded_words(&loaded));
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
        let forget = intact_protocol::Forget { session: self.id.clone() };
        let fresh = id.is_none();
        self.id = id.unwrap_or_else(|| self.id.clone());
        if fresh {
            // A session that was never started cannot be forgotten, and need not be.
            let _outcome = self.ask(Request::Forget(forget), &mut |_| {})?;
        }
        eprintln!("session {} starts with your next message", self.id);
        Ok(())
    }

    fn ask(&mut self, request: Request, on_text: &mut dyn FnMut(&str)) -> Result<Answered, Failure> {
        let worker = self
            .worker
            .as_mut()
            .ok_or_else(|| Failure::setup("the worker is gone and could not be restarted"))?;
        worker.ask(request, PATIENCE, on_text).map_err(|died| {
            self.worker = self.worker.take().and_then(|dead| dead.restart().ok());
            died.also(match self.worker {
                Some(_) => {
                    "the worker was restarted; what was live in it is gone, saved sessions can be loaded"
                }
                None => "the worker could not be restarted; /quit leaves",
            })
        })
    }

    fn leave(self) {
        if let Some(worker) = self.worker {
            worker.leave();
        }
    }
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
