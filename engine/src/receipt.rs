//! What the engine gives back: how a save and a load were carried out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use intact_format::canary::CanaryDistance;
use intact_format::digest::Digest;
use intact_format::layout::Distances;
use intact_format::passport::{Difference, Passport};
use intact_format::route::{Refusal, Route};
use intact_format::session_id::SessionId;
use intact_format::transcode::Steps;

use crate::probe::Probe;
use crate::session::Memory;

/// What a save wrote.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Saved {
    /// The session file.
    pub path: PathBuf,
    /// Every file written, the session file first.
    pub files: Vec<PathBuf>,
    /// Bytes written: the document, and the chunks that were not there yet.
    pub bytes: u64,
    /// Tokens of the session.
    pub tokens: usize,
    /// What the format cannot hold, and what else the user should know.
    pub notes: Vec<String>,
    /// How long it took.
    pub timings: Timings,
}

/// A session that was loaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// Its id; it is the current session now.
    pub id: SessionId,
    /// How it was loaded.
    pub receipt: Receipt,
}

/// How a load was carried out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Receipt {
    /// The route.
    pub route: Route,
    /// Why not a better one; empty for the best.
    pub because: String,
    /// Every axis, the ones that are the same too.
    pub axes: Vec<Difference>,
    /// Tokens whose KV came from the file.
    pub tokens_restored: usize,
    /// Tokens that were evaluated.
    pub tokens_evaluated: u64,
    /// How far the model is from what it said when the session was saved; none where the file has no canary.
    pub canary: Option<CanaryDistance>,
    /// What was done to the saved KV, on the route that does something to it.
    pub transcoding: Option<Transcoding>,
    /// Digest of the parameters in force.
    pub parameters: Digest,
    /// A live session of the same id was replaced.
    pub replaced: bool,
    /// Further remarks, one sentence each.
    pub notes: Vec<String>,
    /// How long it took.
    pub timings: Timings,
}

/// What was done to the saved KV, and how far it is from what was saved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transcoding {
    /// Every step with its loss.
    pub steps: Steps,
    /// Normalised mean squared error of all numbers of K; 0 where none changed.
    pub nmse_k: f64,
    /// The same of V.
    pub nmse_v: f64,
}

/// What a load would do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// The route, or why there is none.
    pub route: Result<Route, Refusal>,
    /// Why not a better one; empty for the best.
    pub because: String,
    /// Every axis, the ones that are the same too.
    pub axes: Vec<Difference>,
    /// Further remarks, one sentence each.
    pub notes: Vec<String>,
}

/// What is in force for a session with the engine's parameters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Survey {
    /// Everything that a saved session would depend on.
    pub passport: Passport,
    /// What the memory of such a session looks like.
    pub probe: Probe,
    /// What kind of memory it is.
    pub memory: Memory,
}

/// How long the parts of an operation took.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Timings {
    /// The whole operation.
    pub total: Duration,
    /// Its parts by name.
    pub steps: BTreeMap<&'static str, Duration>,
}

impl Transcoding {
    /// The steps with what was measured.
    #[must_use]
    pub fn of(steps: Steps, distances: &Distances) -> Self {
        Self { steps, nmse_k: distances.keys.nmse(), nmse_v: distances.values.nmse() }
    }
}

/// One sentence.
impl fmt::Display for Transcoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, nmse_k, nmse_v } = self;
        write!(f, "The saved KV was transcoded ({steps}); error of K {nmse_k:.1e}, of V {nmse_v:.1e}.")
    }
}
