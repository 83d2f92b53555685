//! A run's folder: everything that a run needs to go on where it was interrupted, and to be one part of a larger one.
//!
//! | file | what it is |
//! |---|---|
//! | `run.json` | what was asked for and who took part: [`Manifest`] |
//! | `plan.json` | every cell of the plan: [`Planned`] |
//! | `events.jsonl` | what happened, one [`Event`] a line, only ever appended to |
//! | `intact.toml`, `expectations.toml` | copies of what the run was made with |
//! | `artifacts.jsonl`, `artifacts/` | saved sessions by what they are, and their bytes by their hash: [`ArtifactStore`] |
//! | `parts/` | copies of the documents of parts that are kept elsewhere |
//! | `results.json`, `report.html`, … | made from the above |

mod artifact;
mod digest;
mod event;
mod lines;
mod manifest;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use intact_store::StoreError;
use thiserror::Error;

pub use artifact::{ArtifactEntry, ArtifactStore, Content, StoredFile, WriterIdentity};
pub(crate) use digest::Ingredients;
pub use digest::{Partition, PlanDigest};
pub(crate) use event::outcomes;
pub use event::{Event, EventLog, Judged, Measured, Outcome};
pub use manifest::{Kind, MANIFEST_VERSION, Manifest, Planned};

/// A run's folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

/// Why a run's folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// It is no run's folder.
    #[error("{path} is no run's folder: there is no run.json in it", path = path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// It is of another plan.
    #[error(
        "{path} is of another plan: {differ} differ, so its cells are not those that would be run now",
        path = path.display()
    )]
    OtherPlan {
        /// The folder.
        path: PathBuf,
        /// What differs.
        differ: String,
    },
    /// An artifact is not what its entry says.
    #[error("the artifact {name} of {path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is kept elsewhere cannot be reached.
    #[error(transparent)]
    Beyond(#[from] Box<StoreError>),
    /// Another process has the run.
    #[error("{path} is in use by another process", path = path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
}

/// Turns the system's errors into ones that name the file.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

pub(crate) const RUN: &str = "run.json";
const PLAN: &str = "plan.json";
const EVENTS: &str = "events.jsonl";

/// What a run is gone on with, put together from, and reported from, beside [`RUN`].
pub(crate) const DOCUMENTS: [&str; 3] = [PLAN, EVENTS, artifact::INDEX];

impl RunFolder {
    /// Begins a run in a folder, which is made if it is not there, and gives its log. What an earlier run left is removed.
    ///
    /// # Errors
    /// [`FolderError::Busy`] where a process is at the run that is there, and [`FolderError::Io`].
    pub fn begin(path: &Path) -> Result<(Self, EventLog), FolderError> {
        fs::create_dir_all(path).map_err(at(path))?;
        let folder = Self { path: path.to_owned() };
        let mut log = folder.log()?;
        for file in [RUN, PLAN, artifact::INDEX] {
            let file = path.join(file);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&file)(error)),
                _ => {}
            }
        }
        let artifacts = path.join(artifact::CONTENT);
        if artifacts.is_dir() {
            fs::remove_dir_all(&artifacts).map_err(at(&artifacts))?;
        }
        log.clear()?;
        Ok((folder, log))
    }

    /// A folder with a run in it.
    ///
    /// # Errors
    /// [`FolderError::NoRun`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        if path.join(RUN).is_file() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(FolderError::NoRun { path: path.to_owned() })
    }

    /// A folder with the documents of a run that lies elsewhere; its manifest is written last.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(crate) fn copied(path: &Path, manifest: &Manifest) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned() };
        folder.write_manifest(manifest)?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What was asked for, and who took part.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn manifest(&self) -> Result<Manifest, FolderError> {
        manifest::read(&self.file(RUN))
    }

    /// Writes what was asked for, and who takes part.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), FolderError> {
        manifest::write(&self.file(RUN), manifest, true)
    }

    /// The plan.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn plan(&self) -> Result<Planned, FolderError> {
        manifest::read(&self.file(PLAN))
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn write_plan(&self, plan: &Planned) -> Result<(), FolderError> {
        manifest::write(&self.file(PLAN), plan, false)
    }

    /// What happened so far. A torn last line, left by a process that was killed while it wrote, is passed over.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn events(&self) -> Result<Vec<Event>, FolderError> {
        lines::read(&self.file(EVENTS))
    }

    /// The log, to append to. One process at a time has it.
    ///
    /// # Errors
    /// [`FolderError::Busy`] and [`FolderError::Io`].
    pub fn log(&self) -> Result<EventLog, FolderError> {
        EventLog::open(&self.file(EVENTS), &self.path)
    }

    /// The artifacts.
    #[must_use]
    pub fn artifacts(&self) -> ArtifactStore {
        ArtifactStore::new(&self.path)
    }

    /// Makes sure that the folder's plan is this one.
    ///
    /// # Errors
    /// [`FolderError::OtherPlan`], naming what differs.
    pub fn check_plan(&self, theirs: &PlanDigest, ours: &PlanDigest) -> Result<(), FolderError> {
        let differ = theirs.differences(ours);
        if differ.is_empty() {
            return Ok(());
        }
        Err(FolderError::OtherPlan { path: self.path.clone(), differ: differ.join(", ") })
    }
}
