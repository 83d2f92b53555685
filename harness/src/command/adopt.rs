//! `intact adopt`: a session file from a state that llama.cpp itself wrote.

mod history;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use intact_format::regular;
use intact_format::text::{member, without_byte_order_mark};
use intact_protocol::{
    Adopt as AdoptRequest, Adopted, Cage, Inputs, Message, Outcome, Replied, Request, Save,
};
use serde::Serialize;

use super::Failure;
use super::output::show;
use super::stored::unless_taken;
use super::table::plain;
use super::worker::{ModelArguments, Session, told};
use crate::exit::Exit;
use history::{FORMS, messages};

/// How long evaluating the tokens again may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

const EXAMPLES: &str = "\
Examples:
  intact adopt slot.bin --model my-model.gguf
      a slot file of llama-server becomes slot.json, with its KV in slot.kv
  intact adopt chat.ggsq --model my-model.gguf --history chat.json --out session.json
      with the conversation, as the array of messages that an OpenAI-style API takes:
      [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello!\"}]
  intact inspect chat.ggsq
      what is in such a file, without a model";

/// Make a session file from a state that llama.cpp, or a program built on it, saved
///
/// Takes slot files of llama-server and other sequence files (GGSQ), session files (GGSN) of one sequence, and raw states
/// of a sequence or a context; raw states keep no tokens and need --history. Such files name neither the weights nor the
/// settings that they were made with. So all of their tokens are evaluated again, which takes as long as a prompt of that
/// length, and every cell and the next token's probabilities are compared: a state of other weights, or one that this
/// llama.cpp would misread, is refused. The file stays as it is. Ends with exit code 0, or 100 if it is refused.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Adopt {
    /// The state file
    file: PathBuf,

    #[command(flatten)]
    model: ModelArguments,

    /// The conversation: a JSON array of messages with role and content, or as node-llama-cpp or llama-server write it
    ///
    /// Tool calls, tool results, reasoning and names are kept; of a request, its tools and chat_template_kwargs too.
    ///
    /// Without it, the text of the tokens becomes one assistant message.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// The session file [default: the state file's name with .json]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Id of the session [default: the session file's name without its extension]
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    files: Vec<PathBuf>,
    adopted: Adopted,
}

impl Adopt {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        regular::open(&self.file).map_err(|error| Failure::unreadable(&self.file, &error))?;
        let path = absolute(&self.file)?;
        let out = absolute(&self.out.clone().unwrap_or_else(|| self.file.with_extension("json")))?;
        unless_taken(&out)?;
        let (history, inputs) = self.history.as_deref().map(told_in).transpose()?.unzip();
        let inputs = inputs.flatten();
        let session = self.session.clone().unwrap_or_else(|| name(&out));
        let folder = out.parent().map(Path::to_owned);
        let cage = Cage { read: vec![path.clone()], write: folder.into_iter().collect() };
        let mut worker = self.model.open(cage)?;
        let request = AdoptRequest { path, session: session.clone(), history, inputs };
        let adopted = match worker.ask(Request::Adopt(request), PATIENCE, &mut |_| {})? {
            Ok(Replied::Adopt(adopted)) => adopted,
            Err(Outcome::Refused(refusal)) => {
                worker.leave();
                let message = format!(
                    "{} was not adopted ({}): {}",
                    self.file.display(),
                    refusal.code,
                    refusal.message
                );
                return Err(Failure::setup(message).exit(Exit::GateFailed));
            }
            other => return Err(Failure::setup(told(&other)).exit(Exit::NoVerdict)),
        };
        let files = save(&mut worker, session, out)?;
        worker.leave();
        let report = Report { files, adopted };
        show(&report, self.json, Report::text)?;
        Ok(Exit::Fine)
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for note in &self.adopted.notes {
            text += &(plain(note) + "\n");
        }
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        text + &format!("{} tokens saved as {}\n", self.adopted.tokens, files.join(" and "))
    }
}

fn save(worker: &mut Session, session: String, path: PathBuf) -> Result<Vec<PathBuf>, Failure> {
    let request = Save { session, path, format: None, manifest: false, own: true };
    match worker.ask(Request::Save(request), PATIENCE, &mut |_| {})? {
        Ok(Replied::Save(saved)) => Ok(saved.files),
        other => Err(Failure::setup(told(&other)).exit(Exit::NoVerdict)),
    }
}

/// The conversation of a file, and what its chat template was given besides.
fn told_in(path: &Path) -> Result<(Vec<Message>, Option<Inputs>), Failure> {
    let bytes = regular::read(path).map_err(|error| Failure::unreadable(path, &error))?;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::setup(format!("{} is not a conversation: {error}", path.display())).help(FORMS)
    };
    let bytes = without_byte_order_mark(&bytes);
    let document = serde_json::from_slice(bytes).map_err(|error| failed(&error))?;
    let messages = messages(&document).map_err(|error| failed(&error))?;
    Ok((messages, str::from_utf8(bytes).ok().and_then(given_in)))
}

/// The tools and the arguments of the chat template in a request of an OpenAI-style API.
fn given_in(request: &str) -> Option<Inputs> {
    let there = |name: &str| member(request, name).filter(|value| *value != "null").map(str::to_owned);
    let inputs = Inputs { tools: there("tools"), arguments: there("chat_template_kwargs"), date: None };
    Some(inputs).filter(|inputs| *inputs != Inputs::default())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::unreadable(path, &error))
}

fn name(path: &Path) -> String {
    path.file_stem().map_or_else(|| "adopted".to_owned(), |name| name.to_string_lossy().into_owned())
}
