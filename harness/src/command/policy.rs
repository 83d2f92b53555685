//! Which ways of loading a session a user allows.

use clap::ValueEnum;
use intact_format::route::LoadPolicy;

/// Which ways of loading a session are allowed.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Policy {
    /// The saved KV as it is, nothing else
    Strict,
    /// Like default, but the saved KV is not translated to a type that holds less
    Lossless,
    /// Also the saved KV translated, or the saved tokens evaluated again
    #[default]
    Default,
    /// Also the messages evaluated again by another model
    Replay,
}

impl Policy {
    /// Names of the routes; none for the worker's default.
    pub(super) fn routes(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Strict => Some(&["direct"]),
            Self::Lossless => Some(&["direct", LoadPolicy::LOSSLESS, "reprefilled"]),
            Self::Default => None,
            Self::Replay => Some(&["direct", "transcoded", "reprefilled", "replayed"]),
        }
    }

    /// The same, as a worker is told.
    pub(super) fn names(self) -> Option<Vec<String>> {
        self.routes().map(|names| names.iter().map(ToString::to_string).collect())
    }
}
