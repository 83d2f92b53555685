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
//! | `.intact/` | what is gone when the run ends |
//!
//! A run takes no folder but one that is new, empty, or a run's already, and removes nothing from it but what runs write.

mod artifact;
mod claim;
mod digest;
mod event;
mod manifest;

use std::io;
use std::path::{Path, PathBuf};

use intact_store::StoreError;
use thiserror::Error;

use crate::journal::{Journal, JournalError};
pub use artifact::{ArtifactEntry, ArtifactStore, Content, StoredFile, WriterIdentity};
pub(crate) use claim::Scratch;
pub(crate) use digest::Ingredients;
pub use digest::{Partition, PlanDigest};
pub(crate) use event::outcomes;
pub use event::{Event, EventLog, Judged, Outcome};
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
    #[error("{path} is not the folder of a run: there is no run.json in it", path = path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Something in it is a link, or no file at all: what it leads to is nothing of the run's.
    #[error(
        "{path} is {what}, and a run's folder has files only: whoever made it would have something else read in their place. It \
         was not followed",
        path = path.display()
    )]
    NoFile {
        /// What is no file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is somebody else's.
    #[error(
        "{path} is not treated as the folder of a run, and nothing in it was changed: {found}. Name a folder that is new, empty, or a run's",
        path = path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
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

impl From<JournalError> for FolderError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { path, source } => Self::Io { path, source },
            JournalError::Malformed { path, line, reason } => {
                Self::Malformed { path, reason: format!("line {line}: {reason}") }
            }
            JournalError::Busy { path } => Self::Busy { path },
        }
    }
}

/// Turns the system's errors into ones that name the file.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

/// Makes sure that what is at a path, if anything is, is a file and no link to one.
///
/// # Errors
/// [`FolderError::NoFile`].
pub(crate) fn plain_file(path: &Path) -> Result<(), FolderError> {
    let what = match path.symlink_metadata() {
        Ok(there) if there.is_symlink() => "a link",
        Ok(there) if there.is_dir() => "a folder",
        Ok(there) if !there.is_file() => "no file",
        _ => return Ok(()),
    };
    Err(FolderError::NoFile { path: path.to_owned(), what })
}

pub(crate) const RUN: &str = "run.json";
/// File name of the configuration in a run's folder.
pub(crate) const CONFIG: &str = "intact.toml";
/// File name of the expectations in a run's folder.
pub(crate) const EXPECTATIONS: &str = "expectations.toml";
const PLAN: &str = "plan.json";
const EVENTS: &str = "events.jsonl";
/// File name of the results.
pub(crate) const RESULTS: &str = "results.json";

/// What a run is gone on with, put together from, and reported from, beside [`RUN`].
pub(crate) const DOCUMENTS: [&str; 3] = [PLAN, EVENTS, artifact::INDEX];

impl RunFolder {
    /// Makes sure that a run may take a folder, without changing anything.
    ///
    /// # Errors
    /// [`FolderError::Foreign`], naming what is in it.
    pub fn check_free(path: &Path) -> Result<(), FolderError> {
        claim::check(path)
    }

    /// Takes a folder for a run that is going to begin in it.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] and [`FolderError::Io`].
    pub(crate) fn claim(path: &Path) -> Result<Self, FolderError> {
        claim::claim(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Begins a run in a folder, which is made if it is not there, and gives its log. What an earlier run left is removed.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] where the folder is neither empty nor a run's, [`FolderError::Busy`] where a process is at the
    /// run that is there, and [`FolderError::Io`].
    pub fn begin(path: &Path) -> Result<(Self, EventLog), FolderError> {
        let folder = Self::claim(path)?;
        let mut log = folder.log()?;
        claim::clear(path)?;
        log.clear()?;
        Ok((folder, log))
    }

    /// A folder with a run in it. Somebody else may have made it: links in it are not followed.
    ///
    /// # Errors
    /// [`FolderError::NoRun`], and [`FolderError::NoFile`] where something in it is a link, or a document no file.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        claim::without_links(path)?;
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
        manifest::write(&self.file(RUN), manifest, true)?;
        claim::unmark(&self.path);
        Ok(())
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
        Ok(Journal::read(&self.file(EVENTS))?)
    }

    /// The log, to append to. One process at a time has it.
    ///
    /// # Errors
    /// [`FolderError::Busy`] and [`FolderError::Io`].
    pub fn log(&self) -> Result<EventLog, FolderError> {
        Journal::open(&self.file(EVENTS)).map_err(|error| match error {
            JournalError::Busy { .. } => FolderError::Busy { path: self.path.clone() },
            error => error.into(),
        })
    }

    /// A folder for files that nobody needs when the run has ended.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub(crate) fn scratch(&self) -> Result<Scratch, FolderError> {
        Scratch::new(&self.path)
    }

    /// Removes what a run that was killed left behind.
    pub(crate) fn tidy(&self) {
        claim::remove_scratch(&self.path);
    }

    /// Removes the run that is in the folder, and the folder where nothing else is in it.
    ///
    /// # Errors
    /// [`FolderError::Foreign`], where something in it is none of a run's.
    pub(crate) fn remove(path: &Path) -> Result<(), FolderError> {
        claim::remove(path)
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
