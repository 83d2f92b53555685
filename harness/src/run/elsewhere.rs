//! What was made elsewhere: the artifacts of other runs' folders, found by what they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use intact_store::Files;

use crate::folder::{ArtifactEntry, ArtifactStore, FolderError, RunFolder};
use crate::scenario::StepError;

/// Artifacts of other runs' folders.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    stores: Vec<ArtifactStore>,
    entries: BTreeMap<String, (usize, ArtifactEntry)>,
}

impl Elsewhere {
    /// What is in these folders; of what is in several, the first.
    pub(super) fn open(folders: &[PathBuf]) -> Result<Self, FolderError> {
        let mut elsewhere = Self::default();
        let mut places: BTreeMap<String, Arc<Files>> = BTreeMap::new();
        for folder in folders {
            let folder = RunFolder::open(folder)?;
            let mut store = folder.artifacts();
            if let Some(address) = folder.manifest()?.kept_at {
                let files = match places.get(&address) {
                    Some(files) => Arc::clone(files),
                    None => Arc::new(Files::at(&address).map_err(Box::new)?),
                };
                store = store.with(Arc::clone(&files));
                places.insert(address, files);
            }
            for (key, entry) in store.entries()? {
                elsewhere.entries.entry(key).or_insert((elsewhere.stores.len(), entry));
            }
            elsewhere.stores.push(store);
        }
        Ok(elsewhere)
    }

    /// What has this key, and where its files are.
    pub(super) fn entry(&self, key: &str) -> Option<(&ArtifactStore, &ArtifactEntry)> {
        let (store, entry) = self.entries.get(key)?;
        Some((self.stores.get(*store)?, entry))
    }
}

/// The version of keys. What was named under another version is not found, and made anew.
pub(super) const KEY_VERSION: u32 = 2;

/// The key of what is described so.
pub(super) fn digest(what: &BTreeMap<String, String>) -> String {
    let text = serde_json::json!({ "version": KEY_VERSION, "what": what }).to_string();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// An artifact that is there and cannot be used says nothing of the subject.
pub(super) fn unusable(error: &FolderError) -> StepError {
    StepError::Failed { op: "load", message: error.to_string() }
}
