//! Libraries that nobody listed: a build, a fork, a vendor's, or a release that is newer than this intact. Each is copied, pinned
//! by hashes, and asked what it is; a record beside it says what was found, under the name that it has here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use intact_fixtures::FixtureError;
use intact_format::regular;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::archive::{Libraries, is_library, is_llama};
use super::library::{Desk, FetchError, Pin, at, no_source};
use super::probe::ProbeError;
use super::specimen::{Shown, shown};
use super::{Release, UNKNOWN, loading_worker, opening, releases, source};
use crate::files::write_whole;
use crate::fleeting::FleetingFolder;

/// Name of the record.
const RECORD: &str = "release.toml";
/// Digits of a hash that name a library which nobody named.
const DIGITS: usize = 8;

/// A library that takes part from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// What is known of it.
    pub release: Release,
    /// What it is made of, and where that came from.
    pub pin: Pin,
    /// What it says of itself.
    pub stated: String,
    /// Why the layout of its states is not known, where it is not: they are moved as they are then, and never re-encoded.
    pub opaque: Option<String>,
}

/// Why a library does not take part.
#[derive(Debug, Error)]
pub enum AddError {
    /// No name for it.
    #[error("{name:?} cannot be its name: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder has no library.
    #[error("{} holds no libllama; name the folder that has the libraries of a build, `build/bin` for example", .0.display())]
    NoLibrary(PathBuf),
    /// The worker that opens libraries is not there.
    #[error(
        "there is no intact-worker-loaded beside this command: install both, in a clone by `./ci/intact`"
    )]
    NoWorker,
    /// It could not be had, or not be kept.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It does not do what a library must do.
    #[error("it is not added: {0}")]
    Probe(#[from] ProbeError),
    /// The model that it is tried with cannot be made.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
}

/// The libraries under `home` that nobody listed, by their names.
#[must_use]
pub(super) fn added(home: &Path) -> Vec<Release> {
    let entries = fs::read_dir(home).into_iter().flatten().filter_map(Result::ok);
    let record = |path: PathBuf| -> Option<Release> {
        let release: Release = toml::from_str(&regular::read_text(path.join(RECORD)).ok()?).ok()?;
        // A folder that was renamed is no release of its new name.
        (path.file_name()?.to_str()? == release.tag).then_some(release)
    };
    let mut found: Vec<Release> = entries.filter_map(|entry| record(entry.path())).collect();
    found.sort_by(|left, right| left.tag.cmp(&right.tag));
    found
}

/// Adds the libraries in a folder, under a name, or under what they say of themselves. What had that name before is replaced.
/// `opener` starts the worker that opens them, where that is not the one beside this command.
///
/// # Errors
/// [`AddError`]; what was there stays as it was, unless it had the same name.
pub fn add(home: &Path, folder: &Path, name: Option<&str>, opener: &[String]) -> Result<Addition, AddError> {
    let libraries = in_folder(folder)?;
    if let Some(name) = name {
        check(name)?;
    }
    let source = format!("folder:{}", folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).display());
    let worker = match opener {
        [] => loading_worker().ok_or(AddError::NoWorker)?,
        opener => opener.to_vec(),
    };
    let model = intact_fixtures::cached("llama")?;
    // It is asked before it has a name; what it says is a part of that.
    let trial = FleetingFolder::make(&std::env::temp_dir()).map_err(at(Path::new("a temporary folder")))?;
    let desk = Desk::of(trial.path(), "trial")?;
    let pin = desk.place(&source, None, &libraries)?;
    let shown = shown(&opening(&worker, &desk.library(), "trial", Some(UNKNOWN)), &model)
        .map_err(|error| error.of(&desk.library(), folder))?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => own_name(&shown, &pin),
    };
    check(&name)?;
    let desk = Desk::of(home, &name)?;
    desk.clear()?;
    let pin = desk.place(&source, None, &libraries)?;
    recorded(&desk, name, pin, &shown, opener)
}

