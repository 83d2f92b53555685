//! A conversation that is kept in a store from one call of the command to the next.

use std::path::PathBuf;

use intact_format::session_id::SessionId;
use intact_store::{Expected, Generation, SessionStore, StoreError};
use tempfile::TempDir;

use crate::command::Failure;
use crate::command::inspect::bytes;
use crate::command::store::failed;

/// The store, and which save of the session the conversation goes on from. The worker reads and writes files, so sessions go
/// through a folder on this machine.
pub(super) struct Kept {
    store: SessionStore,
    folder: TempDir,
    /// The session that came from the store or was saved there, and its save.
    last: Option<(String, Generation)>,
}

impl Kept {
    /// A store, made where there is none.
    pub(super) fn open(address: &str) -> Result<Self, Failure> {
        let store = SessionStore::create(address).map_err(failed)?;
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::setup(format!("no folder for temporary files: {error}")))?;
        Ok(Self { store, folder, last: None })
    }

    /// The file to load, where the store has the session.
    pub(super) fn fetch(&mut self, session: &str) -> Result<Option<PathBuf>, Failure> {
        let file = self.file();
        match self.store.export(&session_id(session)?, &file) {
            Ok(exported) => {
                self.last = Some((session.to_owned(), exported.generation));
                Ok(Some(file))
            }
            Err(StoreError::SessionNotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The file that the worker saves to before [`Kept::keep`].
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("session.json")
    }

    /// Takes over what the worker has saved of a session; says so.
    pub(super) fn keep(&mut self, session: &str) -> Result<String, Failure> {
        let last = self.last.as_ref().filter(|(last, _)| last == session);
        let expected = last.map_or(Expected::Absent, |(_, generation)| Expected::At(*generation));
        let (id, saved) = self.store.import(&self.file(), expected).map_err(failed)?;
        self.last = Some((id.to_string(), saved.generation));
        let (new, address) = (bytes(saved.new_bytes), self.store.address());
        Ok(format!("saved as {id}, save {}, in {address}: {new} new", saved.generation))
    }
}

fn session_id(session: &str) -> Result<SessionId, Failure> {
    SessionId::new(session).map_err(Failure::setup)
}
