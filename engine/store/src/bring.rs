//! Bringing chunks ahead of the save that needs them, so that not all of them have to be in memory at once.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::image::{Chunk, ChunkId};

use crate::error::StoreError;
use crate::head::{self, BlobReference, Intent, VERSION};
use crate::key::Key;
use crate::objects::{CONCURRENCY, Objects};
use crate::surroundings::Surroundings;
use crate::sweeping::Condemnation;

/// Chunks that were stored for a save to come. They stay until they are released, or their holder dies and a day has
/// passed; the save looks for each of them all the same.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    intents: Vec<Key>,
    /// Where each is.
    pub(crate) chunks: HashMap<ChunkId, BlobReference>,
    /// Those that were not there before.
    pub(crate) new: HashSet<ChunkId>,
}

impl Brought {
    /// Stores chunks that are not there, as a save does: announced first, and under names that no garbage collection is
    /// about to remove.
    pub(crate) async fn bring(
        &mut self,
        objects: &Objects,
        surroundings: &dyn Surroundings,
        chunks: &[Chunk<'_>],
    ) -> Result<(), StoreError> {
        let intent = Key::Intent(surroundings.mark());
        let document =
            head::write(&Intent { version: VERSION, blobs: chunks.iter().map(Chunk::id).collect() });
        let document = document.map_err(|cause| StoreError::Document { key: intent.to_string(), cause })?;
        objects.put(&intent, document).await?;
        self.intents.push(intent);
        let condemnation = Condemnation::read(objects).await?;
        let (condemnation, mark) = (&condemnation, surroundings.mark());
        let stored = (0..chunks.len()).map(|at| async move {
            let chunk = &chunks[at];
            let (id, bytes) = chunk.entry();
            let name = condemnation.name_for(id, mark);
            let key = Key::Blob(name);
            let is_new = match objects.head(&key).await? {
                Some(found) if found.bytes == bytes => false,
                // Of another length, so damaged.
                Some(_) => objects.put(&key, chunk.payload().to_vec()).await.map(|()| true)?,
                None => objects.create(&key, chunk.payload().to_vec()).await?,
            };
            Ok::<_, StoreError>((BlobReference { id, bytes, mark: name.mark }, is_new))
        });
        let stored: Vec<_> = stream::iter(stored).buffered(CONCURRENCY).try_collect().await?;
        for (reference, is_new) in stored {
            self.chunks.insert(reference.id, reference);
            if is_new {
                self.new.insert(reference.id);
            }
        }
        Ok(())
    }

    /// Is there nothing to let go of?
    pub(crate) fn is_empty(&self) -> bool {
        self.intents.is_empty()
    }

    /// Lets go of what was brought.
    pub(crate) async fn release(self, objects: &Objects) -> Result<(), StoreError> {
        objects.remove(self.intents).await
    }
}
