//! Removing sessions: a head that says so takes the place of the last save. The payloads go with the next garbage collection.

use intact_format::session_id::SessionId;

use crate::error::StoreError;
use crate::head::{self, Content, Head, VERSION};
use crate::history;
use crate::key::{Generation, Key, SessionKey};
use crate::objects::Objects;
use crate::surroundings::{Deadline, Surroundings};

/// Removes the save of that number. Says false, and changes nothing, where it is not the latest one (any more).
pub(crate) async fn remove(
    objects: &Objects,
    surroundings: &dyn Surroundings,
    session: &SessionId,
    generation: Generation,
) -> Result<bool, StoreError> {
    let deadline = Deadline::start(surroundings, "removing a session");
    let key = SessionKey::of(session);
    let history = history::one(objects, key).await?;
    if history.saved().is_none() || history.number() != generation {
        return Ok(false);
    }
    let next = generation.next().ok_or_else(|| StoreError::NumbersUsedUp {
        session: session.clone(),
        key: Key::Head(key, generation).to_string(),
    })?;
    let written_by = surroundings.mark();
    let head = Head {
        version: VERSION,
        session: session.clone(),
        generation: next,
        written_by,
        content: Content::Removed,
    };
    let object = Key::Head(key, next);
    let bytes =
        head::write(&head).map_err(|cause| StoreError::Document { key: object.to_string(), cause })?;
    deadline.check()?;
    if objects.create(&object, bytes).await? {
        return Ok(true);
    }
    // The request may have been made twice because its first answer got lost.
    let there = history::read(objects, key, next).await?;
    Ok(there.is_some_and(|there| there.written_by == written_by))
}
