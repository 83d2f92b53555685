//! The layout of the hub's cache, which other programs share:
//!
//! ```text
//! models--<owner>--<name>/blobs/<SHA-256>               content
//! models--<owner>--<name>/snapshots/<commit>/<file>     link to it
//! models--<owner>--<name>/refs/main                     commit of the main branch when it was last asked for
//! .locks/models--<owner>--<name>/<SHA-256>.lock         held while the blob is written
//! ```
//!
//! A blob gets its name by renaming a part file that has been verified, so what is under that name is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use intact_format::identity::HubFile;
use intact_format::image::Durable;

use super::{Commit, PinnedFile};
use intact_base::files::{lock_file, put};

/// A hub cache.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// A file of a snapshot that may be a pinned one.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) commit: Commit,
    /// Whether its link says that it is the pinned content. Caches without links cannot say.
    pub(super) named: bool,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the content is.
    pub(super) fn blob(&self, file: PinnedFile<'_>) -> PathBuf {
        self.repository(file).join("blobs").join(file.sha256)
    }

    /// Where what has come of the content so far is.
    pub(super) fn part(&self, file: PinnedFile<'_>) -> PathBuf {
        self.repository(file).join("blobs").join(format!("{}.intact-part", file.sha256))
    }

    /// Files of snapshots that may be the pinned one, those of `first` first.
    pub(super) fn candidates(&self, file: PinnedFile<'_>, first: Option<&Commit>) -> Vec<Candidate> {
        let Ok(entries) = fs::read_dir(self.repository(file).join("snapshots")) else { return Vec::new() };
        let commit = |entry: io::Result<fs::DirEntry>| Commit::new(entry.ok()?.file_name().to_str()?);
        let mut commits: Vec<Commit> = entries.filter_map(commit).collect();
        commits.sort_by(|a, b| (Some(a) != first, a.as_str()).cmp(&(Some(b) != first, b.as_str())));
        commits.into_iter().filter_map(|commit| self.candidate(file, commit)).collect()
    }

    fn candidate(&self, file: PinnedFile<'_>, commit: Commit) -> Option<Candidate> {
        let path = self.snapshot(file, &commit);
        let name = HubFile::of(&path).and_then(|hub| hub.sha256);
        let other = name.as_deref().is_some_and(|name| name != file.sha256);
        (path.is_file() && !other).then_some(Candidate { path, commit, named: name.is_some() })
    }

    /// Takes the lock that whoever writes the blob holds. `waiting` is called if another process has it.
    pub(super) fn lock(&self, file: PinnedFile<'_>, waiting: &dyn Fn()) -> io::Result<File> {
        let folder = self.folder.join(".locks").join(repository_folder(file.repo));
        self.make(&folder)?;
        self.make(&self.repository(file).join("blobs"))?;
        let lock = lock_file(&folder.join(format!("{}.lock", file.sha256)))?;
        if lock.try_lock().is_err() {
            waiting();
            lock.lock()?;
        }
        Ok(lock)
    }

    /// Gives a part that has been verified its name.
    pub(super) fn place(&self, file: PinnedFile<'_>) -> io::Result<()> {
        let blob = self.blob(file);
        fs::rename(self.part(file), &blob)?;
        Durable::default().sync_folder_of(&blob)
    }

    /// Makes the blob a file of the snapshot of `commit`.
    pub(super) fn link(&self, file: PinnedFile<'_>, commit: &Commit) -> io::Result<PathBuf> {
        let path = self.snapshot(file, commit);
        let folder = path.parent().unwrap_or(&self.folder);
        self.make(folder)?;
        let up = "../".repeat(file.file.split('/').count() + 1);
        let target = PathBuf::from(format!("{up}blobs/{}", file.sha256));
        let temporary = path.with_extension(format!("{}.link", std::process::id()));
        fs::remove_file(&temporary).ok();
        link(&target, &self.blob(file), &temporary)?;
        fs::rename(&temporary, &path)?;
        Ok(path)
    }

    /// Notes the commit of the main branch, as the hub's other clients do.
    pub(super) fn note_main(&self, file: PinnedFile<'_>, commit: &Commit) -> io::Result<()> {
        let refs = self.repository(file).join("refs");
        self.make(&refs)?;
        put(&refs.join("main"), |part| fs::write(part, commit.as_str()))
    }

    /// Removes a file of a snapshot, and the blob it is a link to.
    pub(super) fn discard(&self, path: &Path) -> io::Result<()> {
        let blob = path.canonicalize()?;
        fs::remove_file(path)?;
        if blob.exists() && blob.starts_with(self.folder.canonicalize()?) {
            fs::remove_file(blob)?;
        }
        Ok(())
    }

    /// Makes a folder of the cache. The cache itself may be on another disk, behind a link; nothing in it is.
    fn make(&self, folder: &Path) -> io::Result<()> {
        let inside = folder.strip_prefix(&self.folder).unwrap_or(folder);
        for part in inside.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let path = self.folder.join(part);
            if path.is_symlink() {
                let told = format!("{} is a link, which is not followed", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
            }
        }
        fs::create_dir_all(folder)
    }

    fn snapshot(&self, file: PinnedFile<'_>, commit: &Commit) -> PathBuf {
        self.repository(file).join("snapshots").join(commit.as_str()).join(file.file)
    }

    fn repository(&self, file: PinnedFile<'_>) -> PathBuf {
        self.folder.join(repository_folder(file.repo))
    }
}

