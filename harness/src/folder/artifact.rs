//! Saved sessions and uninterrupted ones, kept so that others can go on with them: an index that says what each is and
//! who made it, and files by the hash of their bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use intact_format::regular;
use intact_protocol::{Hello, Message};
use intact_store::Files;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FolderError, at};
use crate::files::{folder_of, put};
use crate::journal::Journal;
use crate::judge::Floor;
use crate::results::Environment;
use crate::scenario::StepError;

/// File name of the index.
pub(super) const INDEX: &str = "artifacts.jsonl";
/// Folder of the files.
pub(super) const CONTENT: &str = "artifacts";

/// What was made once and is read by many cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactEntry {
    /// Digest of `what`: equal for what is the same session, wherever it is made.
    pub key: String,
    /// What it is: subject, model, settings, conversation.
    pub what: BTreeMap<String, String>,
    /// Who made it.
    pub writer: WriterIdentity,
    /// What came of it.
    pub content: Content,
}

/// Who made an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriterIdentity {
    /// What the worker said of itself.
    pub hello: Hello,
    /// The machine.
    pub environment: Environment,
}

/// What came of an attempt to make an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// A saved session.
    Session {
        /// The session document.
        document: StoredFile,
        /// The KV image beside it, where there is one.
        image: Option<StoredFile>,
        /// Its tokens.
        tokens: u32,
        /// Digest of its parameters, where the subject tells.
        parameters: Option<String>,
        /// The chat that was held.
        history: Vec<Message>,
    },
    /// What an uninterrupted session says.
    Control {
        /// Logits of the session.
        session: Result<StoredFile, StepError>,
        /// Logits of the session that is live beside it.
        bystander: Result<StoredFile, StepError>,
        /// What is sampled from it, where it is.
        sampled: Option<Result<String, StepError>>,
        /// How far the session is from itself in another batch shape, where that was measured.
        #[serde(default)]
        noise: Option<Floor>,
    },
    /// It could not be made.
    Failed {
        /// Why.
        error: StepError,
    },
}

impl Content {
    /// The files that belong to it.
    pub fn files(&self) -> impl Iterator<Item = &StoredFile> {
        let files = match self {
            Self::Session { document, image, .. } => [Some(document), image.as_ref()],
            Self::Control { session, bystander, .. } => [session.as_ref().ok(), bystander.as_ref().ok()],
            Self::Failed { .. } => [None, None],
        };
        files.into_iter().flatten()
    }
}

/// A file by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// The name that it had.
    pub name: String,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
    /// Its length in bytes.
    pub bytes: u64,
}

impl StoredFile {
    /// Where its bytes are, below a run's folder or wherever else artifacts are kept.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{CONTENT}/{}/{}", self.blake3.get(..2).unwrap_or_default(), self.blake3)
    }
}

/// The artifacts of a run's folder.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    folder: PathBuf,
    /// Where bytes are that are not in the folder.
    beyond: Option<Arc<Files>>,
    /// The index, once something was added to it.
    index: Arc<Mutex<Option<Journal<ArtifactEntry>>>>,
}

