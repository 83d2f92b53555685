//! Libraries that a command compares: a release by its tag, one that was added, or those in a folder.

use std::path::{Path, PathBuf};

use super::Failure;
use super::worker::Linked;
use crate::tags::{self, AddError, OFFICIAL};

/// A library, and the worker that runs on it.
pub(super) struct Library {
    /// What it is called in cells and filters.
    pub(super) name: String,
    /// The command line of its worker.
    pub(super) command: Vec<String>,
}

/// Where a build keeps its libraries, below its folder.
const BELOW: [&str; 4] = ["", "build/bin", "lib", "bin"];

/// The library of that name, or in that folder. A release that is not here is fetched; what is in a folder is added, under what it
/// says of itself and its hash.
pub(super) fn library(named: &str, home: &Path, linked: Option<&Linked>) -> Result<Library, Failure> {
    let folder = Path::new(named);
    let release = tags::known(Some(home)).into_iter().find(|release| release.is_called(named));
    let Some(release) = release else {
        if folder.is_file() {
            return Err(Failure::setup(format!("{named} is a file"))
                .help("name the folder that has the libraries of a build, `build/bin` for example"));
        }
        return if folder.is_dir() { added(folder, home) } else { unlisted(named, home) };
    };
    let here = || tags::worker_command(home, &release).or_else(|| linked?.command_of(&release));
    if here().is_none() {
        eprintln!("llama.cpp {} is not here; fetching it", release.tag);
        tags::fetch(home, &release, OFFICIAL)
            .map_err(|error| Failure::setup(error).help(release.remedy()))?;
    }
    let command = here().ok_or_else(unopened)?;
    Ok(Library { name: release.tag, command })
}

/// What is in a folder: libraries, or a build that has them below it.
fn added(folder: &Path, home: &Path) -> Result<Library, Failure> {
    let mut places = BELOW.iter().map(|below| folder.join(below)).filter(|place| place.is_dir());
    let addition = places.find_map(|place| match tags::add(home, &place, None, &[]) {
        Err(AddError::NoLibrary(_)) => None,
        other => Some(other),
    });
    let addition = match addition {
        Some(addition) => addition.map_err(|error| {
            Failure::setup(error).but(&format!("the libraries in {} cannot be used", folder.display()))
        })?,
        None => return Err(without_library(folder)),
    };
    let name = addition.release.tag.clone();
    eprintln!("{}: added as {name}; `intact tags remove {name}` removes it", folder.display());
    let command = tags::worker_command(home, &addition.release).ok_or_else(unopened)?;
    Ok(Library { name, command })
}

fn without_library(folder: &Path) -> Failure {
    let failure = Failure::setup(AddError::NoLibrary(folder.to_owned()));
    if !folder.join("include/llama.h").is_file() {
        return failure;
    }
    let folder: PathBuf = folder.to_owned();
    failure.help(format!(
        "build its shared libraries: cmake -S {0} -B {1} -DBUILD_SHARED_LIBS=ON && cmake --build {1} --target llama",
        folder.display(),
        folder.join("build").display()
    ))
}

/// A release that is not listed: llama.cpp's own archives may have it.
fn unlisted(named: &str, home: &Path) -> Result<Library, Failure> {
    let fetched = match tags::fetch_unlisted(home, named, OFFICIAL) {
        // What is no name of a release is met with the one that was meant.
        Err(AddError::Name { .. }) => {
            return Err(super::check::release(named).err().unwrap_or_else(unopened));
        }
        fetched => fetched,
    };
    fetched.map_err(|error| match super::check::release(named).err() {
        Some(unknown) => unknown.also(format!("llama.cpp's own archive of it could not be had: {error}")),
        None => Failure::setup(error),
    })?;
    let release = super::check::release(named)?;
    let command = tags::worker_command(home, &release).ok_or_else(unopened)?;
    Ok(Library { name: release.tag, command })
}

/// Why a library that is here cannot be asked anything.
pub(super) const UNOPENED: &str =
    "the worker that opens libraries, intact-worker-loaded, is not beside this command";

fn unopened() -> Failure {
    Failure::setup(UNOPENED).help("install both; in a clone: `./ci/intact`")
}
