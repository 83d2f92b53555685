//! Installed subjects: foreign systems that `intact subjects add` brought, several versions side by side.
//!
//! Each has a folder of its own, `$INTACT_HOME/subjects/NAME/VERSION`, with everything that it needs and a record of
//! how its worker is started. A folder without a record is one whose installation did not come to its end.

mod adapter;
mod conformance;
mod install;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use intact_format::regular;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use adapter::{Adapter, Source, adapters};
pub use conformance::{Check, Outcome, conformance};
pub use install::{InstallError, Progress, Wanted, install};

/// What a subject is called: `name@version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectName {
    /// The subject.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Why a text names no subject.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` names no subject: write name@version, such as node-llama-cpp@3.22.1, of letters, digits, `-`, `_`, `.` and `+`"
)]
pub struct NameError(String);

/// An installed subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What it is called.
    pub name: SubjectName,
    /// Its folder.
    pub folder: PathBuf,
    /// How it is started.
    pub record: Record,
}

/// How an installed subject is started: its `subject.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this document: 1.
    pub version: u32,
    /// The adapter; none for a command that speaks the protocol itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The command line of its worker.
    pub command: Vec<String>,
}

/// Why an installed subject cannot be used.
#[derive(Debug, Error)]
#[error("{path}: {reason}; remove its folder and add the subject again", path = path.display())]
pub struct RecordError {
    path: PathBuf,
    reason: String,
}

const RECORD: &str = "subject.toml";

/// The folder of installed subjects unless told otherwise: `$INTACT_HOME/subjects`, else `~/.cache/intact/subjects`.
/// `None` where no home folder is known.
#[must_use]
pub fn default_home() -> Option<PathBuf> {
    crate::home::folder("subjects")
}

/// Every installed subject, by name and then from the oldest version to the newest.
#[must_use]
pub fn all(home: &Path) -> Vec<Installed> {
    let inside = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let folders = inside(home).into_iter().flat_map(|subject| inside(&subject));
    let mut found: Vec<Installed> = folders.filter_map(|folder| read(&folder).ok().flatten()).collect();
    found.sort_by(|left, right| {
        let versions = crate::filter::compare_versions(&left.name.version, &right.name.version);
        let by_version = || versions.unwrap_or_else(|| left.name.version.cmp(&right.name.version));
        left.name.name.cmp(&right.name.name).then_with(by_version)
    });
    found
}

/// The installed subject of this name, with the adapter of this version of intact in its folder. `None` where there is
/// none.
///
/// # Errors
/// [`RecordError`], where its folder cannot be used.
pub fn find(home: &Path, name: &SubjectName) -> Result<Option<Installed>, RecordError> {
    let found = read(&name.folder(home))?;
    if let Some(installed) = &found {
        installed.refresh().map_err(|error| RecordError {
            path: installed.folder.clone(),
            reason: format!("its adapter cannot be written: {error}"),
        })?;
    }
    Ok(found)
}

fn read(folder: &Path) -> Result<Option<Installed>, RecordError> {
    let path = folder.join(RECORD);
    let Ok(text) = regular::read_text(&path) else { return Ok(None) };
    let broken = |reason: String| RecordError { path: path.clone(), reason };
    let record: Record = toml::from_str(&text).map_err(|error| broken(error.message().to_owned()))?;
    let part = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into());
    let name = part(folder.parent()).zip(part(Some(folder)));
    let (name, version) = name.ok_or_else(|| broken("its folder has no name".into()))?;
    Ok(Some(Installed { name: SubjectName { name, version }, folder: folder.to_owned(), record }))
}

impl Installed {
    /// Notes that it is installed.
    fn write(&self) -> std::io::Result<()> {
        let text = toml::to_string(&self.record).map_err(std::io::Error::other)?;
        fs::write(self.folder.join(RECORD), text)
    }

    /// An adapter belongs to this version of intact, not to the one that installed the subject.
    fn refresh(&self) -> std::io::Result<()> {
        let adapter = self.record.adapter.as_deref().and_then(Adapter::named);
        adapter.map_or(Ok(()), |adapter| adapter.unpack(&self.folder))
    }

    /// Removes it with everything in its folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(self) -> std::io::Result<()> {
        fs::remove_file(self.folder.join(RECORD))?;
        fs::remove_dir_all(&self.folder)
    }
}

impl SubjectName {
    /// Its folder under `home`.
    #[must_use]
    pub fn folder(&self, home: &Path) -> PathBuf {
        home.join(&self.name).join(&self.version)
    }
}

impl FromStr for SubjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, version) = text.split_once('@').ok_or_else(|| NameError(text.to_owned()))?;
        let sound = [name, version].into_iter().all(is_part);
        if !sound {
            return Err(NameError(text.to_owned()));
        }
        Ok(Self { name: name.to_owned(), version: version.to_owned() })
    }
}

/// Whether a text can be a part of a name: it becomes a folder.
fn is_part(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.+".contains(character);
    !text.is_empty() && !text.starts_with(['.', '-']) && text.chars().all(allowed)
}

impl fmt::Display for SubjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(home: &Path, name: &str) -> Installed {
        let name: SubjectName = name.parse().expect("a name");
        let folder = name.folder(home);
        fs::create_dir_all(&folder).expect("folder");
        let record = Record { version: 1, adapter: None, command: vec!["true".into()] };
        let installed = Installed { name, folder, record };
        installed.write().expect("written");
        installed
    }

    #[test]
    fn versions_lie_side_by_side_from_the_oldest_to_the_newest() {
        let home = tempfile::tempdir().expect("folder");
        for name in ["node@3.22.1", "node@3.9.0", "node@3.18.1", "a@1"] {
            installed(home.path(), name);
        }
        let names: Vec<String> = all(home.path()).iter().map(|found| found.name.to_string()).collect();
        assert_eq!(names, ["a@1", "node@3.9.0", "node@3.18.1", "node@3.22.1"]);
    }

    #[test]
    fn a_folder_without_a_record_is_no_subject() {
        let home = tempfile::tempdir().expect("folder");
        fs::create_dir_all(home.path().join("node/3.22.1/node_modules")).expect("folder");
        assert_eq!(all(home.path()), []);
        let name = "node@3.22.1".parse().expect("a name");
        assert_eq!(find(home.path(), &name).expect("readable"), None);
    }

    #[test]
    fn what_is_removed_is_gone() {
        let home = tempfile::tempdir().expect("folder");
        installed(home.path(), "node@1.0.0").remove().expect("removed");
        assert_eq!(all(home.path()), []);
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for wrong in ["", "node", "node@", "@1", "../node@1", "node@..", "node@1/2", "a b@1", "-rf@1"] {
            assert!(wrong.parse::<SubjectName>().is_err(), "{wrong}");
        }
        let name: SubjectName = "node-llama-cpp@3.22.1".parse().expect("a name");
        assert_eq!(name.to_string(), "node-llama-cpp@3.22.1");
    }
}
