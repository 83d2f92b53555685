//! What can go wrong with a sidecar.

use std::io;
use std::path::{Path, PathBuf};

use crate::image::{ChunkId, ChunkMismatch};

/// A sidecar that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// The file system refused.
    #[error("{}: cannot {what}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The reason.
        cause: io::Error,
    },
    /// There is no such file.
    #[error("{}: the KV image is missing; the session can still be loaded by evaluating its tokens again", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a sidecar.
    #[error("{}: this is not a KV image: it does not begin with its magic", path.display())]
    NotASidecar {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a later version.
    #[error("{}: KV image version {found}; this version of intact reads {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The version that is understood.
        known: u32,
    },
    /// The document needs a chunk that the file does not have.
    #[error("{}: chunk {id} is missing; the image is truncated, or belongs to another session", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The chunk.
        id: ChunkId,
    },
    /// A chunk has another length than the document says.
    #[error("{}: chunk {id} has {found} bytes, the session document says {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The chunk.
        id: ChunkId,
        /// Bytes that the document expects.
        expected: u64,
        /// Bytes that the frame has.
        found: u64,
    },
    /// A chunk's bytes are not what its id says.
    #[error("{}: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The two ids.
        cause: ChunkMismatch,
    },
}

impl SidecarError {
    pub(super) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| match cause.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { path, what, cause },
        }
    }
}
