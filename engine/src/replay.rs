//! Replaying a saved history against a fresh session: the way to a session with exactly this engine's parameters, for any
//! file whose messages can be read, whatever model wrote it.

use std::path::Path;
use std::sync::Arc;

use intact_format::message::{Message, Role};
use intact_format::regular;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::session::{SessionDocument, read};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::load::rendered_anew;
use crate::options::StartOptions;
use crate::session::{Generation, Reply, Session};

/// What a replay does with the assistant's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// Keeps them as they are: the history is evaluated.
    KeepReplies,
    /// Generates them anew: every message of the user is sent again.
    Regenerate,
}

/// A history that was replayed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replayed {
    /// The fresh session, which is the current one now.
    pub id: SessionId,
    /// The new replies, where they were generated.
    pub replies: Vec<Reply>,
    /// Tokens that were evaluated.
    pub tokens_evaluated: u64,
    /// What the user should know, one sentence each: that the messages are other tokens now.
    pub notes: Vec<String>,
}

impl Engine {
    /// Starts a fresh session and replays the history of a session file against it. The system prompt is the one of the
    /// fresh session's parameters; where they have none, the saved one. Nothing of the saved parameters, tokens or KV is
    /// used, and the session that was saved is not replaced: the fresh one has an id of its own.
    ///
    /// # Errors
    /// When the file cannot be read, or a message does not fit; the fresh session is closed again then.
    pub fn replay(
        &mut self,
        path: impl AsRef<Path>,
        mode: Replay,
        start: StartOptions,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Replayed, EngineError> {
        let document = history(path.as_ref())?;
        let system = document.history.iter().find(|message| message.role == Role::System);
        let prompt = &start.parameters.as_ref().unwrap_or(&self.parameters).chat_parameters.system_prompt;
        let keeps_its_own = start.system_prompt.is_some() || !prompt.is_empty();
        let system_prompt = start
            .system_prompt
            .clone()
            .or_else(|| system.filter(|_| !keeps_its_own).map(|message| message.content.clone()));
        let inputs = start.inputs.clone().or_else(|| document.inputs.clone());
        let id = self.start(StartOptions { system_prompt, inputs, ..start })?;
        let session = self.session_mut(id.as_str())?;
        let said = document.history.iter().filter(|message| message.role != Role::System);
        let replies = match mode {
            Replay::KeepReplies => keep_replies(session, said).map(|()| Vec::new()),
            Replay::Regenerate => regenerate(session, said, on_text),
        };
        let tokens_evaluated = session.timeline.evaluations();
        let notes = match mode {
            Replay::KeepReplies => rendered_anew(&document, session.timeline.tokens()).into_iter().collect(),
            Replay::Regenerate => unsent(&document),
        };
        match replies {
            Ok(replies) => Ok(Replayed { id, replies, tokens_evaluated, notes }),
            Err(error) => {
                self.close(id.as_str())?;
                Err(error)
            }
        }
    }
}

fn history(path: &Path) -> Result<SessionDocument, EngineError> {
    let bytes = regular::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let code = if missing { RefusalCode::FileNotFound } else { RefusalCode::FileUnreadable };
        Refusal::new(code, format!("{}: {error}", path.display()))
    })?;
    Ok(read(&bytes, FormatVersion::CURRENT).map_err(Refusal::from)?.document)
}

fn keep_replies<'m>(
    session: &mut Session,
    said: impl Iterator<Item = &'m Message>,
) -> Result<(), EngineError> {
    for message in said {
        session.chat.append(message.clone());
    }
    let model = Arc::clone(session.model());
    let stream = session.chat.stream(&session.template, &model)?;
    Ok(session.timeline.replace(&stream)?)
}

/// What a user should know where more was told to the model than the messages of the user.
fn unsent(document: &SessionDocument) -> Vec<String> {
    let others =
        document.history.iter().filter(|message| matches!(message.role, Role::Tool | Role::Developer));
    let count = others.count();
    let told = format!(
        "Messages of tools and developers are not sent again, since they belong to replies that are gone: {count}."
    );
    if count == 0 { Vec::new() } else { vec![told] }
}

fn regenerate<'m>(
    session: &mut Session,
    said: impl Iterator<Item = &'m Message>,
    on_text: &mut dyn FnMut(&str),
) -> Result<Vec<Reply>, EngineError> {
    said.filter(|message| message.role == Role::User)
        .map(|message| session.say(&message.content, &Generation::default(), on_text))
        .collect()
}
