//! Many sessions, all of them sealed.

use std::collections::HashMap;

use intact_format::place::{PlaceError, SessionSink, SessionSource, Shelf};
use intact_format::session_id::SessionId;

use crate::key::Keys;
use crate::opener::{Opened, SealedSource};
use crate::sealer::{SealOptions, SealedSink, Sealer};

/// A shelf whose sessions are encrypted, compressed, or both, before they go to another shelf.
#[derive(Debug)]
pub struct SealedShelf<S> {
    inner: S,
    options: SealOptions,
    keys: Keys,
    sealers: HashMap<SessionId, Sealer>,
}

impl<S: Shelf> SealedShelf<S> {
    /// Sessions on `inner`, saved with `options` and opened with `keys`. Where the options have a lock, a session that is
    /// not sealed is refused.
    pub fn new(inner: S, options: SealOptions, keys: Keys) -> Self {
        Self { inner, options, keys, sealers: HashMap::new() }
    }
}

impl<S: Shelf> Shelf for SealedShelf<S> {
    fn sink<'a>(&'a mut self, id: &SessionId) -> Result<Box<dyn SessionSink + 'a>, PlaceError> {
        let sealer = match self.sealers.remove(id) {
            Some(sealer) => sealer.renew(self.options.clone())?,
            None => Sealer::new(self.options.clone())?,
        };
        let sealer = self.sealers.entry(id.clone()).insert_entry(sealer).into_mut();
        Ok(Box::new(SealedSink::new(sealer, self.inner.sink(id)?)))
    }

    fn source<'a>(&'a mut self, id: &SessionId) -> Result<Option<Box<dyn SessionSource + 'a>>, PlaceError> {
        let Some(mut inner) = self.inner.source(id)? else { return Ok(None) };
        let opened = Opened::read(inner.document()?, &self.keys, self.options.lock.is_some())?;
        self.sealers.insert(id.clone(), Sealer::resume(&opened));
        Ok(Some(Box::new(SealedSource::opened(inner, opened))))
    }
}
