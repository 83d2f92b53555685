//! Writes that survive a power cut, and a way for tests to cut the power.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::flusher::Flusher;
use super::temporary::Temporary;
use crate::regular::kind_of;

/// Where the steps of a save go: to the disk, or to the disk until a fuse blows.
///
/// Every byte written and every other step (create, sync, rename, truncate) costs one unit of the fuse. When it is spent, the step
/// under way is left half done and it and all later ones fail, as if the process had been killed there.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    fuse: Option<Arc<AtomicU64>>,
    /// What is written stays with the operating system, which flushes it when it likes.
    unflushed: bool,
    /// New files are for this user alone.
    private: bool,
}

impl Durable {
    /// Writes that end after `units`. For tests of what a kill at that point leaves behind.
    #[must_use]
    pub fn until(units: u64) -> Self {
        Self { fuse: Some(Arc::new(AtomicU64::new(units))), ..Self::default() }
    }

    /// Writes that do not wait for the disk. They survive the end of the process; a power cut may take the new content and,
    /// as names can reach the disk before contents do, the old one with it.
    #[must_use]
    pub fn unflushed() -> Self {
        Self { unflushed: true, ..Self::default() }
    }

    /// The same, where new files are for this user alone: nobody else can read them, whatever the rules of the process are.
    #[must_use]
    pub fn private(self) -> Self {
        Self { private: true, ..self }
    }

    /// Units that are left of the fuse, or none without one.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.fuse.as_ref().map(|fuse| fuse.load(Ordering::SeqCst))
    }

    /// Replaces the content of `path`, which keeps its mode: temporary file beside it, fsync, rename, fsync of the folder.
    /// Whoever reads `path` finds the old content or the new one. Gives what did not work once the new content was in place:
    /// the flush of the folder, which some file systems do not have.
    ///
    /// # Errors
    /// As the file system does; then `path` has its old content.
    pub fn replace(&self, path: &Path, content: &[u8]) -> io::Result<Option<io::Error>> {
        self.prepare(path, content)?.put_in_place(Onto::Anything)
    }

    /// Begins a file that is to be at `path`, where nothing may be by then. Until [`NewFile::put_in_place`] it has another name.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn begin(&self, path: &Path) -> io::Result<NewFile> {
        let (file, temporary) = Temporary::create(path, None, self)?;
        Ok(NewFile { path: path.to_owned(), file, temporary })
    }

    /// The first half of [`Durable::replace`]: the new content is on the disk, under another name.
    ///
    /// # Errors
    /// As the file system does.
    pub fn prepare<'p>(&self, path: &'p Path, content: &[u8]) -> io::Result<Prepared<'p>> {
        let (mut file, temporary) = Temporary::create(path, permissions_of(path).as_ref(), self)?;
        self.write(&mut file, content)?;
        self.sync(&file)?;
        Ok(Prepared { temporary, path, _locked: file })
    }

    /// Is what was flushed on the disk?
    pub(super) const fn flushes(&self) -> bool {
        !self.unflushed
    }

    /// Flushes a file while it is written, where anything is flushed.
    pub(super) fn flusher(&self, file: &File) -> Option<Flusher> {
        if self.fuse.is_some() || self.unflushed { None } else { Flusher::of(file).ok() }
    }

    /// Makes a file that must not be there, without following links, with these permissions from the start.
    pub(super) fn create(&self, path: &Path, permissions: Option<&Permissions>) -> io::Result<File> {
        self.spend(1)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let Some(permissions) = permissions else {
            #[cfg(unix)]
            if self.private {
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            }
            return options.open(path);
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
            options.mode(permissions.mode() & 0o600);
        }
        let file = options.open(path)?;
        file.set_permissions(permissions.clone())?;
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

    /// Renames over `to`.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend(1)?;
        fs::rename(from, to)
    }

    /// Renames to a name that must not be there.
    pub(super) fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend(1)?;
        match fs::hard_link(from, to) {
            Ok(()) => {
                self.discard(from);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Not every file system has links. Between the look and the rename somebody may make the file.
            Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        }
    }

    /// Flushes the folder that a name is in: the name itself is on the disk then.
    ///
    /// # Errors
    /// As the file system does; some flush no folders.
    pub fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        self.spend(1)?;
        if self.unflushed { Ok(()) } else { sync_folder(path) }
    }

    /// Removes a file that this process made, if it still lives. A temporary file that stays is removed by a later save.
    pub(crate) fn discard(&self, path: &Path) {
        if self.spend(1).is_ok() {
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

/// A file on its way to its name. It goes when this is dropped before.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: File,
    temporary: Temporary,
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.durable().write(&mut self.file, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile {
    /// Puts what was written on the disk, then under its name. Gives what did not work once it was there, as
    /// [`Durable::replace`] does.
    ///
    /// # Errors
    /// As the file system does, and when something has come to be at that name, which stays.
    pub fn put_in_place(mut self) -> io::Result<Option<io::Error>> {
        self.temporary.durable().sync(&self.file)?;
        self.temporary.put_at(&self.path, Onto::Nothing)?;
        Ok(self.temporary.durable().sync_folder_of(&self.path).err())
    }
}

/// New content of a file, on the disk under another name.
#[derive(Debug)]
pub struct Prepared<'p> {
    temporary: Temporary,
    path: &'p Path,
    /// Nobody takes it for something that was left behind.
    _locked: File,
}

/// What may be at a name that something is put at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Nothing.
    Nothing,
    /// Whatever is there.
    Anything,
}

impl Prepared<'_> {
    /// The second half of [`Durable::replace`].
    ///
    /// # Errors
    /// As the file system does; then the file has its old content.
    pub fn put_in_place(mut self, onto: Onto) -> io::Result<Option<io::Error>> {
        self.temporary.put_at(self.path, onto)?;
        Ok(self.temporary.durable().sync_folder_of(self.path).err())
    }
}

/// Opens and locks the regular file that has this name; none where there is none. It may be renamed or removed while this
/// process waits.
pub fn locked(path: &Path, options: &OpenOptions) -> io::Result<Option<File>> {
    loop {
        let named = match fs::symlink_metadata(path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !named.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}", kind_of(&named))));
        }
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        file.lock()?;
        if is_current(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// The permissions of the regular file that has this name.
pub fn permissions_of(path: &Path) -> Option<Permissions> {
    fs::symlink_metadata(path).ok().filter(Metadata::is_file).map(|found| found.permissions())
}

/// Does the file still have this name?
#[cfg(unix)]
pub(super) fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let locked = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(named.dev() == locked.dev() && named.ino() == locked.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does the file still have this name?
#[cfg(not(unix))]
pub(super) fn is_current(_: &File, _: &Path) -> io::Result<bool> {
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
    OpenOptions::new().read(true).open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    // Folders cannot be flushed there; the rename itself is durable.
    Ok(())
}
