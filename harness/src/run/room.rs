//! Room on the disk that a run writes to. What a worker does on a full one says nothing of it, so nothing more is begun then.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::RunError;
use crate::scenario::StepError;

/// What is to be left in any case, in bytes: the record of the run, its results and its report are written at its end.
const LEAST: u64 = 16 << 20;

/// Room on the disk that a folder is on.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    /// The largest session that was saved, in bytes.
    largest: AtomicU64,
    /// What is said of the disk once it is known to be full.
    full: OnceLock<String>,
}

impl Room {
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), largest: AtomicU64::new(0), full: OnceLock::new() }
    }

    /// A session of that size was saved: the next ones may be as large.
    pub(super) fn saved(&self, bytes: u64) {
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Something failed: for lack of room?
    pub(super) fn failed(&self, error: &StepError) {
        if let StepError::NoRoom { message, .. } = error {
            self.ran_out(message);
        }
    }

    /// Something was not written for lack of room.
    pub(super) fn ran_out(&self, why: &str) {
        self.full.get_or_init(|| why.to_owned());
    }

    /// What is said of the disk where there is no room for anything more.
    pub(super) fn lacking(&self) -> Option<&str> {
        if self.full.get().is_none()
            && let Some(told) =
                free(&self.folder).and_then(|free| lacking(free, self.largest.load(Ordering::Relaxed)))
        {
            self.ran_out(&told);
        }
        self.full.get().map(String::as_str)
    }

    /// # Errors
    /// [`RunError::NoRoom`] where there is no room for anything more.
    pub(super) fn check(&self) -> Result<(), RunError> {
        match self.lacking() {
            Some(why) => Err(RunError::NoRoom { path: self.folder.clone(), why: why.to_owned() }),
            None => Ok(()),
        }
    }
}

/// What is said where so many bytes are free, and the largest session so far has that size.
fn lacking(free: u64, largest: u64) -> Option<String> {
    // A session, and what it is copied to before something happens to it.
    let needed = largest.saturating_mul(2).max(LEAST);
    let mib = |bytes: u64| bytes >> 20;
    (free < needed)
        .then(|| format!("{} MiB are free, and the next cell may need {} MiB", mib(free), mib(needed)))
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_the_next_session_or_nothing_is_begun() {
        const MIB: u64 = 1 << 20;
        for (free, largest, lacks) in [
            (u64::MAX, u64::MAX, false),
            (1 << 40, 500 * MIB, false),
            (1000 * MIB, 500 * MIB, false),
            (999 * MIB, 500 * MIB, true),
            (16 * MIB, 0, false),
            (16 * MIB - 1, 0, true),
            (16 * MIB - 1, 4096, true),
            (0, 0, true),
        ] {
            assert_eq!(lacking(free, largest).is_some(), lacks, "{free} {largest}");
        }
        let told = lacking(999 * MIB, 500 * MIB).unwrap();
        assert_eq!(told, "999 MiB are free, and the next cell may need 1000 MiB");
    }

    #[test]
    fn only_a_lack_of_room_fills_a_disk() {
        let room = Room::of(Path::new("."));
        room.saved(1);
        room.failed(&StepError::Failed { op: "save", message: "no".into() });
        assert_eq!(room.full.get(), None);
        room.failed(&StepError::NoRoom { op: "save", message: "No space left on device".into() });
        room.failed(&StepError::NoRoom { op: "save", message: "another".into() });
        assert_eq!(room.lacking(), Some("No space left on device"));
        assert!(matches!(room.check(), Err(RunError::NoRoom { .. })));
    }
}
