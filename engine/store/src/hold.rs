//! Holding on to the chunks of a session's last save, so that a save that is being prepared need not bring them.

use futures_util::{StreamExt, TryStreamExt, stream};
use intact_format::session_id::SessionId;

use crate::error::StoreError;
use crate::head::{self, BlobReference, Content, Head, Intent, VERSION};
use crate::history::{self, History};
use crate::key::{Key, SessionKey};
use crate::objects::{CONCURRENCY, Objects};
use crate::surroundings::Surroundings;
use crate::sweeping::Condemnation;

/// Chunks that stay in the store until they are released, or their holder dies and a day has passed.
#[derive(Debug, Default)]
pub(crate) struct Held {
    intent: Option<Key>,
    pub(crate) chunks: Vec<BlobReference>,
}

/// Holds the chunks of a session's last save; nothing where there is none.
pub(crate) async fn hold(
    objects: &Objects,
    surroundings: &dyn Surroundings,
    session: &SessionId,
) -> Result<Held, StoreError> {
    let key = SessionKey::of(session);
    let before = history::one(objects, key).await?;
    let blobs: Vec<_> = chunks(&before).iter().map(|chunk| chunk.id).collect();
    if blobs.is_empty() {
        return Ok(Held::default());
    }
    let intent = Key::Intent(surroundings.mark());
    let document = head::write(&Intent { version: VERSION, blobs });
    let document = document.map_err(|cause| StoreError::Document { key: intent.to_string(), cause })?;
    objects.put(&intent, document).await?;
    // What is still of the last save now, and not about to be removed, is safe from now on.
    let condemnation = Condemnation::read(objects).await?;
    let after = history::one(objects, key).await?;
    let chunks = if after.number() == before.number() { chunks(&after).to_vec() } else { Vec::new() };
    let held =
        chunks.into_iter().filter(|chunk| !condemnation.covers(&chunk.name())).map(|chunk| async move {
            let found = objects.head(&Key::Blob(chunk.name())).await?;
            Ok::<_, StoreError>(found.filter(|found| found.bytes == chunk.bytes).map(|_| chunk))
        });
    let held: Vec<_> = stream::iter(held).buffered(CONCURRENCY).try_collect().await?;
    Ok(Held { intent: Some(intent), chunks: held.into_iter().flatten().collect() })
}

/// Lets go of what was held.
pub(crate) async fn release(objects: &Objects, held: Held) -> Result<(), StoreError> {
    objects.remove(held.intent).await
}

fn chunks(history: &History) -> &[BlobReference] {
    match history.saved() {
        Some(Head { content: Content::Saved { chunks, .. }, .. }) => chunks,
        _ => &[],
    }
}
