//! The store as others use it: every call blocks until it is done.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use intact_format::image::{Chunk, ChunkId};
use intact_format::session_id::SessionId;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::address;
use crate::blocking::Blocking;
use crate::bring::Brought;
use crate::contents::ReadContents;
use crate::error::StoreError;
use crate::head::{self, Marker, VERSION};
use crate::hold::{self, Held};
use crate::key::{Generation, Key};
use crate::listing::{self, Entry, Listing, Statistics};
use crate::objects::Objects;
use crate::place::{StoreSink, StoreSource};
use crate::read::{self, Opened};
use crate::remove;
use crate::retention::{Prune, Retention};
use crate::save::{self, Draft, Expected, Saved};
use crate::surroundings::{Machine, Surroundings};
use crate::sweep::{self, Collected, Collection};
use crate::verify::{self, Verification};

/// A store of sessions. It can be used from several threads, by several processes, and on several machines at once.
pub struct SessionStore {
    objects: Objects,
    surroundings: Box<dyn Surroundings>,
    requests: Blocking,
}

impl SessionStore {
    /// Opens a store, and makes it where there is none: a folder, `memory:`, or a URL of a cloud that this build knows, whose
    /// credentials come from the environment.
    ///
    /// # Errors
    /// When the text names no store, it cannot be reached, or a newer intact made it.
    pub fn create(address: &str) -> Result<Self, StoreError> {
        Self::over_objects(address::open(address, true)?, true)
    }

    /// Opens a store that is there.
    ///
    /// # Errors
    /// As [`SessionStore::create`], and when there is none.
    pub fn open(address: &str) -> Result<Self, StoreError> {
        Self::over_objects(address::open(address, false)?, false)
    }

    /// A store in a folder of any object store. Makes it where there is none.
    ///
    /// # Errors
    /// When it cannot be reached, or a newer intact made it.
    pub fn over(inner: Arc<dyn ObjectStore>, folder: &str) -> Result<Self, StoreError> {
        let address = format!("{inner}/{folder}");
        Self::over_objects(Objects::new(inner, Path::from(folder), address), true)
    }

    fn over_objects(objects: Objects, create: bool) -> Result<Self, StoreError> {
        let store = Self { objects, surroundings: Box::new(Machine::new()), requests: Blocking::new()? };
        store.wait(admit(&store.objects, create))?;
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        self.objects.address()
    }

    /// Saves a session: stores the payloads that are missing, then publishes the save.
    ///
    /// # Errors
    /// When the store cannot be written, or has another save than `expected`. Then the session is as it was, except after
    /// [`StoreError::Backend`]: a request to publish that was not answered may have been carried out.
    pub fn save(&self, draft: &Draft<'_>, expected: Expected) -> Result<Saved, StoreError> {
        self.save_brought(draft, expected, &Brought::default())
    }

    /// The same, after some chunks were brought.
    pub(crate) fn save_brought(
        &self,
        draft: &Draft<'_>,
        expected: Expected,
        brought: &Brought,
    ) -> Result<Saved, StoreError> {
        self.wait(save::save(&self.objects, &*self.surroundings, draft, expected, brought))
    }

    /// Stores chunks for a save to come.
    pub(crate) fn bring(&self, chunks: &[Chunk<'_>], brought: &mut Brought) -> Result<(), StoreError> {
        self.wait(brought.bring(&self.objects, &*self.surroundings, chunks))
    }

    /// Opens the latest save of a session and reads its document.
    ///
    /// # Errors
    /// When there is no such session, or its document is missing or damaged.
    pub fn session(&self, session: &SessionId) -> Result<Opened, StoreError> {
        self.wait(read::open(&self.objects, session))
    }

    /// Reads and hashes chunks of an opened session, in the order asked for.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when a newer save took its place and its chunks went; the session has to be opened again
    /// then. When a chunk is missing or damaged.
    pub fn chunks(&self, opened: &Opened, wanted: &[ChunkId]) -> Result<Vec<Chunk<'static>>, StoreError> {
        self.wait(read::chunks(&self.objects, opened, wanted))
    }