impl ArtifactStore {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), beyond: None, index: Arc::default() }
    }

    /// The same, with files that are fetched from there when they are taken, if they are not in the folder.
    #[must_use]
    pub fn with(self, beyond: Arc<Files>) -> Self {
        Self { beyond: Some(beyond), ..self }
    }

    /// Every entry by its key.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn entries(&self) -> Result<BTreeMap<String, ArtifactEntry>, FolderError> {
        let entries: Vec<ArtifactEntry> = Journal::read(&self.folder.join(INDEX))?;
        Ok(entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect())
    }

    /// Adds an entry whose files are kept already.
    ///
    /// # Errors
    /// [`FolderError::Busy`] where another process adds some, and [`FolderError::Io`].
    pub fn add(&self, entry: &ArtifactEntry) -> Result<(), FolderError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = match index.take() {
            Some(journal) => journal,
            None => Journal::open(&self.folder.join(INDEX))?,
        };
        Ok(index.insert(journal).append(entry)?)
    }

    /// Keeps a file by its content.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn keep(&self, path: &Path) -> Result<StoredFile, FolderError> {
        let (blake3, bytes) = hash(path).map_err(at(path))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stored = StoredFile { name, blake3, bytes };
        let to = self.checked(&stored)?;
        if !to.is_file() {
            put(&to, |part| fs::copy(path, part).map(|_| ())).map_err(at(&to))?;
        }
        Ok(stored)
    }

    /// Takes a file out again, under its name, into a folder.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] where its bytes are not those that were kept, or its name is no file's name;
    /// [`FolderError::Beyond`] where they cannot be fetched.
    pub fn take(&self, stored: &StoredFile, folder: &Path) -> Result<PathBuf, FolderError> {
        let damaged = |reason: &str| self.damaged(stored, reason);
        let (from, to) = (self.checked(stored)?, folder.join(&stored.name));
        if !from.is_file() {
            let fetched = self.beyond.as_ref().map(|beyond| beyond.get(&stored.place())).transpose();
            let bytes =
                fetched.map_err(Box::new)?.flatten().ok_or_else(|| damaged("its bytes are missing"))?;
            if blake3::hash(&bytes).to_hex().as_str() != stored.blake3 {
                return Err(damaged("its bytes have another hash"));
            }
            put(&from, |part| fs::write(part, &bytes)).map_err(at(&from))?;
        }
        fs::create_dir_all(folder).map_err(at(folder))?;
        fs::copy(&from, &to).map_err(at(&to))?;
        let (blake3, _) = hash(&to).map_err(at(&to))?;
        if blake3 == stored.blake3 { Ok(to) } else { Err(damaged("its bytes have another hash")) }
    }

    /// The bytes of a file that is in the folder.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] where they are not those that were kept, or its name is no file's name.
    pub fn bytes(&self, stored: &StoredFile) -> Result<Vec<u8>, FolderError> {
        let from = self.checked(stored)?;
        let bytes = regular::read(&from).map_err(at(&from))?;
        if blake3::hash(&bytes).to_hex().as_str() == stored.blake3 {
            Ok(bytes)
        } else {
            Err(self.damaged(stored, "its bytes have another hash"))
        }
    }

    /// Where the bytes of an entry's file are: in the folder, whoever wrote the entry, and behind no link.
    fn checked(&self, stored: &StoredFile) -> Result<PathBuf, FolderError> {
        if !is_hash(&stored.blake3) || Path::new(&stored.name).file_name() != Some(stored.name.as_ref()) {
            return Err(self.damaged(stored, "its entry names no file"));
        }
        let place = self.place(stored);
        let links = [&self.folder.join(CONTENT), folder_of(&place), &place];
        if links.iter().any(|path| path.is_symlink()) {
            return Err(self.damaged(stored, "it is a link, which is not followed"));
        }
        Ok(place)
    }

    fn damaged(&self, stored: &StoredFile, reason: &str) -> FolderError {
        FolderError::Damaged {
            path: self.folder.clone(),
            name: stored.name.clone(),
            reason: reason.to_owned(),
        }
    }

    fn place(&self, stored: &StoredFile) -> PathBuf {
        self.folder.join(stored.place())
    }
}

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hash(path: &Path) -> io::Result<(String, u64)> {
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(&mut regular::open(path)?, &mut hasher)?;
    Ok((hasher.finalize().to_hex().to_string(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, ArtifactStore) {
        let dir = tempfile::tempdir().expect("a folder");
        let store = ArtifactStore::new(dir.path());
        (dir, store)
    }

    #[test]
    fn a_file_comes_back_under_its_name_and_equal_bytes_are_kept_once() {
        let (dir, store) = store();
        for name in ["one.kv", "two.kv"] {
            fs::write(dir.path().join(name), "bytes").expect("written");
        }
        let kept = ["one.kv", "two.kv"].map(|name| store.keep(&dir.path().join(name)).expect("kept"));
        assert_eq!(kept[0].blake3, kept[1].blake3);
        let taken = store.take(&kept[1], &dir.path().join("out")).expect("taken");
        assert!(taken.ends_with("out/two.kv"));
        assert_eq!(fs::read(taken).expect("read"), b"bytes");
        let shelf = dir.path().join(CONTENT).join(&kept[0].blake3[..2]);
        assert_eq!(fs::read_dir(shelf).expect("a shelf").count(), 1);
    }

    #[test]
    fn bytes_that_are_elsewhere_are_fetched_once_and_checked() {
        let (dir, store) = store();
        let path = dir.path().join("session.kv");
        fs::write(&path, "bytes").expect("written");
        let kept = store.keep(&path).expect("kept");
        let beyond = tempfile::tempdir().expect("a folder");
        let files = Files::at(beyond.path().to_str().expect("UTF-8")).expect("a place");
        let other = ArtifactStore::new(&beyond.path().join("copy")).with(Arc::new(files));
        let out = beyond.path().join("out");
        let error = other.take(&kept, &out).expect_err("nobody put it there").to_string();
        assert!(error.contains("missing"), "{error}");
        let there = beyond.path().join(kept.place());
        fs::create_dir_all(there.parent().expect("a shelf")).expect("made");
        fs::write(&there, "bytez").expect("written");
        let error = other.take(&kept, &out).expect_err("other bytes").to_string();
        assert!(error.contains("another hash"), "{error}");
        fs::write(&there, "bytes").expect("written");
        assert_eq!(fs::read(other.take(&kept, &out).expect("taken")).expect("read"), b"bytes");
        fs::remove_file(&there).expect("removed");
        assert!(other.take(&kept, &out).is_ok(), "it is here now");
    }

    #[test]
    fn what_was_changed_goes_missing_or_points_outside_is_refused() {
        let (dir, store) = store();
        let path = dir.path().join("session.kv");
        fs::write(&path, "bytes").expect("written");
        let kept = store.keep(&path).expect("kept");
        let out = dir.path().join("out");
        for (stored, reason) in [
            (StoredFile { name: "../session.kv".into(), ..kept.clone() }, "names no file"),
            (StoredFile { name: String::new(), ..kept.clone() }, "names no file"),
            (StoredFile { blake3: "../../etc".into(), ..kept.clone() }, "names no file"),
            (StoredFile { blake3: "0".repeat(64), ..kept.clone() }, "missing"),
        ] {
            let error = store.take(&stored, &out).expect_err("refused").to_string();
            assert!(error.contains(reason), "{error}");
            store.bytes(&stored).expect_err("refused");
        }
        assert_eq!(store.bytes(&kept).expect("its bytes"), b"bytes");
        #[cfg(unix)]
        {
            let (place, diary) = (store.place(&kept), dir.path().join("diary"));
            fs::rename(&place, &diary).expect("moved");
            std::os::unix::fs::symlink(&diary, &place).expect("planted");
            for error in
                [store.take(&kept, &out).expect_err("refused"), store.bytes(&kept).expect_err("refused")]
            {
                assert!(error.to_string().contains("it is a link"), "{error}");
            }
            fs::rename(&diary, &place).expect("moved back");
        }
        fs::write(store.place(&kept), "bytez").expect("written");
        for error in [store.take(&kept, &out).expect_err("refused"), store.bytes(&kept).expect_err("refused")]
        {
            assert!(error.to_string().contains("another hash"), "{error}");
        }
    }
}
