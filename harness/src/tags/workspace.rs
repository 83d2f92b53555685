//! The folder that a release's worker is built in: a copy of the worker's sources, brought up to date without touching
//! files that are the same, so that cargo rebuilds only what changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use intact_format::regular;
use thiserror::Error;

use super::{Release, manifest};

/// Why the folder could not be made.
#[derive(Debug, Error)]
pub enum WorkspaceError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest of the project is not one.
    #[error("{path} is not a manifest: {source}", path = .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: toml::de::Error,
    },
    /// The project's sources are not where they were when this command was compiled.
    #[error("{} holds no sources of intact; name the folder of its checkout with --source", .0.display())]
    NoSources(PathBuf),
}

/// A worker's sources for one release, by path.
pub(super) struct Sources {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Files and folders of a crate that its build does not read.
const UNREAD: [&str; 5] = ["tests", "tests.rs", "benches", "examples", "target"];

impl Sources {
    /// Reads them from a checkout of this project.
    pub(super) fn read(checkout: &Path, release: &Release) -> Result<Self, WorkspaceError> {
        if !checkout.join(manifest::MEMBERS[0]).is_dir() {
            return Err(WorkspaceError::NoSources(checkout.to_owned()));
        }
        let mut files = BTreeMap::new();
        for member in manifest::MEMBERS {
            for path in files_below(checkout, Path::new(member), &is_read)? {
                files.insert(path.clone(), read(&checkout.join(path))?);
            }
        }
        for single in ["Cargo.toml", "Cargo.lock"] {
            files.insert(single.into(), read(&checkout.join(single))?);
        }
        for (path, bytes) in &mut files {
            if path.file_name().is_some_and(|name| name == "Cargo.toml") {
                let text = String::from_utf8_lossy(bytes);
                let made = match path.parent() {
                    Some(parent) if parent != Path::new("") => manifest::of_member(&text, release),
                    _ => manifest::of_workspace(&text, release),
                };
                let malformed = |source| WorkspaceError::Manifest { path: checkout.join(path), source };
                *bytes = made.map_err(malformed)?.into_bytes();
            }
        }
        Ok(Self { files })
    }

    /// A hash over paths and contents, continued from `hasher`.
    pub(super) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for (path, bytes) in &self.files {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(&[0]);
            hasher.update(blake3::hash(bytes).as_bytes());
        }
    }

    /// Makes `folder` hold exactly these sources. Its lock file, once cargo has made it the release's own, stays.
    pub(super) fn write(&self, folder: &Path) -> Result<(), WorkspaceError> {
        for member in manifest::MEMBERS.iter().filter(|member| folder.join(member).is_dir()) {
            let present = files_below(folder, Path::new(member), &|_| true)?;
            for path in present.iter().filter(|path| !self.files.contains_key(*path)) {
                let path = folder.join(path);
                fs::remove_file(&path).map_err(|source| WorkspaceError::Io { path, source })?;
            }
        }
        for (path, bytes) in &self.files {
            let target = folder.join(path);
            let there = regular::read(&target).ok();
            if there.as_ref() == Some(bytes) || (there.is_some() && path == Path::new("Cargo.lock")) {
                continue;
            }
            let parent = target.parent().unwrap_or(folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&target, bytes))
                .map_err(|source| WorkspaceError::Io { path: target.clone(), source })?;
        }
        Ok(())
    }
}

/// Whether a crate's build reads a file or folder in it. A folder with a manifest of its own is another crate.
fn is_read(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let unread = UNREAD.iter().any(|unread| name == *unread) || name.as_encoded_bytes().starts_with(b".");
    !unread && !path.join("Cargo.toml").is_file()
}

/// The files below a folder of `root` that are wanted, and lie in folders that are.
fn files_below(
    root: &Path,
    folder: &Path,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, WorkspaceError> {
    let absolute = root.join(folder);
    let failed = |source| WorkspaceError::Io { path: absolute.clone(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(&absolute).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !wanted(&entry.path()) {
            continue;
        }
        let (path, kind) = (folder.join(entry.file_name()), entry.file_type().map_err(failed)?);
        if kind.is_dir() {
            files.extend(files_below(root, &path, wanted)?);
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, WorkspaceError> {
    regular::read(path).map_err(|source| WorkspaceError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::release::listed;
    use super::*;

    fn checkout() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn modified(path: &Path) -> SystemTime {
        fs::metadata(path).and_then(|data| data.modified()).expect("a file")
    }

    #[test]
    fn writing_again_touches_only_what_changed_and_removes_what_is_gone() {
        let release = listed("b8783");
        let folder = tempfile::tempdir().expect("folder");
        let mut sources = Sources::read(&checkout(), release).expect("sources");
        sources.write(folder.path()).expect("written");

        let worker = folder.path().join("harness/worker/Cargo.toml");
        let lock = folder.path().join("Cargo.lock");
        let before = modified(&worker);
        for stray in ["engine/src/stray.rs", "engine/store/src/lib.rs"] {
            let stray = folder.path().join(stray);
            fs::create_dir_all(stray.parent().expect("a folder")).expect("made");
            fs::write(stray, "").expect("stray");
        }
        fs::write(&lock, "the release's own").expect("lock");
        sources.files.insert("engine/src/new.rs".into(), b"// new".to_vec());
        sources.write(folder.path()).expect("written again");

        assert_eq!(modified(&worker), before);
        assert!(!folder.path().join("engine/src/stray.rs").exists());
        assert!(!folder.path().join("engine/store/src/lib.rs").exists());
        assert!(folder.path().join("engine/src/new.rs").is_file());
        assert_eq!(fs::read_to_string(&lock).expect("lock"), "the release's own");
    }

    #[test]
    fn the_hash_follows_every_file_and_the_release() {
        let hash = |sources: &Sources| {
            let mut hasher = blake3::Hasher::new();
            sources.hash_into(&mut hasher);
            hasher.finalize()
        };
        let [older, newer] = ["b8233", "b8783"].map(|tag| {
            let release = listed(tag);
            Sources::read(&checkout(), release).expect("sources")
        });
        assert_ne!(hash(&older), hash(&newer));
        let mut edited = Sources { files: newer.files.clone() };
        assert_eq!(hash(&edited), hash(&newer));
        edited.files.entry("engine/src/lib.rs".into()).or_default().push(b' ');
        assert_ne!(hash(&edited), hash(&newer));
    }

    #[test]
    fn what_no_worker_is_built_from_is_left_out() {
        let release = listed("b5686");
        let sources = Sources::read(&checkout(), release).expect("sources");
        let crates: Vec<&Path> = sources
            .files
            .keys()
            .filter(|path| path.ends_with("Cargo.toml"))
            .filter_map(|path| path.parent())
            .filter(|folder| *folder != Path::new(""))
            .collect();
        assert_eq!(
            crates,
            manifest::MEMBERS.map(Path::new),
            "the store, sealing and fuzz targets stay at home"
        );
        let tests: Vec<_> = sources.files.keys().filter(|path| path.ends_with("tests.rs")).collect();
        assert!(tests.is_empty(), "{tests:?}");
    }

    #[test]
    fn a_folder_without_sources_is_named() {
        let release = listed("b5686");
        let empty = tempfile::tempdir().expect("folder");
        let error = Sources::read(empty.path(), release).err().expect("no sources there");
        assert!(error.to_string().contains("--source"), "{error}");
    }
}
