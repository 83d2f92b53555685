//! A conversation that is kept in a store from one call of the command to the next.

use intact_format::session_id::SessionId;
use intact_store::{Expected, Generation, Opened, SessionStore, StoreError};

use super::sealing::{Plain, Readable, Sealing};
use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::scratch::Scratch;
use crate::command::store::failed;
use crate::command::stored::denied;
use crate::command::table::plain;
use crate::seen::{Doubt, Seen};

/// The store, and which save of the session the conversation goes on from. The worker reads and writes files, so sessions go
/// through a folder on this machine.
pub(super) struct Kept {
    store: SessionStore,
    folder: Scratch,
    /// The session that came from the store or was saved there, and its save.
    last: Option<(String, Generation)>,
    seen: Option<Seen>,
}

impl Kept {
    /// A store, made where there is none.
    pub(super) fn open(address: &str) -> Result<Self, Failure> {
        let store = SessionStore::create(address).map_err(failed)?;
        Ok(Self { store, folder: Scratch::ordinary()?, last: None, seen: Seen::by_this_user() })
    }

    /// The session as the worker can read it, and which save it is, where the store has it.
    pub(super) fn fetch(
        &self,
        session: &str,
        sealing: &Sealing,
    ) -> Result<Option<(Readable, Generation)>, Failure> {
        let id = session_id(session)?;
        let generation = match self.store.session(&id) {
            Ok(opened) => {
                self.unless_replaced(session, &opened)?;
                opened.generation
            }
            Err(StoreError::SessionNotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut source = self.store.source(id.clone());
        let readable = sealing.open(self.name(session), &mut source, Plain::To(&self.folder))?;
        match &readable.session {
            Some(found) if *found != id => {
                Err(failed(StoreError::OtherSession { session: id, found: found.clone() }))
            }
            _ => Ok(Some((readable, source.generation().unwrap_or(generation)))),
        }
    }

    /// A session that was sealed, and is not any more, is not taken for the same one. An older one is named.
    fn unless_replaced(&self, session: &str, opened: &Opened) -> Result<(), Failure> {
        let Some(seen) = &self.seen else { return Ok(()) };
        match seen.doubt(self.store.address(), opened) {
            None => seen.read(self.store.address(), opened),
            Some(doubt @ Doubt::Unsealed) => {
                return Err(Failure::setup(format!("{}: {doubt}", self.name(session))).help(
                    "take another session; or, if that was you, import it once more with --replace --plain-over-sealed",
                ));
            }
            Some(doubt) => eprintln!("note: {}: {}", plain(&self.name(session)), doubt),
        }
        Ok(())
    }

    /// What the worker has loaded is the session that the store has, at this save.
    pub(super) fn loaded(&mut self, session: &str, generation: Generation) {
        self.last = Some((session.to_owned(), generation));
    }

    /// The folder that the worker saves to before [`Kept::keep`], where the session is plain.
    pub(super) const fn folder(&self) -> &Scratch {
        &self.folder
    }

    /// Takes over what the worker has saved of a session to a folder, or to its own; says so.
    pub(super) fn keep(
        &mut self,
        session: &str,
        folder: Option<&Scratch>,
        sealing: &mut Sealing,
    ) -> Result<String, Failure> {
        let last = self.last.as_ref().filter(|(last, _)| last == session);
        let expected = last.map_or(Expected::Absent, |(_, generation)| Expected::At(*generation));
        let mut sink = self.store.sink(session_id(session)?, expected);
        let put = sealing.put(session, folder.unwrap_or(&self.folder), &mut sink);
        put.map_err(|error| denied(self.name(session), &error))?;
        let saved = sink.saved().ok_or_else(|| Failure::setup("the store did not say what it saved"))?;
        drop(sink);
        self.last = Some((session.to_owned(), saved.generation));
        if let Some(seen) = &self.seen {
            seen.saved(self.store.address(), session, saved.generation, sealing.is_sealed(session));
        }
        let (new, address) = (bytes(saved.new_bytes), self.store.address());
        Ok(format!("saved as {session}, save {}, in {address}: {new} new", saved.generation))
    }

    fn name(&self, session: &str) -> String {
        format!("session `{session}` in {}", self.store.address())
    }
}

fn session_id(session: &str) -> Result<SessionId, Failure> {
    SessionId::new(session).map_err(Failure::setup)
}
