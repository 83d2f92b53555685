//! Identities that were worked out before, keyed by path, size, times of modification and of any change, and inode.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::parts::together;
use super::{HubFile, IdentityError, ModelIdentity, model_files};
use crate::gguf::Gguf;
use crate::regular;

/// A folder of remembered identities. An entry that cannot be read, or that is of a file that has changed since, counts as
/// absent and is written anew; a folder that cannot be written to only costs time.
#[derive(Debug, Clone)]
pub struct IdentityCache {
    folder: PathBuf,
}

/// One remembered identity.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u32,
    stamp: Stamp,
    /// Whether the SHA-256 was computed from the content, not taken from the hub.
    hashed: bool,
    identity: ModelIdentity,
}

/// A SHA-256 and where it comes from.
struct Known {
    sha256: String,
    /// Whether it was computed from the content.
    hashed: bool,
}

/// What must be unchanged for an entry to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    path: PathBuf,
    size: u64,
    modified_ns: u64,
    /// Cannot be set: who gives the content another modification time leaves a trace here.
    changed_ns: u64,
    inode: u64,
}

/// Raised whenever identities gain a field or are worked out differently; older entries are then ignored.
const ENTRY_VERSION: u32 = 2;
/// Entries this process has written: tells apart the temporary files of its threads.
static WRITES: AtomicU64 = AtomicU64::new(0);
const BLOCK: usize = 1 << 20;

/// Where this user's caches are: `$INTACT_HOME`, else `~/.cache/intact`, else the system's folder for temporary files.
#[must_use]
pub fn user_folder() -> PathBuf {
    let home = std::env::var_os("INTACT_HOME").map(PathBuf::from);
    let cache = || std::env::home_dir().map(|home| home.join(".cache/intact"));
    home.or_else(cache).unwrap_or_else(|| std::env::temp_dir().join("intact"))
}

impl IdentityCache {
    /// A cache in `folder`, which is made when the first entry is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The cache of this user: `identities` in the [`user_folder`].
    #[must_use]
    pub fn of_user() -> Self {
        Self::new(user_folder().join("identities"))
    }

    /// The identity of the model file at `path`: remembered, else from its metadata and the hub's SHA-256 where the file
    /// lies in a Hugging Face cache, else hashed.
    ///
    /// # Errors
    /// [`IdentityError`] where the file is missing, unreadable, not a sound GGUF file, cut short, or written to meanwhile.
    pub fn identify(&self, path: &Path) -> Result<ModelIdentity, IdentityError> {
        let published = || {
            let sha256 = HubFile::of(path).and_then(|hub| hub.sha256)?;
            Some(Known { sha256, hashed: false })
        };
        self.look_up(path, |entry| Some(entry.identity), published)
    }

    /// As [`Self::identify`], of the model whose first file is at `path`: of all its files, where there are several.
    ///
    /// # Errors
    /// As [`Self::identify`], and those of [`model_files`].
    pub fn identify_model(&self, path: &Path) -> Result<ModelIdentity, IdentityError> {
        let files: Result<_, _> = model_files(path)?.iter().map(|file| self.identify(file)).collect();
        together(files?).ok_or_else(|| IdentityError::NotFound(path.to_owned()))
    }

    /// As [`Self::identify`], but never trusts the hub's SHA-256: for files whose download nobody has verified.
    ///
    /// # Errors
    /// As [`Self::identify`].
    pub fn identify_content(&self, path: &Path) -> Result<ModelIdentity, IdentityError> {
        self.look_up(path, |entry| entry.hashed.then_some(entry.identity), || None)
    }

    /// As [`Self::identify_content`], for whoever wrote the file and hashed it while doing so: `sha256` is remembered as
    /// computed from the content.
    ///
    /// # Errors
    /// As [`Self::identify`].
    pub fn identify_hashed(&self, path: &Path, sha256: &str) -> Result<ModelIdentity, IdentityError> {
        let known =
            |entry: Entry| (entry.hashed && entry.identity.sha256 == sha256).then_some(entry.identity);
        self.look_up(path, known, || Some(Known { sha256: sha256.to_owned(), hashed: true }))
    }

    fn look_up(
        &self,
        path: &Path,
        acceptable: impl Fn(Entry) -> Option<ModelIdentity>,
        known: impl Fn() -> Option<Known>,
    ) -> Result<ModelIdentity, IdentityError> {
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => IdentityError::NotFound(path.to_owned()),
            _ => IdentityError::Io { path: path.to_owned(), cause },
        };
        let unsound = |cause| IdentityError::Gguf { path: path.to_owned(), cause };

        let stamp = Stamp::of(path).map_err(failed)?;
        if let Some(identity) = self.remembered(&stamp).and_then(acceptable) {
            return Ok(identity);
        }
        let gguf = Gguf::open(path).map_err(unsound)?;
        gguf.check_extent().map_err(unsound)?;
        let computed = || Ok(Known { sha256: sha256(path)?, hashed: true });
        let Known { sha256, hashed } = known().map_or_else(computed, Ok).map_err(failed)?;
        if Stamp::of(path).map_err(failed)? != stamp {
            return Err(IdentityError::Changed(path.to_owned()));
        }
        let identity = ModelIdentity::new(path, &gguf, sha256).map_err(unsound)?;
        let entry = Entry { version: ENTRY_VERSION, stamp, hashed, identity };
        // The identity is right even where it cannot be remembered: the next call works it out again.
        self.remember(&entry).ok();
        Ok(entry.identity)
    }

    fn remembered(&self, stamp: &Stamp) -> Option<Entry> {
        let text = regular::read(self.entry_path(stamp)).ok()?;
        let entry: Entry = serde_json::from_slice(&text).ok()?;
        (entry.version == ENTRY_VERSION && entry.stamp == *stamp).then_some(entry)
    }

    fn remember(&self, entry: &Entry) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.entry_path(&entry.stamp);
        let turn = WRITES.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{turn}.tmp", std::process::id()));
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(entry)?)?;
        fs::rename(&temporary, &path)
    }

    fn entry_path(&self, stamp: &Stamp) -> PathBuf {
        let name = blake3::hash(stamp.path.as_os_str().as_encoded_bytes()).to_hex();
        self.folder.join(format!("{}.json", &name[..32]))
    }
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Self::with(path, &fs::metadata(path)?)
    }

    /// Of an open file, wherever it lies by now.
    pub(super) fn of_file(path: &Path, file: &File) -> io::Result<Self> {
        Self::with(path, &file.metadata()?)
    }

    fn with(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (inode, changed_ns) = inode_and_change(metadata);
        Ok(Self {
            path: std::path::absolute(path)?,
            size: metadata.len(),
            modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX),
            changed_ns,
            inode,
        })
    }
}

#[cfg(unix)]
fn inode_and_change(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let nanoseconds = u64::try_from(metadata.ctime_nsec()).unwrap_or_default();
    (metadata.ino(), seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

#[cfg(not(unix))]
fn inode_and_change(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

fn sha256(path: &Path) -> io::Result<String> {
    sha256_of(&mut regular::open(path)?)
}

/// SHA-256 of what is left of a file.
pub(super) fn sha256_of(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        hasher.update(&block[..read]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
