//! Real models: pinned by SHA-256, fetched from a Hugging Face hub once, verified, and used offline from then on.
//!
//! Files are kept in the hub's usual cache (`$HF_HOME/hub`), so what other programs have fetched is not fetched again, and
//! the other way round. The layout is `cache`'s, the order of events is `fetch`'s, and the crate `hf-hub` is behind
//! `remote` only. It verifies nothing that it downloads and starts over when it is interrupted, so bytes are streamed
//! through it into a part file of our own (`part`), and a file gets its name only when its SHA-256 is the pinned one.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod address;
mod cache;
#[cfg(feature = "client")]
mod download;
mod error;
mod fetch;
mod pace;
mod packages;
mod part;
mod pin;
mod pins;
#[cfg(feature = "client")]
mod redirect;
#[cfg(feature = "client")]
mod remote;
mod revisions;
mod settings;
mod state;
mod verify;

use std::path::{Path, PathBuf};

use intact_format::identity::IdentityCache;

pub use address::{Address, BadAddress, Commit};
#[cfg(feature = "client")]
pub use download::{DownloadError, download};
pub use error::{Expected, HubError};
pub use fetch::{Described, Remote, Take, Watch};
pub use packages::Package;
pub use pin::{Pin, PinnedFile, Projector};
pub use pins::{BUILT_IN, Pins};
pub use revisions::{Revision, Revisions};
pub use settings::{DEFAULT_ENDPOINT, Settings, Token};
pub use state::State;
pub use verify::Verified;

use cache::Cache;
use intact_base::nearest::nearest;
pub use part::sha256_of;

/// The pinned models, where they are kept, and where they come from.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    home: PathBuf,
    pins: Pins,
    revisions: Revisions,
    cache: Cache,
    identities: IdentityCache,
}

impl Hub {
    /// The hub of this user: the built-in pins and the user's own under `home`, or those of `pins` alone where it is given.
    /// Revisions are recorded in `models.lock.toml` beside the pins that can be written.
    ///
    /// # Errors
    /// [`HubError::Pins`] where a pin file cannot be used.
    pub fn open(settings: Settings, home: &Path, pins: Option<&Path>) -> Result<Self, HubError> {
        let pins = match pins {
            Some(path) => Pins::of_file(path)?,
            None => Pins::built_in_and(&home.join("models.toml"))?,
        };
        let revisions = Revisions::beside(pins.path());
        let cache = Cache::new(settings.cache.clone());
        let identities = IdentityCache::new(home.join("identities"));
        Ok(Self { settings, home: home.to_owned(), pins, revisions, cache, identities })
    }

    /// The pinned models, in the order of their files.
    #[must_use]
    pub fn pins(&self) -> &[Pin] {
        self.pins.all()
    }

    /// The pinned model of this id.
    ///
    /// # Errors
    /// [`HubError::Unknown`].
    pub fn pin(&self, id: &str) -> Result<&Pin, HubError> {
        self.pins().iter().find(|pin| pin.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.pins().iter().map(|pin| pin.id.as_str()).collect();
            HubError::Unknown { id: id.to_owned(), meant: nearest(id, &known).map(str::to_owned) }
        })
    }

    /// Where the files are kept.
    #[must_use]
    pub fn cache_folder(&self) -> &Path {
        self.cache.folder()
    }

    /// The file that revisions are recorded in.
    #[must_use]
    pub fn revisions_path(&self) -> PathBuf {
        self.revisions.path().to_owned()
    }
}
