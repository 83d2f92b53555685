//! Files by their names in a folder or an object store, for those who keep something else than sessions there.

use std::fmt;

use crate::address;
use crate::blocking::Blocking;
use crate::error::StoreError;
use crate::objects::{Length, Objects};

/// Files by their names, of plain ASCII, at a place that a store could be at. Every call blocks until it is done.
pub struct Files {
    objects: Objects,
    requests: Blocking,
}

impl Files {
    /// The files at a place: a folder, which is made where it is missing, or a URL of a cloud that this build knows, whose
    /// credentials come from the environment.
    ///
    /// # Errors
    /// When the text names no such place.
    pub fn at(address: &str) -> Result<Self, StoreError> {
        Self::over(address::open(address, true)?)
    }

    /// The files at a place that is there.
    ///
    /// # Errors
    /// As [`Files::at`], and [`StoreError::NoStore`] for a folder that is missing.
    pub fn open(address: &str) -> Result<Self, StoreError> {
        Self::over(address::open(address, false)?)
    }

    fn over(objects: Objects) -> Result<Self, StoreError> {
        Ok(Self { objects, requests: Blocking::new()? })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        self.objects.address()
    }

    /// Names of all files below a folder, in order.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut names = self.requests.wait(self.objects.names(folder))?;
        names.sort_unstable();
        Ok(names)
    }

    /// The content of a file; none where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.requests.wait(self.objects.get(&name, Length::Any))
    }

    /// Makes a file, or replaces it. Nobody sees a part of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, content: Vec<u8>) -> Result<(), StoreError> {
        self.requests.wait(self.objects.put(&name, content))
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// When the place does not say.
    pub fn holds(&self, name: &str) -> Result<bool, StoreError> {
        self.requests.wait(self.objects.holds(name))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.address()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_used_and_dropped_inside_asynchronous_code() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let files = Files::at("memory:").unwrap();
            files.put("a", b"x".to_vec()).unwrap();
            assert!(files.holds("a").unwrap());
            drop(files);
            let store = crate::SessionStore::create("memory:").unwrap();
            assert!(store.sessions().unwrap().is_empty());
        });
    }

    #[test]
    fn a_folder_is_made_only_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let address = missing.to_str().unwrap();
        assert!(matches!(Files::open(address), Err(StoreError::NoStore { .. })) && !missing.exists());
        Files::at(address).unwrap();
        Files::open(address).unwrap();
    }

    #[test]
    fn what_was_put_is_listed_and_comes_back_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        for address in ["memory:", folder.path().to_str().unwrap()] {
            let files = Files::at(address).unwrap();
            assert_eq!(files.list("parts").unwrap(), [""; 0], "{address}");
            for name in ["parts/b/run.json", "parts/a/size 1.json", "elsewhere/x"] {
                files.put(name, name.into()).unwrap();
            }
            files.put("elsewhere/x", b"again".into()).unwrap();
            assert_eq!(files.list("parts").unwrap(), ["parts/a/size 1.json", "parts/b/run.json"]);
            assert_eq!(files.get("elsewhere/x").unwrap().as_deref(), Some(&b"again"[..]));
            assert_eq!(files.get("elsewhere/y").unwrap(), None);
            assert!(files.holds("parts/b/run.json").unwrap() && !files.holds("parts/b").unwrap());
        }
    }
}
