//! What must not outlive this process, however it ends: folders, and processes (`marked`).
//!
//! Four things remove such a folder: its owner drops it; a signal that ends the process removes it first; a *guard*, a small
//! process of its own, sees that this one is gone, killed or not; and whoever makes the next such folder beside it sweeps what
//! dead processes left, after a power cut or where the guard was killed too. Each folder is locked for as long as its process
//! lives: that is how the living are told from the dead.

mod ending;
mod guard;
mod marked;

use std::fs::{self, DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

pub(crate) use guard::{keep_watch, may_guard};

/// What the names of all such folders begin with. The rest is random.
const PREFIX: &str = "intact-plain-";
/// Hexadecimal digits of a random name.
const DIGITS: usize = 16;
/// How often a folder is removed anew into which somebody wrote meanwhile.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(2);

/// A folder that only this user can read, and that goes with this value, this process, or the next one.
#[derive(Debug)]
pub(crate) struct FleetingFolder {
    path: PathBuf,
    /// Held as long as it is open.
    _lock: Option<File>,
}

impl FleetingFolder {
    /// A new folder in another one. What dead processes have left there goes.
    ///
    /// # Errors
    /// Those of the system, and where the process is about to end.
    pub(crate) fn make(within: &Path) -> io::Result<Self> {
        let within = std::path::absolute(within)?;
        sweep(&within);
        ending::heed();
        let mut living = ending::living()?;
        let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            let random = RandomState::new().hash_one(&within);
            let path = within.join(format!("{PREFIX}{random:0DIGITS$x}"));
            // Before it is there, so that there is no moment in which nobody would remove it.
            guard::watch_over(&path);
            match created(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    taken = error;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let lock = locked(&path);
            // Somebody may have taken it for something that was left behind, before it was locked.
            if !is_same(lock.as_ref(), &path) {
                continue;
            }
            living.insert(path.clone());
            return Ok(Self { path, _lock: lock });
        }
        Err(taken)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FleetingFolder {
    fn drop(&mut self) {
        // Where the process is about to end, it is removed by whoever ends it.
        if let Ok(mut living) = ending::living() {
            remove(&self.path);
            living.remove(&self.path);
        }
    }
}

/// Removes a folder and all that is in it, also where somebody is writing to it. Nothing behind a link is touched.
fn remove(folder: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(PAUSE),
            _ => return,
        }
    }
}

/// Removes the folders that dead processes of this user have left.
fn sweep(within: &Path) {
    let Ok(entries) = fs::read_dir(within) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(is_name);
        // Locked until it is gone: whoever has made it just now and waits for the lock then sees that it is.
        if is_ours
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(_lock) = left(&entry.path())
        {
            remove(&entry.path());
        }
    }
}

fn is_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX);
    random.is_some_and(|random| random.len() == DIGITS && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn created(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A lock on a folder, where its file system has such.
#[cfg(unix)]
fn locked(path: &Path) -> Option<File> {
    let folder = opened(path)?;
    folder.lock().ok().map(|()| folder)
}

#[cfg(unix)]
fn opened(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).ok().map(File::from)
}

/// A folder of this user's that nobody held, locked.
#[cfg(unix)]
fn left(path: &Path) -> Option<File> {
    use std::os::unix::fs::MetadataExt;
    let folder = opened(path)?;
    let is_own = folder.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
    (is_own && folder.try_lock().is_ok()).then_some(folder)
}

/// Whether a folder that was opened still has its name.
#[cfg(unix)]
fn is_same(folder: Option<&File>, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some(folder) = folder else { return path.is_dir() };
    match (folder.metadata(), fs::symlink_metadata(path)) {
        (Ok(opened), Ok(named)) => (opened.dev(), opened.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

// Folders have no locks there, so nobody can tell what was left.

#[cfg(not(unix))]
fn locked(_: &Path) -> Option<File> {
    None
}

#[cfg(not(unix))]
fn left(_: &Path) -> Option<File> {
    None
}

#[cfg(not(unix))]
fn is_same(_: Option<&File>, path: &Path) -> bool {
    path.is_dir()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_folder_is_for_this_user_alone_and_gone_with_all_that_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = FleetingFolder::make(root.path()).unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), "plain").unwrap();
        assert_eq!(folder.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(folder);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_have_and_others_own_stays() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("file"), "x").unwrap();
        let path = |name: &str| root.path().join(name);
        let living = FleetingFolder::make(root.path()).unwrap();
        let left = path(&format!("{PREFIX}0123456789abcdef"));
        for folder in [&left, &path("intact-plain-notes"), &path("other")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "plain").unwrap();
        }
        symlink(elsewhere.path(), left.join("link")).unwrap();
        let link = path(&format!("{PREFIX}fedcba9876543210"));
        symlink(elsewhere.path(), &link).unwrap();
        let next = FleetingFolder::make(root.path()).unwrap();
        assert!(!left.exists() && living.path().exists() && next.path().exists());
        assert!(path("other/file").exists() && path("intact-plain-notes/file").exists());
        assert!(link.is_symlink() && elsewhere.path().join("file").exists());
    }
    /// Whoever sweeps meets folders of others between the moment in which they are made and the one in which they are locked.
    #[test]
    fn many_at_once_take_no_folder_from_each_other() {
        let root = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let folder = FleetingFolder::make(root.path()).unwrap();
                        thread::sleep(Duration::from_micros(300));
                        assert!(folder.path().is_dir(), "it was taken from whoever has it");
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
