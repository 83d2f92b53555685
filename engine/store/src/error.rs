//! What a store cannot do, told so that the reader knows what to do next.

use std::io;
use std::path::PathBuf;

use intact_format::image::sidecar::SidecarError;
use intact_format::image::{ChunkId, ChunkMismatch};
use intact_format::place::PlaceError;
use intact_format::route::RefusalCode;
use intact_format::session_id::SessionId;

use crate::head::DocumentError;
use crate::key::Generation;

/// Why a store did not do what it was asked to do. No session was lost by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text names no store.
    #[error(
        "`{given}` names no store: {why}; give a folder, memory:, s3://bucket/path, gs://bucket/path or az://container/path"
    )]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no store at that place.
    #[error(
        "there is no store at {address}; check the place (--store or INTACT_STORE), or save a session to make one"
    )]
    NoStore {
        /// The place.
        address: String,
    },
    /// Somebody keeps something else there.
    #[error(
        "{address} is no store, and it is not empty: it has {found}. A store is made in a folder of its own; give another place, \
         or an empty one"
    )]
    Occupied {
        /// The place.
        address: String,
        /// The first of what is there.
        found: String,
    },
    /// A request failed, also after the retries that make sense.
    #[error("{address}: {action} {key} failed: {cause}{hint}")]
    Backend {
        /// The store.
        address: String,
        /// What was asked.
        action: &'static str,
        /// Of which object.
        key: String,
        /// Why it failed.
        cause: Box<object_store::Error>,
        /// What to do, after a line break.
        hint: &'static str,
    },
    /// There is no such session.
    #[error("the store {address} has no session `{session}`; `intact store ls` lists those it has")]
    SessionNotFound {
        /// The store.
        address: String,
        /// The session.
        session: SessionId,
    },
    /// Somebody else saved or removed the session since.
    #[error(
        "session `{session}` is at save {found} in the store and not at {expected} any more: somebody else saved or removed \
         it meanwhile; load it again, or save under another id"
    )]
    Conflict {
        /// The session.
        session: SessionId,
        /// The save that the caller knows; 0 for none.
        expected: Generation,
        /// The save that is there.
        found: Generation,
    },
    /// A newer save took the place of the one that was being read, and its chunks went.
    #[error("session `{session}` was saved anew while it was being read; load it again")]
    Superseded {
        /// The session.
        session: SessionId,
    },
    /// A stored payload is not there.
    #[error(
        "chunk {id} of session `{session}` is missing from the store; `intact store verify` lists everything that is"
    )]
    Missing {
        /// The session.
        session: SessionId,
        /// The payload.
        id: ChunkId,
    },
    /// A stored payload has other bytes than its name says.
    #[error(
        "{key} is damaged: {cause}; `intact store verify --repair` removes it, so that the next save stores it again"
    )]
    Damaged {
        /// The object.
        key: String,
        /// The two hashes.
        cause: ChunkMismatch,
    },
    /// Something has another length than is known of it.
    #[error(
        "{key} has {found} bytes and not {expected}: it is damaged, or what refers to it is; it was not read"
    )]
    WrongLength {
        /// The object.
        key: String,
        /// What refers to it says so.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// A document of the store is longer than any.
    #[error("{key} has {found} bytes, and such a document has {most} at most; it was not read")]
    TooLong {
        /// The object.
        key: String,
        /// What it has.
        found: u64,
        /// The most that is read.
        most: u64,
    },
    /// Something else than a file or folder of the store lies in its place.
    #[error(
        "{key} is {what}, which no store has; nothing was read, written or removed there: see who put it there, and remove it"
    )]
    Irregular {
        /// The object, or the folder.
        key: String,
        /// What it is.
        what: &'static str,
    },
    /// The last number of a session is in use.
    #[error(
        "session `{session}` cannot be saved or removed any more: {key} has the last number that there is, which no store \
         reaches by itself; remove that file if it is not wanted, or save under another id"
    )]
    NumbersUsedUp {
        /// The session.
        session: SessionId,
        /// The head with that number.
        key: String,
    },
    /// A save named a chunk that it did not bring and the store does not have.
    #[error(
        "chunk {id} is neither in the store nor part of this save; save the session with its whole image"
    )]
    NotSupplied {
        /// The chunk.
        id: ChunkId,
    },
    /// A document of the store cannot be read.
    #[error("{key} cannot be read: {cause}")]
    Document {
        /// The object.
        key: String,
        /// Why.
        cause: DocumentError,
    },
    /// The session document cannot be read.
    #[error("the document of session `{session}` cannot be read: {cause}")]
    Session {
        /// The session.
        session: SessionId,
        /// Why.
        cause: PlaceError,
    },
    /// The session document is that of another session.
    #[error(
        "what the store has as session `{session}` is session `{found}`: somebody has put one in the place of the other"
    )]
    OtherSession {
        /// The session.
        session: SessionId,
        /// The one that the document is of.
        found: SessionId,
    },
    /// The operation took so long that what it knew of the store may have changed.
    #[error("{what} took longer than {limit} minutes and was given up before it could do harm; try again")]
    TooSlow {
        /// The operation.
        what: &'static str,
        /// The limit in minutes.
        limit: u64,
    },
    /// Others kept changing what was being read.
    #[error("{what} met other writers {tries} times in a row; try again when fewer processes use the store")]
    Contended {
        /// The operation.
        what: &'static str,
        /// How often it was tried.
        tries: u32,
    },
    /// A session file cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// What is in a session file cannot be read.
    #[error("{path}: {cause}")]
    SessionFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: PlaceError,
    },
    /// The image beside a session file cannot be read.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// A session file or its image cannot be written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The runtime for requests could not be started.
    #[error("requests cannot be made: {0}")]
    Runtime(io::Error),
}

impl StoreError {
    /// The stable name of the reason, where a session document or its image was refused.
    #[must_use]
    pub const fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Session { cause, .. } | Self::SessionFile { cause, .. } | Self::Place(cause) => cause.code,
            _ => None,
        }
    }
}

/// What to do about a failed request.
pub(crate) fn hint(error: &object_store::Error) -> &'static str {
    use object_store::Error;
    match error {
        Error::PermissionDenied { .. } => "\nthe credentials, or the owner of the folder, do not allow it",
        Error::Unauthenticated { .. } => {
            "\ngive credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
             GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
        }
        other => io_hint(other),
    }
}

fn io_hint(error: &object_store::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "\nmake a little room on that disk; `intact store prune` and `intact store gc` then remove what is not needed"
                }
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    "\nthe folder cannot be written; check its owner and permissions, or use another store"
                }
                io::ErrorKind::ConnectionRefused => "\nnothing answers there; check the endpoint",
                _ => "",
            };
        }
        cause = error.source();
    }
    ""
}
