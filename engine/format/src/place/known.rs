//! Which session files a program has seen.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Replaces;
use crate::digest::Digest;

/// The session files that live sessions came from or were saved to, and what was in them. A session may replace its own
/// files, as long as nobody else has changed them.
#[derive(Clone, Debug, Default)]
pub struct KnownFiles {
    files: HashMap<(String, PathBuf), Digest>,
}

impl KnownFiles {
    /// A session came from this file, or was saved to it.
    pub fn note(&mut self, session: &str, file: &Path, document: Digest) {
        if let Ok(file) = fs::canonicalize(file) {
            self.files.insert((session.to_owned(), file), document);
        }
    }

    /// What the next save of a session to this file may take the place of.
    #[must_use]
    pub fn replaces(&self, session: &str, file: &Path) -> Replaces {
        let known = fs::canonicalize(file).ok().and_then(|file| self.files.get(&(session.to_owned(), file)));
        known.map_or(Replaces::Nothing, |document| Replaces::Document(*document))
    }

    /// A session is not live any more: what comes after it under its id is another one.
    pub fn forget(&mut self, session: &str) {
        self.files.retain(|(known, _), _| known != session);
    }

    /// No session is live any more.
    pub fn clear(&mut self) {
        self.files.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_replaces_what_it_came_from_and_no_other_file_or_session() {
        let folder = tempfile::tempdir().expect("a folder");
        let [mine, other] = ["mine.json", "other.json"].map(|name| folder.path().join(name));
        for file in [&mine, &other] {
            fs::write(file, "{}").expect("written");
        }
        let mut known = KnownFiles::default();
        let seen = Digest::of(b"{}");
        known.note("ada", &mine, seen);
        assert_eq!(known.replaces("ada", &folder.path().join("./mine.json")), Replaces::Document(seen));
        assert_eq!(known.replaces("ada", &other), Replaces::Nothing);
        assert_eq!(known.replaces("bob", &mine), Replaces::Nothing);
        known.forget("ada");
        assert_eq!(known.replaces("ada", &mine), Replaces::Nothing);
    }
}
