//! Routes: how a load is carried out, and why it is refused.

mod code;
mod decision;
mod refusal;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use code::RefusalCode;
pub use decision::{Decision, ImageStatus, LoadSituation, decide};
pub use refusal::Refusal;

/// How a load is carried out, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The saved bytes went back as they were.
    Direct,
    /// The saved KV was encoded for this context.
    Transcoded,
    /// The saved tokens were evaluated again. Formats 1.x have nothing that vouches for tokens, so these must spell the
    /// messages here (1.1), or the messages, rendered with the chat template here, must have the saved counts (1.0).
    Reprefilled,
    /// The messages were rendered with the chat template here and evaluated.
    Replayed,
}

/// A name that no route has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a route; the routes are direct, transcoded, reprefilled, replayed")]
pub struct UnknownRoute(pub String);

/// Which routes a load may take, and whether transcoding may cost precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "PolicyDocument", into = "PolicyDocument")]
#[schemars(with = "PolicyDocument")]
pub struct LoadPolicy {
    routes: [bool; 4],
    loss: bool,
}

/// A policy as it is written down.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolicyDocument {
    /// The routes that may be taken.
    routes: Vec<Route>,
    /// Refuse to transcode where that is a declared loss.
    #[serde(default)]
    lossless: bool,
}

impl Route {
    /// Every route, best first.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Transcoded, Self::Reprefilled, Self::Replayed];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Transcoded => "transcoded",
            Self::Reprefilled => "reprefilled",
            Self::Replayed => "replayed",
        }
    }

    /// What it does, in a clause.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Direct => "the saved KV goes back as it is",
            Self::Transcoded => {
                "the saved KV is written anew for this context: another layout, type, rotation or order"
            }
            Self::Reprefilled => "the saved tokens are evaluated again",
            Self::Replayed => "the messages are rendered with the chat template that is here, and evaluated",
        }
    }
}

impl LoadPolicy {
    /// The saved bytes as they were, or nothing.
    pub const STRICT: Self = Self { routes: [true, false, false, false], loss: false };
    /// Everything that keeps the saved tokens.
    pub const TOKENS: Self = Self { routes: [true, true, true, false], loss: true };
    /// Everything, evaluating the text with another model included.
    pub const ALL: Self = Self { routes: [true; 4], loss: true };

    /// What stands for [`Route::Transcoded`] in a list of names where it must not be a declared loss.
    pub const LOSSLESS: &'static str = "transcoded-lossless";

    /// The policy that allows the routes of these names; [`Self::LOSSLESS`] is one.
    ///
    /// # Errors
    /// [`UnknownRoute`] for the first name that is none.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownRoute> {
        let mut policy = Self::from_iter([]);
        for name in names {
            let route = if name == Self::LOSSLESS {
                policy.loss = false;
                Route::Transcoded
            } else {
                name.parse()?
            };
            policy.routes[route as usize] = true;
        }
        Ok(policy)
    }

    /// Whether `route` may be taken.
    #[must_use]
    pub fn allows(self, route: Route) -> bool {
        self.routes[route as usize]
    }

    /// Whether the KV may be transcoded where that is a declared loss.
    #[must_use]
    pub fn allows_loss(self) -> bool {
        self.loss
    }

    /// The same routes, transcoding only where it loses nothing that was not rounded before.
    #[must_use]
    pub fn lossless(self) -> Self {
        Self { loss: false, ..self }
    }

    /// The routes that may be taken, best first.
    pub fn routes(self) -> impl Iterator<Item = Route> {
        Route::ALL.into_iter().filter(move |route| self.allows(*route))
    }
}

impl Default for LoadPolicy {
    fn default() -> Self {
        Self::TOKENS
    }
}

impl FromIterator<Route> for LoadPolicy {
    fn from_iter<I: IntoIterator<Item = Route>>(routes: I) -> Self {
        let mut policy = Self { routes: [false; 4], loss: true };
        routes.into_iter().for_each(|route| policy.routes[route as usize] = true);
        policy
    }
}

impl From<Vec<Route>> for LoadPolicy {
    fn from(routes: Vec<Route>) -> Self {
        routes.into_iter().collect()
    }
}

impl From<PolicyDocument> for LoadPolicy {
    fn from(PolicyDocument { routes, lossless }: PolicyDocument) -> Self {
        Self { loss: !lossless, ..Self::from_iter(routes) }
    }
}

impl From<LoadPolicy> for PolicyDocument {
    fn from(policy: LoadPolicy) -> Self {
        Self { routes: policy.routes().collect(), lossless: !policy.loss }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|route| route.as_str() == name);
        found.ok_or_else(|| UnknownRoute(name.chars().take(32).collect()))
    }
}
