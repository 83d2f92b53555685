//! Whether a pinned file is here.

use std::path::{Path, PathBuf};

use intact_format::identity::{IdentityError, ModelIdentity};

use super::cache::Candidate;
use super::{Commit, Hub, HubError, Pin, PinnedFile};

/// Whether a pinned file is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is.
    Here {
        /// The file.
        path: PathBuf,
        /// The commit whose snapshot it is in; none for what packages brought.
        commit: Option<Commit>,
    },
    /// So many bytes of it are.
    Partly(u64),
    /// It is not.
    Absent,
    /// Under its name is something else.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

/// Whose word is taken for what is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The name of the blob and the extent that its metadata gives: nothing is hashed.
    Name,
    /// The content, which is hashed unless that was done before and the file has not changed since.
    Content,
}

impl Hub {
    /// Whether a model and its projector are here, at a glance: nothing is hashed, so content that was altered in place
    /// shows only in [`Self::verify`].
    ///
    /// # Errors
    /// [`HubError::Pins`] where the lock file cannot be used, [`HubError::Io`] where a file cannot be read.
    pub fn state(&self, pin: &Pin) -> Result<State, HubError> {
        let mut state = None;
        for file in pin.files() {
            match self.state_of(file, Trust::Name)? {
                State::Here { path, commit } => drop(state.get_or_insert(State::Here { path, commit })),
                other => return Ok(other),
            }
        }
        Ok(state.unwrap_or(State::Absent))
    }

    pub(super) fn state_of(&self, file: PinnedFile<'_>, trust: Trust) -> Result<State, HubError> {
        let recorded = self.revisions.of(file)?.map(|revision| revision.commit);
        let mut damaged = None;
        for candidate in self.cache.candidates(file, recorded.as_ref()) {
            let belongs = candidate.named || recorded.as_ref() == Some(&candidate.commit);
            match self.difference(&candidate.path, file, trust)? {
                None => {
                    let Candidate { path, commit, .. } = candidate;
                    return Ok(State::Here { path, commit: Some(commit) });
                }
                Some(reason) if belongs => {
                    damaged.get_or_insert(State::Damaged { path: candidate.path, reason });
                }
                Some(_) => {}
            }
        }
        let carried = self.carried(file);
        if !file.packages.is_empty() && carried.is_file() {
            match self.difference(&carried, file, trust)? {
                None => return Ok(State::Here { path: carried, commit: None }),
                Some(reason) => damaged = damaged.or(Some(State::Damaged { path: carried, reason })),
            }
        }
        let part = std::fs::metadata(self.cache.part(file)).map_or(0, |part| part.len());
        let missing = if part > 0 { State::Partly(part) } else { State::Absent };
        Ok(damaged.unwrap_or(missing))
    }

    /// What tells the candidate from the pinned file.
    fn difference(
        &self,
        path: &Path,
        file: PinnedFile<'_>,
        trust: Trust,
    ) -> Result<Option<String>, HubError> {
        let identity = match trust {
            Trust::Name => self.identities.identify(path),
            Trust::Content => self.identities.identify_content(path),
        };
        match identity {
            Ok(ModelIdentity { sha256, .. }) if sha256 == file.sha256 => Ok(None),
            Ok(ModelIdentity { sha256, .. }) => Ok(Some(differs(&sha256, file))),
            Err(IdentityError::Gguf { cause, .. }) => Ok(Some(cause.to_string())),
            Err(IdentityError::Io { path, cause }) => Err(HubError::Io { path, source: cause }),
            Err(other) => Ok(Some(other.to_string())),
        }
    }
}

/// In words, that a file is not the pinned one.
pub(super) fn differs(found: &str, file: PinnedFile<'_>) -> String {
    format!("its SHA-256 is {found}, but the pin says {}", file.sha256)
}