fn repository_folder(repo: &str) -> String {
    format!("models--{}", repo.replace('/', "--"))
}

#[cfg(unix)]
fn link(target: &Path, _: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    fs::hard_link(blob, path).or_else(|_| fs::copy(blob, path).map(drop))
}

/// Bytes that are free for this user where `folder` is, or where it will be made; `None` where the system does not tell.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|folder| folder.exists())?;
    free_bytes_of(existing)
}

#[cfg(unix)]
fn free_bytes_of(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes_of(_: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_that_is_in_the_cache() {
        let file = PinnedFile { repo: "o/n", file: "m.gguf", sha256: &"a".repeat(64), packages: &[] };
        let commit = Commit::new(&"c".repeat(40)).expect("a commit");
        for planted in [".locks", ".locks/models--o--n", "models--o--n", "models--o--n/blobs"] {
            let folder = tempfile::tempdir().expect("a folder");
            let (elsewhere, hub) = (folder.path().join("elsewhere"), folder.path().join("hub"));
            let link = hub.join(planted);
            fs::create_dir(&elsewhere).expect("made");
            fs::create_dir_all(link.parent().expect("a folder")).expect("made");
            symlink(&elsewhere, &link).expect("planted");
            let error = Cache::new(hub).lock(file, &|| {}).expect_err(planted);
            assert!(error.to_string().contains("is a link"), "{error}");
            assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0, "{planted}");
        }
        for planted in ["snapshots", "refs"] {
            let folder = tempfile::tempdir().expect("a folder");
            let hub = folder.path().join("hub");
            fs::create_dir_all(hub.join("models--o--n")).expect("made");
            symlink(folder.path(), hub.join("models--o--n").join(planted)).expect("planted");
            let cache = Cache::new(hub);
            assert!(
                cache.link(file, &commit).is_err() || cache.note_main(file, &commit).is_err(),
                "{planted}"
            );
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "{planted}");
        }
    }

    #[test]
    fn the_cache_itself_may_be_behind_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, hub) = (folder.path().join("disk"), folder.path().join("hub"));
        fs::create_dir(&disk).expect("made");
        symlink(&disk, &hub).expect("linked");
        let file = PinnedFile { repo: "o/n", file: "m.gguf", sha256: &"a".repeat(64), packages: &[] };
        Cache::new(hub).lock(file, &|| {}).expect("locked");
        assert!(disk.join("models--o--n/blobs").is_dir());
    }
}
