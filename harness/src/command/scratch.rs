//! Where a sealed session is plain, for as long as a worker reads or writes it: workers know nothing of keys.

use std::path::{Path, PathBuf};

use clap::Args;
use intact_format::image::Durable;
use intact_format::place::{FileSink, FileSource, PlaceError, Replaces, SessionSink, SessionSource, copy};
use intact_format::route::RefusalCode;
use intact_format::session::{self, SessionDocument};
use intact_format::session_id::SessionId;
use intact_format::version::FormatVersion;
use intact_seal::SealedSource;

use super::Failure;
use super::stored::tell;
use super::table::plain;
use crate::fleeting::FleetingFolder;

/// A folder in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// Where sessions are plain for a moment.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ScratchArguments {
    /// Where a sealed session lies plain while the worker reads or writes it [default: in memory, in /dev/shm; where
    /// there is none, the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// A folder that only this user can read, with room for one session; gone when dropped, and however this process ends.
#[derive(Debug)]
pub(super) struct Scratch(FleetingFolder);

/// A session that was written as a plain one.
#[derive(Debug)]
pub(super) struct Taken {
    /// Its id.
    pub(super) session: SessionId,
    /// Why it came without its chunks.
    remark: Option<PlaceError>,
}

impl Taken {
    /// Says on standard error what did not come along.
    pub(super) fn tell(&self) {
        if let Some(error) = &self.remark {
            eprintln!("note: the KV image is left out: {}", plain(&error.to_string()));
        }
    }
}

impl ScratchArguments {
    /// Where new folders are made.
    pub(super) fn within(&self) -> PathBuf {
        match &self.scratch {
            Some(folder) => folder.clone(),
            None if Path::new(MEMORY).is_dir() => MEMORY.into(),
            None => std::env::temp_dir(),
        }
    }

    /// A new folder.
    pub(super) fn make(&self) -> Result<Scratch, Failure> {
        let folder = FleetingFolder::make(&self.within()).map_err(|error| {
            Failure::setup(format!("no folder could be made for opened sessions: {error}"))
                .help("name a folder with --scratch, preferably one in memory")
        })?;
        Ok(Scratch(folder))
    }
}

impl Scratch {
    /// A folder for sessions that are plain anyway.
    pub(super) fn ordinary() -> Result<Self, Failure> {
        let made = FleetingFolder::make(&std::env::temp_dir());
        made.map(Self)
            .map_err(|error| Failure::setup(format!("no folder could be made for temporary files: {error}")))
    }

    /// Its path.
    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The session file in it.
    pub(super) fn file(&self) -> PathBuf {
        self.0.path().join("session.json")
    }

    /// Whatever session is here is replaced.
    fn sink(&self) -> FileSink {
        FileSink::new(self.file(), Replaces::Session, Durable::unflushed())
    }

    /// Writes a session here as a plain one. Where its chunks cannot be read or do not open it is written without them, so
    /// that its tokens can be evaluated again.
    pub(super) fn take<S: SessionSource>(&self, source: &mut SealedSource<S>) -> Result<Taken, PlaceError> {
        let document = source.document()?;
        let SessionDocument { session_id: session, image, .. } = read(&document)?;
        let mut sink = self.sink();
        let remark = match copy(source, &document, image.as_ref(), &mut sink) {
            Ok(_) => None,
            Err(error)
                if matches!(error.code, Some(RefusalCode::ImageMissing | RefusalCode::ImageDamaged)) =>
            {
                self.sink().commit(&document, None)?;
                Some(error)
            }
            Err(error) => return Err(error),
        };
        Ok(Taken { session, remark })
    }

    /// Puts the session that is here into a place; gives the bytes written.
    pub(super) fn give(&self, mut sink: impl SessionSink) -> Result<u64, PlaceError> {
        let mut source = FileSource::new(self.file());
        let document = source.document()?;
        let image = read(&document)?.image;
        let committed = copy(&mut source, &document, image.as_ref(), &mut sink)?;
        tell(committed.remark.as_deref());
        Ok(committed.bytes)
    }
}

fn read(document: &[u8]) -> Result<SessionDocument, PlaceError> {
    let read = session::read(document, FormatVersion::CURRENT);
    read.map(|read| read.document).map_err(|error| PlaceError::new(Some(error.code()), error))
}