/// Brings a release that is not listed, by its tag, from llama.cpp's own archives. `None` where it is here already.
///
/// # Errors
/// [`AddError`].
pub fn fetch_unlisted(home: &Path, tag: &str, base: &str) -> Result<Option<Addition>, AddError> {
    if !source::is_release(tag) {
        return Err(AddError::Name {
            name: tag.to_owned(),
            reason: "releases are called b8816 or 0.5.0; `intact tags list` lists those that are known"
                .into(),
        });
    }
    let name = tag.strip_prefix('v').unwrap_or(tag);
    let desk = Desk::of(home, name)?;
    if desk.is_sound()? && desk.folder().join(RECORD).is_file() {
        return Ok(None);
    }
    let worker = loading_worker().ok_or(AddError::NoWorker)?;
    let model = intact_fixtures::cached("llama")?;
    let brought = source::official(name, base)?.ok_or_else(|| no_source(name, base))?;
    if desk.library().is_dir() {
        fs::remove_dir_all(desk.library()).map_err(at(&desk.library()))?;
    }
    let pin = desk.place_archive(&brought)?;
    match shown(&opening(&worker, &desk.library(), name, Some(UNKNOWN)), &model) {
        Ok(shown) => recorded(&desk, name.to_owned(), pin, &shown, &[]).map(Some),
        Err(error) => {
            // What it is stays pinned; what cannot be used does not stay.
            fs::remove_dir_all(desk.library()).map_err(at(&desk.library()))?;
            Err(error.into())
        }
    }
}

/// Removes one that was added.
///
/// # Errors
/// What the system says.
pub fn remove(home: &Path, release: &Release) -> Result<(), FetchError> {
    let desk = Desk::of(home, &release.tag)?;
    let record = desk.folder().join(RECORD);
    fs::remove_file(&record).map_err(at(&record))?;
    desk.clear()
}

fn recorded(
    desk: &Desk,
    name: String,
    pin: Pin,
    shown: &Shown,
    opener: &[String],
) -> Result<Addition, AddError> {
    let stated = stated(shown);
    let (layout, opaque) = match &shown.layout {
        Ok(layout) => (Some(*layout), None),
        Err(why) => (None, Some(why.to_string())),
    };
    let release = Release {
        published: Timestamp::now().to_zoned(TimeZone::UTC).date(),
        session_version: layout.map_or(0, |layout| layout.session_file_version),
        sequence_version: shown.sequence_version,
        layout: layout.map_or(UNKNOWN, |layout| layout.id).to_owned(),
        opener: opener.to_vec(),
        note: format!("{}: says {stated}, libraries {}", pin.source, short(&pin)),
        ..Release::unlisted(name)
    };
    let path = desk.folder().join(RECORD);
    let text = toml::to_string_pretty(&release).map_err(io::Error::other).map_err(at(&path))?;
    write_whole(&path, text).map_err(at(&path))?;
    Ok(Addition { release, pin, stated, opaque })
}

/// What a library says of itself, by its worker.
fn stated(shown: &Shown) -> String {
    shown.hello.versions.values().next().cloned().unwrap_or_else(|| "nothing".to_owned())
}

/// What it says, and what it is: vendors build other things under the same version.
fn own_name(shown: &Shown, pin: &Pin) -> String {
    let stated: String =
        stated(shown).chars().map(|char| if is_allowed(char) { char } else { '-' }).collect();
    format!("{}-{}", stated.trim_start_matches(['-', '.']), short(pin))
}

/// The first digits of a hash of all of them: what libllama computes and saves is up to the libraries beside it too.
fn short(pin: &Pin) -> String {
    let mut hasher = Sha256::new();
    for (name, hash) in &pin.files {
        hasher.update(format!("{name} {hash}\n"));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..DIGITS].to_owned()
}