    /// A place that the engine saves a session to.
    #[must_use]
    pub fn sink(&self, session: SessionId, expected: Expected) -> StoreSink<'_> {
        StoreSink::new(self, session, expected)
    }

    /// A place that the engine loads a session from.
    #[must_use]
    pub fn source(&self, session: SessionId) -> StoreSource<'_> {
        StoreSource::new(self, session)
    }

    /// All sessions that can be read, the latest saved first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sessions(&self) -> Result<Vec<Entry>, StoreError> {
        self.listing().map(|listing| listing.sessions)
    }

    /// The same, with what cannot be read: one bad head does not hide the others.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn listing(&self) -> Result<Listing, StoreError> {
        self.wait(listing::sessions(&self.objects))
    }

    /// What the store holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        self.wait(listing::statistics(&self.objects))
    }

    /// Removes a session, if its latest save still has that number; says whether it did. What only it needs goes with the next
    /// [`SessionStore::collect`].
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove(&self, session: &SessionId, generation: Generation) -> Result<bool, StoreError> {
        self.wait(remove::remove(&self.objects, &*self.surroundings, session, generation))
    }

    /// Removes the sessions that a retention does not keep, or says which those are.
    ///
    /// # Errors
    /// When the store cannot be read or written; sessions that were removed before stay removed.
    pub fn prune(&self, retention: &Retention, dry_run: bool) -> Result<Prune, StoreError> {
        let Listing { sessions, unreadable } = self.listing()?;
        let mut prune = Prune { unreadable, ..retention.apply(&sessions, Timestamp::now()) };
        if dry_run {
            return Ok(prune);
        }
        let mut removed = HashSet::new();
        for entry in &prune.removed {
            match self.remove(&entry.session, entry.generation) {
                Ok(true) => {
                    removed.insert(entry.session.clone());
                }
                Ok(false) => {}
                // That is about this session alone.
                Err(error @ (StoreError::NumbersUsedUp { .. } | StoreError::Irregular { .. })) => {
                    prune.failed.push((entry.session.clone(), error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(prune.only(&removed))
    }

    /// Removes what no session needs. Safe while others save. Of a session whose latest head is damaged nobody knows what it
    /// needs: then only what was stored later is removed.
    ///
    /// # Errors
    /// When the store cannot be read or written, has a session of a newer intact, or one may be behind a link; then nothing
    /// more is removed.
    pub fn collect(&self, collection: Collection) -> Result<Collected, StoreError> {
        self.wait(sweep::collect(&self.objects, &*self.surroundings, collection))
    }

    /// Reads and hashes everything, and reads every session document with `read`. `repair` removes payloads that are
    /// damaged, so that the next save stores them again.
    ///
    /// # Errors
    /// When the store cannot be read. What is damaged is reported and no error.
    pub fn verify(&self, repair: bool, read: &ReadContents<'_>) -> Result<Verification, StoreError> {
        self.wait(verify::verify(&self.objects, repair, read))
    }

    /// Holds the chunks of a session's last save.
    pub(crate) fn hold(&self, session: &SessionId) -> Result<Held, StoreError> {
        self.wait(hold::hold(&self.objects, &*self.surroundings, session))
    }

    /// Lets go of what was held and brought.
    pub(crate) fn release(&self, held: Held, brought: Brought) {
        let released = async {
            hold::release(&self.objects, held).await?;
            brought.release(&self.objects).await
        };
        if let Err(error) = self.wait(released) {
            tracing::warn!(%error, "the announcement of a save stays behind; garbage collection removes it in a day");
        }
    }

    fn wait<T: Send>(
        &self,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.requests.wait(request)
    }
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Looks at the marker of a store, and makes it where it is missing.
async fn admit(objects: &Objects, create: bool) -> Result<(), StoreError> {
    let document = |cause| StoreError::Document { key: Key::Marker.to_string(), cause };
    if let Some(bytes) = objects.document(&Key::Marker).await? {
        return head::read::<Marker>(&bytes).map(|_| ()).map_err(document);
    }
    if !create {
        return Err(StoreError::NoStore { address: objects.address().to_owned() });
    }
    // Collecting garbage would take what others keep there for payloads of ours.
    // What a process left that was killed while it made a store begins as the marker does.
    let marker = Key::Marker.to_string();
    if let Some(found) = objects.names("").await?.into_iter().find(|name| !name.starts_with(&marker)) {
        // Somebody may have made the store just now.
        if objects.document(&Key::Marker).await?.is_none() {
            return Err(StoreError::Occupied { address: objects.address().to_owned(), found });
        }
    }
    let marker = head::write(&Marker { version: VERSION }).map_err(document)?;
    objects.create(&Key::Marker, marker).await.map(|_| ())
}
