//! The first half of a run: sessions are saved here, to be loaded elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::phase::{Prepared, Ready};
use super::saved::ArtifactKey;
use super::setup::Setup;
use super::{Progress, RunError, RunOptions, references, saved};
use crate::folder::{ArtifactStore, Content, FolderError, Kind, Partition, RunFolder};
use crate::interrupt;

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Sessions that cells of the whole plan read, of this part of it.
    pub sessions: usize,
    /// Of these, the ones that were there already.
    pub there: usize,
    /// Of these, the ones that were saved now.
    pub saved: usize,
    /// Of these, the ones that could not be saved: whoever loads them will judge the reason.
    pub failed: usize,
    /// Whether it ended before all were made.
    pub interrupted: bool,
}

/// Saves the sessions that a plan's cells read, and keeps them in the run's folder. A part of a plan is the part of its
/// sessions, so that none is saved twice.
///
/// # Errors
/// [`RunError`].
pub fn produce(options: &RunOptions, progress: &dyn Progress) -> Result<Produced, RunError> {
    let mut setup = Setup::ready(options, Kind::Produce, progress).map_err(RunError::unless_interrupted)?;
    let (folder, _log) = setup.folder(options)?;
    let scratch = folder.scratch()?;
    let executor = setup.executor(scratch.path(), scratch.path(), 0, progress);
    let ready: Vec<Ready<'_>> = executor.prepare(&setup.selected);
    let cells: Vec<&Prepared<'_>> = ready.iter().filter_map(|cell| cell.as_ref().ok()).collect();
    let store = folder.artifacts();
    if let Some(kept) = &options.kept {
        take_over(&RunFolder::open(kept)?.artifacts(), &store, &executor.sessions(&cells), scratch.path())?;
    }
    let there = store.entries()?;
    let taken = |digest: &str| options.partition.is_none_or(|partition: Partition| partition.takes(digest));

    let mut wanted = executor.sessions(&cells);
    wanted.retain(|key, _| taken(&key.digest()));
    let sessions = wanted.len();
    wanted.retain(|key, _| !there.contains_key(&key.digest()));
    let broken: Mutex<Option<FolderError>> = Mutex::new(None);
    let note = |kept: Result<(), FolderError>| {
        if let Err(error) = kept {
            broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
        }
    };
    let (made, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let left = wanted.len();
    executor.save(wanted, &|key, saved| {
        let outcome = if saved.artifact.is_ok() { &made } else { &failed };
        outcome.fetch_add(1, Ordering::Relaxed);
        note(saved::keep(&store, key, saved));
    });
    let mut references = executor.writers_references(&cells);
    references.retain(|key, _| taken(&key.digest()) && !there.contains_key(&key.digest()));
    executor.hold(references, &|key, reference, writer| {
        if let Some(writer) = writer {
            note(references::keep(&store, scratch.path(), key, reference, writer));
        }
    });
    executor.room.check()?;
    if let Some(error) = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(error.into());
    }
    Ok(Produced {
        sessions,
        there: sessions - left,
        saved: made.into_inner(),
        failed: failed.into_inner(),
        interrupted: interrupt::requested(),
    })
}

/// Takes sessions from one store into another, as they are.
fn take_over(
    from: &ArtifactStore,
    to: &ArtifactStore,
    wanted: &BTreeMap<ArtifactKey, &Prepared<'_>>,
    scratch: &Path,
) -> Result<(), FolderError> {
    let entries = from.entries()?;
    for entry in wanted.keys().filter_map(|key| entries.get(&key.digest())) {
        if let Content::Session { document, image, .. } = &entry.content {
            for file in std::iter::once(document).chain(image) {
                to.keep(&from.take(file, scratch)?)?;
            }
        }
        to.add(entry)?;
    }
    Ok(())
}
