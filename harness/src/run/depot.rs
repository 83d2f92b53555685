//! Where the parts of one run are kept by machines that share nothing else: a folder, or an object store.
//!
//! ```text
//! parts/<kind>[-m-of-n]/…        documents of a part's folder; run.json comes last: the part is there when it is
//! artifacts/<2 digits>/<BLAKE3>  saved sessions, as in a run's folder, of all parts
//! whole/…                        what `intact merge` made of them
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use intact_format::regular;
use intact_store::{Files, StoreError};

use super::{RunError, parallel};
use crate::folder::{
    CONFIG, DOCUMENTS, EXPECTATIONS, FolderError, Kind, Manifest, PlanDigest, RESULTS, RUN, RunFolder,
    Scratch, StoredFile, plain_file,
};
use crate::report;

/// Requests under way at the same time.
const REQUESTS: usize = 16;
/// Folder of the parts.
const PARTS: &str = "parts";
/// Folder of what was put together.
const WHOLE: &str = "whole";

/// A place that keeps the parts of one run.
#[derive(Debug, Clone)]
pub struct Depot {
    files: Arc<Files>,
    /// The place, so that it can be found from every working folder.
    address: String,
}

/// A part that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is called there.
    pub name: String,
    /// When the part began whose place it took, RFC 3339 in UTC, where that was another one.
    pub replaced: Option<String>,
}

/// A part that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is called there.
    pub name: String,
    /// Where its copy is.
    pub folder: PathBuf,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
}

impl Depot {
    /// The depot at a place: a folder, which is made where it is missing, or a URL.
    ///
    /// # Errors
    /// [`RunError`], where the text names no place.
    pub fn at(address: &str) -> Result<Self, RunError> {
        Ok(Self::over(Files::at(address).map_err(stopped)?, address))
    }

    /// The depot that parts are to be fetched from: those that save sessions, or those that load some. Nothing is made.
    ///
    /// # Errors
    /// [`RunError`], where the text names no place, or a folder that is missing.
    pub fn holding(address: &str, saving: bool) -> Result<Self, RunError> {
        match Files::open(address) {
            Ok(files) => Ok(Self::over(files, address)),
            Err(StoreError::NoStore { address }) => Err(nothing(saving, &address)),
            Err(error) => Err(stopped(error)),
        }
    }

    fn over(files: Files, address: &str) -> Self {
        let local = !address.contains(':');
        let absolute = local.then(|| std::path::absolute(address).ok()).flatten();
        let address = absolute.map_or_else(|| address.to_owned(), |path| path.display().to_string());
        Self { files: Arc::new(files), address }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes sure that the parts which are there are of this plan.
    pub(super) fn admit(&self, digest: &PlanDigest) -> Result<(), RunError> {
        for (name, manifest) in self.manifests()? {
            let differ = manifest.digest.differences(digest);
            if !differ.is_empty() {
                let message = format!(
                    "{} keeps another run: {differ} differ from its part `{name}`. One place keeps the parts of one run: \
                     name another with --artifacts, with the number of the CI's run in it",
                    self.address,
                    differ = differ.join(", "),
                );
                return Err(RunError::Merge(message));
            }
        }
        Ok(())
    }

    /// Keeps what is in a run's folder, and gives its name. A part of that name which is there is replaced.
    ///
    /// # Errors
    /// [`RunError`], where a file cannot be read or kept.
    pub fn keep(&self, folder: &Path) -> Result<Kept, RunError> {
        let folder = RunFolder::open(folder)?;
        let manifest = folder.manifest()?;
        let entries = folder.artifacts().entries()?;
        let kept: BTreeSet<String> = self.files.list("artifacts").map_err(stopped)?.into_iter().collect();
        let files: BTreeMap<String, &StoredFile> = entries
            .values()
            .flat_map(|entry| entry.content.files())
            .map(|file| (file.place(), file))
            .collect();
        let artifacts = folder.artifacts();
        let fresh: Vec<(String, &StoredFile)> =
            files.into_iter().filter(|(place, _)| !kept.contains(place)).collect();
        let name = name(&manifest);
        let there = self.manifests()?.remove(&name);
        let replaced = there.filter(|there| there.started != manifest.started).map(|there| there.started);
        let documents = [RESULTS, CONFIG, EXPECTATIONS].into_iter().chain(DOCUMENTS).chain(report::FILES);
        let documents = documents.filter(|file| folder.file(file).is_file());
        let documents = documents.map(|file| (format!("{name}/{file}"), file.to_owned()));
        let document = |file: &String| {
            let path = folder.file(file);
            plain_file(&path)?;
            regular::read(&path).map_err(|source| FolderError::Io { path, source })
        };
        self.put_all(&fresh, |file| artifacts.bytes(file))?;
        self.put_all(&documents.collect::<Vec<_>>(), document)?;
        self.put_all(&[(format!("{name}/{RUN}"), RUN.to_owned())], document)?;
        Ok(Kept { name, replaced })
    }

    /// Copies the documents of all parts that save sessions, or of all that load some, into a folder of their own each, below
    /// the folder of the run that is to begin. What they saved is fetched when it is read.
    ///
    /// # Errors
    /// [`RunError`], where there is no such part, one cannot be fetched, or the folder is somebody else's.
    pub fn fetch(&self, saving: bool, run: &Path, number: usize) -> Result<Vec<Part>, RunError> {
        let parts = self.manifests()?;
        let wanted = parts.into_iter().filter(|(_, manifest)| (manifest.kind == Kind::Produce) == saving);
        let wanted: Vec<(String, Manifest)> = wanted.collect();
        if wanted.is_empty() {
            return Err(nothing(saving, &self.address));
        }
        let run = RunFolder::claim(run)?;
        let into = run.file(PARTS).join(number.to_string());
        fs::create_dir_all(&into).map_err(failed(&into))?;
        let scratch = run.scratch()?;
        let fetched = parallel::map(
            REQUESTS,
            &wanted,
            || (),
            |(), (name, manifest)| self.fetch_part(name, manifest, &scratch, &into),
        );
        fetched.into_iter().collect()
    }

    fn fetch_part(
        &self,
        name: &str,
        manifest: &Manifest,
        scratch: &Scratch,
        into: &Path,
    ) -> Result<Part, RunError> {
        let own = name.rsplit('/').next().unwrap_or(name);
        let (fresh, path) = (scratch.path().join(own), into.join(own));
        fs::create_dir_all(&fresh).map_err(failed(&fresh))?;
        for file in [CONFIG, EXPECTATIONS].into_iter().chain(DOCUMENTS) {
            if let Some(bytes) = self.read(&format!("{name}/{file}"))? {
                fs::write(fresh.join(file), bytes).map_err(failed(&path))?;
            }
        }
        let manifest = Manifest { kept_at: Some(self.address.clone()), ..manifest.clone() };
        RunFolder::copied(&fresh, &manifest)?;
        // Of an earlier copy nothing may be left.
        RunFolder::remove(&path)?;
        fs::rename(&fresh, &path).map_err(failed(&path))?;
        Ok(Part { name: name.to_owned(), folder: path, started: manifest.started })
    }

    /// A document of a part. Where the place is a folder, whoever shares it may have put a link there: none is followed.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, RunError> {
        let folder = self.address.strip_prefix("file://").unwrap_or(&self.address);
        if !folder.contains(':') {
            let mut path = PathBuf::from(folder);
            for part in name.split('/') {
                path.push(part);
                if path.is_symlink() || !path.is_dir() {
                    plain_file(&path)?;
                }
            }
        }
        self.files.get(name).map_err(stopped)
    }

