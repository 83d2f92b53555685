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
use tempfile::TempDir;

use super::Failure;
use super::stored::tell;
use super::table::plain;

/// A folder in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// Where sessions are plain for a moment.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ScratchArguments {
    /// Where a sealed session is plain while the worker reads or writes it [default: memory, in /dev/shm; where that is
    /// not, the folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

/// A folder that only this user can read, with room for one session; gone when dropped.
#[derive(Debug)]
pub(super) struct Scratch(TempDir);

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
    /// A new folder.
    pub(super) fn make(&self) -> Result<Scratch, Failure> {
        let made = match &self.scratch {
            Some(folder) => builder().tempdir_in(folder),
            None if Path::new(MEMORY).is_dir() => builder().tempdir_in(MEMORY),
            None => builder().tempdir(),
        };
        let folder = made.map_err(|error| {
            Failure::setup(format!("there is no room for a session that is opened: {error}"))
                .help("name a folder with --scratch, best one that is not on a disk")
        })?;
        Ok(Scratch(folder))
    }
}

impl Scratch {
    /// A folder for sessions that are plain anyway.
    pub(super) fn ordinary() -> Result<Self, Failure> {
        let made = builder().tempdir();
        made.map(Self).map_err(|error| Failure::setup(format!("no folder for temporary files: {error}")))
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

/// Folders that only this user can read.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("intact-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder
}

fn read(document: &[u8]) -> Result<SessionDocument, PlaceError> {
    let read = session::read(document, FormatVersion::CURRENT);
    read.map(|read| read.document).map_err(|error| PlaceError::new(Some(error.code()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_is_for_this_user_alone_and_gone_with_all_that_is_in_it() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let scratch = ScratchArguments { scratch: Some(folder.path().to_owned()) }.make().unwrap();
        std::fs::write(scratch.file(), "plain").unwrap();
        let own = scratch.file().parent().unwrap().to_owned();
        assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(scratch);
        assert!(!own.exists());
    }
}
