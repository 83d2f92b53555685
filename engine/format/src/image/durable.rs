//! Writes that survive a power cut, and a way for tests to cut the power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::flusher::Flusher;

/// Where the steps of a save go: to the disk, or to the disk until a fuse blows.
///
/// Every byte written and every other step (sync, rename, truncate) costs one unit of the fuse. When it is spent, the step
/// under way is left half done and it and all later ones fail, as if the process had been killed there.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    fuse: Option<Arc<AtomicU64>>,
    /// What is written stays with the operating system, which flushes it when it likes.
    unflushed: bool,
}

impl Durable {
    /// Writes that end after `units`. For tests of what a kill at that point leaves behind.
    #[must_use]
    pub fn until(units: u64) -> Self {
        Self { fuse: Some(Arc::new(AtomicU64::new(units))), unflushed: false }
    }

    /// Writes that do not wait for the disk. They survive the end of the process; a power cut may take the new content and,
    /// as names can reach the disk before contents do, the old one with it.
    #[must_use]
    pub fn unflushed() -> Self {
        Self { fuse: None, unflushed: true }
    }

    /// Units that are left of the fuse, or none without one.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.fuse.as_ref().map(|fuse| fuse.load(Ordering::SeqCst))
    }

    /// Replaces the content of `path`: temporary file beside it, fsync, rename, fsync of the folder. Whoever reads `path`
    /// finds the old content or the new one.
    ///
    /// # Errors
    /// As the file system does; then `path` has its old content.
    pub fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.prepare(path, content)?.put_in_place()
    }

    /// The first half of [`Durable::replace`]: the new content is on the disk, under another name.
    ///
    /// # Errors
    /// As the file system does.
    pub(crate) fn prepare<'p>(&'p self, path: &'p Path, content: &[u8]) -> io::Result<Prepared<'p>> {
        let temporary = temporary(path);
        let mut file = self.create(&temporary)?;
        let written = self.write(&mut file, content).and_then(|()| self.sync(&file));
        let prepared = Prepared { durable: self, temporary, path, _locked: file };
        match written {
            Ok(()) => Ok(prepared),
            Err(error) => {
                prepared.discard();
                Err(error)
            }
        }
    }

    /// Is what was flushed on the disk?
    pub(super) const fn flushes(&self) -> bool {
        !self.unflushed
    }

    /// Flushes a file while it is written, where anything is flushed.
    pub(super) fn flusher(&self, file: &File) -> Option<Flusher> {
        if self.fuse.is_some() || self.unflushed { None } else { Flusher::of(file).ok() }
    }

    /// Creates or empties a file, under a lock that ends when it is closed.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.spend(1)?;
        let file = locked(path)?;
        file.set_len(0)?;
        Ok(file)
    }

    /// Writes at the file's position.
    pub(super) fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let allowed = self.take(bytes.len() as u64);
        let allowed = usize::try_from(allowed).unwrap_or(bytes.len());
        file.write_all(&bytes[..allowed])?;
        if allowed < bytes.len() { Err(blown()) } else { Ok(()) }
    }

    /// Flushes content and length.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.spend(1)?;
        if self.unflushed { Ok(()) } else { file.sync_data() }
    }

    /// Cuts a file.
    pub(super) fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.spend(1)?;
        file.set_len(length)
    }

    /// Renames over `to` and flushes its folder.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend(1)?;
        fs::rename(from, to)?;
        self.spend(1)?;
        if self.unflushed { Ok(()) } else { sync_folder(to) }
    }

    /// Removes a temporary file, if the process still lives.
    pub(super) fn discard(&self, path: &Path) {
        if self.spend(1).is_ok() {
            // The file may never have been made, and a left-over one is overwritten by the next save.
            let _ = fs::remove_file(path);
        }
    }

    fn spend(&self, units: u64) -> io::Result<()> {
        if self.take(units) < units { Err(blown()) } else { Ok(()) }
    }

    /// Takes up to `units` and says how many there were.
    fn take(&self, units: u64) -> u64 {
        let Some(fuse) = &self.fuse else { return units };
        let before =
            fuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(units)));
        before.unwrap_or_default().min(units)
    }
}

/// New content of a file, on the disk under another name.
#[derive(Debug)]
pub(crate) struct Prepared<'p> {
    durable: &'p Durable,
    temporary: PathBuf,
    path: &'p Path,
    /// Nobody else prepares the same file meanwhile.
    _locked: File,
}

impl Prepared<'_> {
    /// The second half of [`Durable::replace`].
    ///
    /// # Errors
    /// As the file system does; then the file has its old content.
    pub(crate) fn put_in_place(self) -> io::Result<()> {
        let renamed = self.durable.rename(&self.temporary, self.path);
        if renamed.is_err() {
            self.discard();
        }
        renamed
    }

    /// Gives the new content up.
    pub(crate) fn discard(self) {
        self.durable.discard(&self.temporary);
    }
}

/// The name under which a new content of `path` is prepared.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Opens, or makes, and locks the file that has this name: it may be renamed or removed while this process waits.
pub(super) fn locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        if is_current(&file, path)? {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let locked = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok(named.dev() == locked.dev() && named.ino() == locked.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_current(_: &File, _: &Path) -> io::Result<bool> {
    // A locked file cannot be replaced there.
    Ok(true)
}

fn blown() -> io::Error {
    io::Error::other("the fuse of this test is spent")
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    // Folders cannot be flushed there; the rename itself is durable.
    Ok(())
}
