//! Sessions that are sealed or compressed where they are kept. The worker knows plain ones only.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;

use intact_format::place::{PlaceError, SessionSink, SessionSource};
use intact_format::session_id::SessionId;
use intact_seal::{
    Form, Keys, Lock, Origin, SealError, SealOptions, SealedSink, SealedSource, Sealer, Signer,
};

use crate::command::Failure;
use crate::command::keys::LockArguments;
use crate::command::scratch::{Scratch, ScratchArguments, Taken};
use crate::command::stored::{denied, warning};
use crate::command::table::plain;

/// With what sessions are opened, for whom they are sealed, and what is known of those that were.
pub(super) struct Sealing {
    keys: Keys,
    /// For whom all sessions are sealed.
    lock: Option<Lock>,
    /// Who signs what is saved sealed or compressed.
    signer: Option<Signer>,
    /// Whether keys were given.
    keys_given: bool,
    /// Whether all sessions are sealed, and others are refused.
    sealed_only: bool,
    scratch: ScratchArguments,
    /// Of each session that is not saved as a plain one, by its id. An id that was sealed once stays so, whatever is loaded
    /// or started under it.
    sealers: HashMap<String, Sealer>,
}

/// What becomes of a plain session, which the worker can read.
pub(super) enum Plain<'s> {
    /// It is in this file already.
    In(PathBuf),
    /// It goes to this folder.
    To(&'s Scratch),
}

/// A session that the worker can read.
pub(super) struct Readable {
    /// Its file.
    pub(super) file: PathBuf,
    /// Its id, where it was looked at.
    pub(super) session: Option<SessionId>,
    sealer: Option<Sealer>,
    /// The folder that goes with it.
    _scratch: Option<Scratch>,
}

impl Sealing {
    pub(super) fn of(lock: &LockArguments, scratch: ScratchArguments) -> Result<Self, Failure> {
        let sealed_only = lock.keys.sealed || lock.has_recipients();
        Ok(Self {
            keys: lock.keys.keys()?,
            lock: if sealed_only { lock.lock()? } else { None },
            signer: lock.signer()?,
            keys_given: lock.keys.are_given(),
            sealed_only,
            scratch,
            sealers: HashMap::new(),
        })
    }

    /// Opens a session, called so, and makes it readable for the worker.
    pub(super) fn open<S: SessionSource>(
        &self,
        name: impl Display,
        inner: S,
        whither: Plain<'_>,
    ) -> Result<Readable, Failure> {
        let failed = |error: PlaceError| denied(&name, &error);
        let mut source = SealedSource::open(inner, &self.keys, self.sealed_only).map_err(failed)?;
        self.tell(&name, source.origin());
        let (file, taken, scratch) = match whither {
            Plain::In(file) if source.form() == Form::Plain => (file, None, None),
            Plain::To(folder) if source.form() == Form::Plain => {
                (folder.file(), Some(folder.take(&mut source).map_err(failed)?), None)
            }
            _ => {
                let scratch = self.scratch()?;
                (scratch.file(), Some(scratch.take(&mut source).map_err(failed)?), Some(scratch))
            }
        };
        taken.iter().for_each(Taken::tell);
        let sealer = (source.form() != Form::Plain).then(|| source.sealer());
        Ok(Readable { file, session: taken.map(|taken| taken.session), sealer, _scratch: scratch })
    }

    /// Says what is to be known of where a session comes from.
    fn tell(&self, name: impl Display, origin: Origin) {
        let name = plain(&name.to_string());
        if let Some(warning) = warning(origin, self.keys_given) {
            eprintln!("note: {name}: {warning}");
        }
        if let (Origin::Signed(author), None) = (origin, &self.signer) {
            eprintln!(
                "note: {name}: it is signed by {author}; what is saved here is not signed, without --sign"
            );
        }
    }

    /// Keeps in mind how a session was stored that the worker has loaded.
    pub(super) fn loaded(&mut self, session: &str, readable: Readable) {
        let Some(sealer) = readable.sealer else { return };
        self.sealers.insert(session.to_owned(), sealer);
        if let Err(error) = self.form(session) {
            eprintln!("note: it cannot be saved here: {error}; see --recipient");
        }
    }

    /// The form in which a session is to be saved.
    pub(super) fn form(&mut self, session: &str) -> Result<Form, SealError> {
        let sealer = match (self.sealers.remove(session), &self.lock) {
            (None, None) if self.sealed_only => return Err(SealError::NoLock),
            (None, None) => return Ok(Form::Plain),
            (Some(sealer), None) => sealer.signing(self.signer.clone()),
            (before, Some(lock)) => {
                let (lock, signer) = (Some(lock.clone()), self.signer.clone());
                match before {
                    Some(before) => {
                        let options = SealOptions { lock, signer, ..before.options().clone() };
                        before.renew(options)?
                    }
                    None => Sealer::new(SealOptions { lock, signer, ..SealOptions::default() })?,
                }
            }
        };
        let sealer = self.sealers.entry(session.to_owned()).insert_entry(sealer).into_mut();
        sealer.ready()?;
        Ok(if sealer.is_sealing() { Form::Sealed } else { Form::Wrapped })
    }

    /// Is a session saved so that it needs a key?
    pub(super) fn is_sealed(&self, session: &str) -> bool {
        self.sealers.get(session).is_some_and(Sealer::is_sealing)
    }

    /// A folder for a session that is not to be plain anywhere else.
    pub(super) fn scratch(&self) -> Result<Scratch, Failure> {
        self.scratch.make()
    }

    /// Puts a session from a folder into a place, in its form; gives the bytes written.
    pub(super) fn put(
        &mut self,
        session: &str,
        folder: &Scratch,
        sink: impl SessionSink,
    ) -> Result<u64, PlaceError> {
        match self.sealers.get_mut(session) {
            Some(sealer) => folder.give(SealedSink::new(sealer, sink)),
            None => folder.give(sink),
        }
    }
}