/// A name is a folder, a value of a filter, and no release's.
fn check(name: &str) -> Result<(), AddError> {
    let refused = |reason: String| Err(AddError::Name { name: name.to_owned(), reason });
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(is_allowed) {
        return refused("write letters, digits, `-`, `_` and `.`, a letter or a digit first".to_owned());
    }
    match releases().iter().find(|release| release.is_called(name)) {
        Some(listed) => refused(format!(
            "llama.cpp {} is called that; vendors change what they build, so choose another one",
            listed.tag
        )),
        None => Ok(()),
    }
}

fn is_allowed(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-_.".contains(char)
}

/// The libraries in a folder, each file once.
fn in_folder(folder: &Path) -> Result<Libraries, AddError> {
    let failed = |error: io::Error| FetchError::Io { path: folder.to_owned(), source: error };
    let mut files: BTreeMap<PathBuf, Rc<[u8]>> = BTreeMap::new();
    let mut libraries = Libraries::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_library(&name) || !entry.path().is_file() {
            continue;
        }
        // A build has each library under several names, all of which lead to one file.
        let file = entry.path().canonicalize().map_err(failed)?;
        let bytes = match files.get(&file) {
            Some(bytes) => Rc::clone(bytes),
            None => {
                let bytes: Rc<[u8]> = regular::read(&file).map_err(failed)?.into();
                files.insert(file, Rc::clone(&bytes));
                bytes
            }
        };
        libraries.insert(name, bytes);
    }
    if !libraries.keys().any(|name| is_llama(name)) {
        return Err(AddError::NoLibrary(folder.to_owned()));
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folders_and_no_releases() {
        for name in ["mine", "0.6.0-1a2b3c4d", "fork_2", "b99999"] {
            check(name).expect(name);
        }
        for (name, told) in [
            ("", "write letters"),
            ("..", "write letters"),
            ("-rf", "write letters"),
            ("a/b", "write letters"),
            ("a b", "write letters"),
            ("b8783", "is called that"),
            ("v0.6.0", "is called that"),
            ("0.1.161", "is called that"),
        ] {
            let error = check(name).expect_err(name).to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_gives_each_library_under_all_its_names_and_nothing_else() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(in_folder(folder.path()), Err(AddError::NoLibrary(_))));
        fs::write(at("libllama.so.0.0.9"), "llama").expect("written");
        symlink("libllama.so.0.0.9", at("libllama.so.0")).expect("linked");
        symlink("libllama.so.0", at("libllama.so")).expect("linked");
        fs::write(at("libggml-base.so"), "base").expect("written");
        fs::write(at("llama-cli"), "a program").expect("written");
        symlink("nowhere", at("libggml.so")).expect("linked");
        let found = in_folder(folder.path()).expect("libraries");
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["libggml-base.so", "libllama.so", "libllama.so.0", "libllama.so.0.0.9"]);
        assert!(Rc::ptr_eq(&found["libllama.so"], &found["libllama.so.0.0.9"]));
    }

    #[test]
    fn libraries_that_differ_in_what_lies_beside_libllama_are_not_one() {
        let pin = |base: &str| Pin {
            source: "folder:/x".to_owned(),
            archive: None,
            files: [("libggml-base.so", base), ("libllama.so", "aa")]
                .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
                .into(),
        };
        assert_eq!(short(&pin("bb")), short(&pin("bb")));
        assert_ne!(short(&pin("bb")), short(&pin("cc")));
        assert_eq!(short(&pin("bb")).len(), DIGITS);
    }

    #[test]
    fn records_are_read_back_under_their_own_names_only() {
        let home = tempfile::tempdir().expect("a folder");
        let release = Release::unlisted("mine".to_owned());
        let text = toml::to_string_pretty(&release).expect("written");
        for (folder, text) in [("mine", text.as_str()), ("other", &text), ("broken", "tag = 1")] {
            fs::create_dir(home.path().join(folder)).expect("made");
            fs::write(home.path().join(folder).join(RECORD), text).expect("written");
        }
        assert_eq!(added(home.path()), [release]);
    }
}
