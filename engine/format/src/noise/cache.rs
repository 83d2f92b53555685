//! Noise that was measured before, by what it is of.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Noise;
use crate::digest::Digest;
use crate::identity::user_folder;
use crate::image::Durable;
use crate::passport::{Adapter, CacheSettings, Machine, Passport, RopeSettings};
use crate::regular;

/// Everything that noise depends on: the weights and what is applied to them, the cache, the kernels and the batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseKey {
    version: u32,
    weights: String,
    adapters: Vec<Adapter>,
    release: String,
    cache: CacheSettings,
    rope: RopeSettings,
    machine: Machine,
    batches: [Option<u32>; 2],
}

/// A folder of remembered noise. An entry that cannot be read counts as absent; a folder that cannot be written to only
/// costs time.
#[derive(Debug, Clone)]
pub struct NoiseCache {
    folder: PathBuf,
}

/// One entry: the whole key, so that nothing rests on its name alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: NoiseKey,
    noise: Noise,
}

/// Raised whenever noise is measured in another way: older entries are then ignored.
const KEY_VERSION: u32 = 3;
/// No entry is longer.
const LONGEST_ENTRY: u64 = 1 << 16;

impl NoiseKey {
    /// What the noise of a session with this passport depends on, in batches of these logical and physical sizes.
    #[must_use]
    pub fn of(passport: &Passport, batches: [Option<u32>; 2]) -> Self {
        Self {
            version: KEY_VERSION,
            weights: passport.model.sha256.clone(),
            adapters: passport.adapters.clone(),
            release: passport.release.clone(),
            // The room of a context changes nothing in what is computed.
            cache: CacheSettings { n_ctx: 0, ..passport.cache.clone() },
            rope: passport.rope.clone(),
            machine: passport.machine.clone(),
            batches,
        }
    }

    /// A name for it.
    #[must_use]
    pub fn name(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let mut name = Digest::of(&text).to_hex();
        name.truncate(32);
        name
    }
}

impl NoiseCache {
    /// A cache in `folder`, which is made when the first entry is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The cache of this user: `noise` beside the remembered identities of models.
    #[must_use]
    pub fn of_user() -> Self {
        Self::new(user_folder().join("noise"))
    }

    /// What was measured of this key.
    #[must_use]
    pub fn remembered(&self, key: &NoiseKey) -> Option<Noise> {
        let path = self.path(key);
        if fs::symlink_metadata(&path).ok()?.len() > LONGEST_ENTRY {
            return None;
        }
        let entry: Entry = serde_json::from_slice(&regular::read(path).ok()?).ok()?;
        (entry.key == *key).then_some(entry.noise)
    }

    /// Keeps what was measured. It is measured again where it cannot be kept.
    pub fn remember(&self, key: &NoiseKey, noise: Noise) {
        let entry = Entry { key: key.clone(), noise };
        let Ok(bytes) = serde_json::to_vec_pretty(&entry) else { return };
        if fs::create_dir_all(&self.folder).is_ok() {
            Durable::unflushed().replace(&self.path(key), &bytes).ok();
        }
    }

    fn path(&self, key: &NoiseKey) -> PathBuf {
        self.folder.join(format!("{}.json", key.name()))
    }
}
