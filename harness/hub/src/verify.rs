//! Reading every byte of what is here again.

use std::path::PathBuf;

use super::part::sha256_of;
use super::state::{Trust, differs};
use super::{Hub, HubError, Pin, PinnedFile, State, Watch};

/// What came of reading a pinned file again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Every byte is what the pin says.
    Whole {
        /// The file.
        path: PathBuf,
    },
    /// It is not here, or not whole.
    Missing,
    /// It is not what the pin says.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

impl Hub {
    /// Hashes the files of a model, whatever was remembered of them. Nothing is requested, changed or removed.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn verify<'a>(
        &self,
        pin: &'a Pin,
        watch: &dyn Watch,
    ) -> Result<Vec<(PinnedFile<'a>, Verified)>, HubError> {
        pin.files().map(|file| Ok((file, self.verify_file(file, watch)?))).collect()
    }

    fn verify_file(&self, file: PinnedFile<'_>, watch: &dyn Watch) -> Result<Verified, HubError> {
        let path = match self.state_of(file, Trust::Name)? {
            State::Here { path, .. } => path,
            State::Damaged { path, reason } => return Ok(Verified::Damaged { path, reason }),
            State::Partly(_) | State::Absent => return Ok(Verified::Missing),
        };
        let failed = |source| HubError::Io { path: path.clone(), source };
        let size = std::fs::metadata(&path).map_err(failed)?.len();
        watch.begin(file.file, size, 0);
        let found = sha256_of(&path, &mut |done| watch.at(done)).map_err(failed);
        watch.end();
        let found = found?;
        if found == file.sha256 {
            return Ok(Verified::Whole { path });
        }
        let reason = differs(&found, file);
        Ok(Verified::Damaged { path, reason })
    }
}