    /// The parts that are there, by name.
    fn manifests(&self) -> Result<BTreeMap<String, Manifest>, RunError> {
        let names = self.files.list(PARTS).map_err(stopped)?;
        let parts = names.iter().filter_map(|name| name.strip_suffix(RUN)?.strip_suffix('/'));
        // Its name becomes that of a folder, and not everybody who can write here gives it.
        let parts = parts.filter(|name| name.strip_prefix(PARTS).is_some_and(is_name));
        let mut manifests = BTreeMap::new();
        for name in parts {
            let file = format!("{name}/{RUN}");
            let place = || PathBuf::from(format!("{}/{file}", self.address));
            if let Some(bytes) = self.read(&file)? {
                manifests.insert(name.to_owned(), Manifest::parse(&bytes, &place())?);
            }
        }
        Ok(manifests)
    }

    /// Puts files where they are kept, each under its name there.
    fn put_all<T: Sync>(
        &self,
        files: &[(String, T)],
        bytes: impl Fn(&T) -> Result<Vec<u8>, FolderError> + Sync,
    ) -> Result<(), RunError> {
        let put = |(name, file): &(String, T)| self.files.put(name, bytes(file)?).map_err(stopped);
        parallel::map(REQUESTS, files, || (), |(), file| put(file)).into_iter().collect()
    }
}

/// Whether what follows the folder of the parts is a name that parts have.
fn is_name(rest: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    rest.strip_prefix('/').is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// What a part is called: what it does, and which part it is.
fn name(manifest: &Manifest) -> String {
    let kind = match manifest.kind {
        Kind::Run => "run",
        Kind::Produce => "produce",
        Kind::Consume => "consume",
        Kind::Merge => return WHOLE.to_owned(),
    };
    let part = manifest.partition.map(|partition| format!("-{}", partition.to_string().replace('/', "-of-")));
    format!("{PARTS}/{kind}{}", part.unwrap_or_default())
}

/// There is no part at a place that saves sessions, or none that loads some.
fn nothing(saving: bool, address: &str) -> RunError {
    let (what, who) = if saving {
        ("saved session", "`intact produce --artifacts` keeps some there")
    } else {
        ("cell that was run", "`intact run --artifacts` and `intact consume --artifacts` keep some there")
    };
    RunError::Merge(format!("there is no {what} at {address}: {who}"))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |error| RunError::Folder { path, reason: error.to_string() }
}

fn stopped(error: StoreError) -> RunError {
    RunError::RunFolder(Box::new(error).into())
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn only_what_can_be_one_folder_is_the_name_of_a_part() {
        for (rest, name) in [
            ("/run", true),
            ("/consume-1-of-2", true),
            ("", false),
            ("/", false),
            ("/..", false),
            ("/a/b", false),
            ("/a/../..", false),
            ("run", false),
            ("/a\u{1b}", false),
        ] {
            assert_eq!(is_name(rest), name, "{rest:?}");
        }
    }
}
