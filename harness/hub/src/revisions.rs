//! `models.lock.toml`: the commit that each pinned file was first fetched from.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::pins::exclusive;
use super::{Commit, HubError, PinnedFile};
use intact_base::files::write_whole;
use intact_format::regular;

const HEAD: &str = "\
# Written by intact: the commit that each pinned file was first fetched from, and how long it is. Delete an entry to have
# the file looked up on the main branch again.
version = 1
";

/// The file that revisions are recorded in. Several processes may record at once.
#[derive(Debug)]
pub struct Revisions {
    path: PathBuf,
}

/// What is recorded of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit.
    pub commit: Commit,
    /// Length of the file in bytes.
    pub size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: i64,
    #[serde(default)]
    file: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    repo: String,
    path: String,
    revision: String,
    size: u64,
    sha256: String,
}

impl Revisions {
    /// `models.lock.toml` beside a pin file.
    pub(super) fn beside(pins: &Path) -> Self {
        Self { path: pins.with_file_name("models.lock.toml") }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is recorded of a file; none where its pin has changed since.
    ///
    /// # Errors
    /// [`HubError::Pins`] where the file is there and cannot be used.
    pub fn of(&self, file: PinnedFile<'_>) -> Result<Option<Revision>, HubError> {
        let text = match regular::read_text(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(&error)),
        };
        let lock: LockFile = toml::from_str(&text).map_err(|error| self.unusable(&error))?;
        if lock.version != 1 {
            return Err(
                self.unusable(&format!("it has version {}, and this intact reads version 1", lock.version))
            );
        }
        let own =
            |entry: &Entry| entry.repo == file.repo && entry.path == file.file && entry.sha256 == file.sha256;
        let Some(entry) = lock.file.into_iter().find(own) else { return Ok(None) };
        let commit = Commit::new(&entry.revision).ok_or_else(|| {
            self.unusable(&format!(
                "the revision `{}` is not a commit of 40 hexadecimal digits",
                entry.revision
            ))
        })?;
        Ok(Some(Revision { commit, size: entry.size }))
    }

    /// Records the revision of a file in place of what was recorded before.
    pub(super) fn record(&self, file: PinnedFile<'_>, revision: &Revision) -> Result<(), HubError> {
        if self.of(file)?.as_ref() == Some(revision) {
            return Ok(());
        }
        let failed = |source| HubError::Io { path: self.path.clone(), source };
        let _guard = exclusive(&self.path).map_err(failed)?;
        let text = match regular::read_text(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        let mut document: DocumentMut = text.parse().map_err(|error| self.unusable(&error))?;
        let files = document.entry("file").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let files = files
            .as_array_of_tables_mut()
            .ok_or_else(|| self.unusable(&"`file` is not a list of [[file]] tables"))?;
        files.retain(|entry| {
            text_of(entry, "repo") != Some(file.repo) || text_of(entry, "path") != Some(file.file)
        });
        files.push(table(file, revision));
        write_whole(&self.path, document.to_string()).map_err(failed)
    }

    fn unusable(&self, reason: &dyn std::fmt::Display) -> HubError {
        HubError::Pins { path: self.path.clone(), reason: reason.to_string() }
    }
}

fn text_of<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key)?.as_str()
}

fn table(file: PinnedFile<'_>, revision: &Revision) -> Table {
    let mut table = Table::new();
    table["repo"] = value(file.repo);
    table["path"] = value(file.file);
    table["revision"] = value(revision.commit.as_str());
    table["size"] = value(i64::try_from(revision.size).unwrap_or(i64::MAX));
    table["sha256"] = value(file.sha256);
    table
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(sha256: &str) -> PinnedFile<'_> {
        PinnedFile { repo: "owner/name", file: "model.gguf", sha256, packages: &[] }
    }

    #[test]
    fn a_revision_is_recorded_once_and_forgotten_when_the_pin_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let revisions = Revisions::beside(&folder.path().join("models.toml"));
        assert_eq!(revisions.of(file("a")).expect("no file yet"), None);

        let revision = Revision { commit: Commit::new(&"1".repeat(40)).expect("a commit"), size: 7 };
        revisions.record(file("a"), &revision).expect("recorded");
        assert_eq!(revisions.of(file("a")).expect("read"), Some(revision.clone()));
        assert_eq!(revisions.of(file("b")).expect("read"), None, "another content was pinned since");

        let text = fs::read_to_string(revisions.path()).expect("a file");
        assert!(text.starts_with("# Written by intact"), "{text}");
        revisions.record(file("b"), &revision).expect("recorded");
        let text = fs::read_to_string(revisions.path()).expect("a file");
        assert_eq!(text.matches("[[file]]").count(), 1, "{text}");
    }

    #[test]
    fn threads_that_record_at_once_lose_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let revisions = Revisions::beside(&folder.path().join("models.toml"));
        let revision = Revision { commit: Commit::new(&"1".repeat(40)).expect("a commit"), size: 7 };
        let names: Vec<String> = (0..12).map(|number| format!("{number}.gguf")).collect();
        let (revisions, revision) = (&revisions, &revision);
        std::thread::scope(|scope| {
            for name in &names {
                let file = PinnedFile { repo: "owner/name", file: name, sha256: "a", packages: &[] };
                scope.spawn(move || revisions.record(file, revision).expect("recorded"));
            }
        });
        for name in &names {
            let file = PinnedFile { repo: "owner/name", file: name, sha256: "a", packages: &[] };
            assert!(revisions.of(file).expect("read").is_some(), "{name}");
        }
    }

    #[test]
    fn a_branch_in_place_of_a_commit_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let revisions = Revisions::beside(&folder.path().join("models.toml"));
        let text = "version = 1\n[[file]]\nrepo = \"owner/name\"\npath = \"model.gguf\"\nrevision = \"main\"\nsize = 1\nsha256 = \"a\"\n";
        fs::write(revisions.path(), text).expect("written");
        let message = revisions.of(file("a")).expect_err("a branch").to_string();
        assert!(message.contains("`main` is not a commit"), "{message}");
    }
}
