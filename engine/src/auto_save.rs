//! Sessions that save themselves, and come back by their ids.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use intact_format::place::Shelf;
use intact_format::session_id::SessionId;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::options::{LoadOptions, SaveOptions, StartOptions};
use crate::receipt::{Receipt, Saved};
use crate::session::{Generation, Reply};
use crate::setters::setters;

/// When sessions are saved, and how they come back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AutoSavePolicy {
    /// Save after each turn. Otherwise when a session is closed or evicted, and when the whole is dropped.
    pub each_turn: bool,
    /// Most live sessions. The one that was used longest ago is saved and closed for another; it comes back when it is
    /// used.
    pub most_live: Option<NonZeroUsize>,
    /// How sessions are saved.
    pub save: SaveOptions,
    /// How they are loaded.
    pub load: LoadOptions,
}

/// An engine whose sessions are kept on a shelf.
///
/// ```no_run
/// # use intact_engine::{AutoSave, Engine, EngineError, Folder, Generation};
/// # fn main() -> Result<(), EngineError> {
/// let engine = Engine::open("my-model.gguf")?;
/// let mut chats = AutoSave::new(engine, Folder::new("chats"));
/// let turn = chats.send("ada", "Where were we?", &Generation::default(), &mut |piece| print!("{piece}"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AutoSave<S: Shelf> {
    engine: Engine,
    shelf: S,
    policy: AutoSavePolicy,
    /// Live sessions, the one used last at the end.
    used: Vec<SessionId>,
    unsaved: BTreeSet<SessionId>,
}

/// How a session was opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OpenedSession {
    /// It was live.
    Live,
    /// It came back from the shelf.
    Restored(Box<Receipt>),
    /// There was none of that id, so a new one was started.
    Started,
}

/// A message and its reply.
#[derive(Debug)]
#[non_exhaustive]
pub struct Turn {
    /// The reply.
    pub reply: Reply,
    /// What was saved; none where the policy saves later. A failure does not take the reply away: the session stays live
    /// and unsaved, and the next save tries again.
    pub saved: Option<Result<Saved, EngineError>>,
}

impl Default for AutoSavePolicy {
    fn default() -> Self {
        Self { each_turn: true, most_live: None, save: SaveOptions::default(), load: LoadOptions::default() }
    }
}

impl AutoSavePolicy {
    setters! {
        each_turn(each: bool) => each;
        most_live(most: NonZeroUsize) => Some(most);
        save(options: SaveOptions) => options;
        load(options: LoadOptions) => options;
    }
}

impl<S: Shelf> AutoSave<S> {
    /// Keeps the sessions of `engine` on `shelf`, saved after each turn.
    pub fn new(engine: Engine, shelf: S) -> Self {
        Self::with_policy(engine, shelf, AutoSavePolicy::default())
    }

    /// Keeps the sessions of `engine` on `shelf`.
    pub fn with_policy(engine: Engine, shelf: S, policy: AutoSavePolicy) -> Self {
        Self { engine, shelf, policy, used: Vec::new(), unsaved: BTreeSet::new() }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes a session live: it is, it comes back from the shelf, or it starts.
    ///
    /// # Errors
    /// When the id cannot be one, the saved session is refused or cannot be read, or another session had to be evicted and
    /// could not be saved. Nothing is lost then.
    pub fn open(&mut self, id: &str) -> Result<OpenedSession, EngineError> {
        let id = SessionId::new(id)?;
        if self.engine.session(id.as_str()).is_ok() {
            self.use_now(&id);
            return Ok(OpenedSession::Live);
        }
        self.make_room()?;
        let opened = match self.shelf.source(&id)? {
            Some(mut source) => {
                // Another session may lie under this name, and be live.
                let options = LoadOptions { expect: Some(id.clone()), ..self.policy.load.clone() };
                let loaded = self.engine.load_from(&mut source, &options)?;
                OpenedSession::Restored(Box::new(loaded.receipt))
            }
            None => {
                let options = StartOptions { id: Some(id.to_string()), ..StartOptions::default() };
                self.engine.start(options)?;
                OpenedSession::Started
            }
        };
        self.use_now(&id);
        Ok(opened)
    }

    /// Sends a message to a session, which is opened where it is not live.
    ///
    /// # Errors
    /// Those of [`AutoSave::open`] and [`Engine::send_to`]. A reply that was cancelled leaves the message, which is saved as a
    /// turn is; where that fails, the session stays unsaved, and the next save tries again.
    pub fn send(
        &mut self,
        id: &str,
        text: &str,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Turn, EngineError> {
        self.open(id)?;
        let said = self.engine.send_to(id, text, generation, on_text);
        if matches!(said, Ok(_) | Err(EngineError::Cancelled { .. })) {
            self.unsaved.insert(SessionId::new(id)?);
        }
        let saved = match &said {
            Ok(_) if self.policy.each_turn => Some(self.save(id)),
            Err(EngineError::Cancelled { .. }) if self.policy.each_turn => {
                if let Err(error) = self.save(id) {
                    tracing::warn!(session = id, %error, "a cancelled turn could not be saved");
                }
                None
            }
            _ => None,
        };
        Ok(Turn { reply: said?, saved })
    }

    /// Saves a live session now.
    ///
    /// # Errors
    /// Those of [`Engine::save_to`].
    pub fn save(&mut self, id: &str) -> Result<Saved, EngineError> {
        let id = SessionId::new(id)?;
        let mut sink = self.shelf.sink(&id)?;
        let saved = self.engine.save_to(id.as_str(), &mut sink, &self.policy.save)?;
        self.unsaved.remove(&id);
        Ok(saved)
    }

    /// Closes a session, saved. One that is not live is closed already.
    ///
    /// # Errors
    /// When it cannot be saved; it stays live then.
    pub fn close(&mut self, id: &str) -> Result<(), EngineError> {
        let id = SessionId::new(id)?;
        if self.unsaved.contains(&id) {
            self.save(id.as_str())?;
        }
        if self.engine.session(id.as_str()).is_ok() {
            self.engine.close(id.as_str())?;
        }
        self.used.retain(|used| *used != id);
        Ok(())
    }

    /// Saves every session that has changed since its last save.
    ///
    /// # Errors
    /// The first one; the other sessions are saved all the same.
    pub fn save_all(&mut self) -> Result<(), EngineError> {
        let unsaved: Vec<SessionId> = self.unsaved.iter().cloned().collect();
        let results: Vec<_> = unsaved.iter().map(|id| self.save(id.as_str())).collect();
        results.into_iter().try_for_each(|result| result.map(drop))
    }

    fn use_now(&mut self, id: &SessionId) {
        self.used.retain(|used| used != id);
        self.used.push(id.clone());
    }

    /// Closes sessions until one more may be live.
    fn make_room(&mut self) -> Result<(), EngineError> {
        while let Some(most) = self.policy.most_live
            && self.used.len() >= most.get()
            && let Some(oldest) = self.used.first().cloned()
        {
            self.close(oldest.as_str())?;
        }
        Ok(())
    }
}

impl<S: Shelf> Drop for AutoSave<S> {
    fn drop(&mut self) {
        if let Err(error) = self.save_all() {
            tracing::error!(%error, "a session could not be saved before it was dropped");
        }
    }
}
