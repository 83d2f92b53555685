//! A store in memory with one sound session, and a way to put anything beside it.
#![allow(dead_code, reason = "each target needs a part of it")]

use std::sync::Arc;

use intact_format::image::{Chunk, ChunkId};
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;
use intact_store::{Draft, Expected, Saved, SessionStore, StoreError, Summary};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

const SOUND: &str = "sound";

pub fn id(session: &str) -> SessionId {
    SessionId::new(session).expect("an id")
}

pub fn store() -> (SessionStore, Arc<InMemory>) {
    let objects = Arc::new(InMemory::new());
    let store = SessionStore::over(objects.clone(), "").expect("a store");
    save(&store, SOUND).expect("saved");
    (store, objects)
}

pub fn save(store: &SessionStore, session: &str) -> Result<Saved, StoreError> {
    let document = session::write(&SessionDocument::new(id(session)), FormatVersion::CURRENT);
    let document = document.expect("written").bytes;
    let chunks = [Chunk::new(&b"a chunk"[..])];
    let draft = Draft::whole(id(session), Summary::of_bytes(&document), &document, &chunks);
    store.save(&draft, Expected::Anything)
}

pub fn put(objects: &InMemory, name: &str, content: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let path = Path::from(name);
    runtime.block_on(objects.put(&path, PutPayload::from(content.to_vec()))).expect("put");
}

pub fn head_of(session: &str, number: u64) -> String {
    let hash = ChunkId::of(session.as_bytes()).to_string();
    format!("sessions/{}/{number:012}.json", &hash[..40])
}

pub fn assert_sound(store: &SessionStore) {
    let opened = store.session(&id(SOUND)).expect("it is there");
    let ids: Vec<_> = opened.chunks.iter().map(|chunk| chunk.id).collect();
    assert_eq!(store.chunks(&opened, &ids).expect("they are there").len(), 1);
}
