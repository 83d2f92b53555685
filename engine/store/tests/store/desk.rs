//! Sessions to save, and stores to save them in.

use std::path::Path;

use intact_format::image::Chunk;
use intact_format::message::{Message, Role};
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;
use intact_store::{Draft, SessionStore, Summary};

pub(crate) fn id(text: &str) -> SessionId {
    SessionId::new(text).expect("an id")
}

pub(crate) fn memory() -> SessionStore {
    SessionStore::create("memory:").expect("a store in memory")
}

pub(crate) fn folder(path: &Path) -> SessionStore {
    SessionStore::create(path.to_str().expect("UTF-8")).expect("a store in a folder")
}

/// The document of a session in which something was said.
pub(crate) fn document(session: &str, said: &str) -> Vec<u8> {
    let mut document = SessionDocument::new(id(session));
    document.history.push(Message::new(0, Role::User, said));
    session::write(&document, FormatVersion::CURRENT).expect("written").bytes
}

pub(crate) fn chunk(content: u8, bytes: usize) -> Chunk<'static> {
    Chunk::new(vec![content; bytes])
}

pub(crate) fn draft<'a>(session: &str, document: &'a [u8], chunks: &'a [Chunk<'a>]) -> Draft<'a> {
    Draft::whole(id(session), Summary::of_bytes(document), document, chunks)
}

/// The document of a session and its chunks, as a reader gets them.
pub(crate) fn load(store: &SessionStore, session: &str) -> (Vec<u8>, Vec<Chunk<'static>>) {
    let opened = store.session(&id(session)).expect("the session is there");
    let ids: Vec<_> = opened.chunks.iter().map(|chunk| chunk.id).collect();
    let chunks = store.chunks(&opened, &ids).expect("its chunks are there");
    (opened.document, chunks)
}
