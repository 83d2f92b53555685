//! The table that decides the route of a load.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Route::{self, Direct, Replayed, Reprefilled, Transcoded};
use super::{LoadPolicy, Refusal, RefusalCode};
use crate::canary::CanaryRule;
use crate::passport::{Axis, Consequence, Difference, worst};

/// What is known of the KV image of a session file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageStatus {
    /// It is there, whole, and its layout is understood.
    Present,
    /// It is there and whole; its layout is not known.
    Opaque,
    /// The file refers to one that is not there.
    Missing,
    /// The one that the file refers to does not have the content that was written.
    Damaged,
    /// The file refers to none.
    None,
}

/// Everything that decides the route of a load.
#[derive(Debug, Clone, Copy)]
pub struct LoadSituation<'a> {
    /// The axes, as [`crate::passport::compare`] or [`crate::manifest::Manifest::compare`] give them; empty where the
    /// file says nothing.
    pub differences: &'a [Difference],
    /// The KV image.
    pub image: ImageStatus,
    /// Tokens of the session.
    pub tokens: u64,
    /// Context length of one sequence here.
    pub n_ctx: u32,
    /// Whether transcoding is a declared loss, as [`crate::transcode::Steps::loss`] tells.
    pub lossy: bool,
    /// The routes that may be taken.
    pub policy: LoadPolicy,
}

/// How a load shall be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The best safe route that is allowed.
    pub route: Route,
    /// Where to go when the canary or the image fails on it, in order.
    pub fallbacks: Vec<Route>,
    /// Why a better route is not taken; empty for the best one.
    pub because: String,
    canary: CanaryRule,
}

const IN_PLACE: &[Route] = &[Direct, Reprefilled, Replayed];
const ENCODED: &[Route] = &[Transcoded, Reprefilled, Replayed];
const TOKENS: &[Route] = &[Reprefilled, Replayed];
const TEXT: &[Route] = &[Replayed];
const NOTHING: &[Route] = &[];

/// The safe routes, best first. Rows: the gravest consequence; columns: the image, in the order of [`ImageStatus`].
const SAFE_ROUTES: [[&[Route]; 5]; 6] = [
    //               present   opaque    missing  damaged  none
    /* same      */
    [IN_PLACE, IN_PLACE, TOKENS, TOKENS, TOKENS],
    /* harmless  */ [IN_PLACE, IN_PLACE, TOKENS, TOKENS, TOKENS],
    /* transcode */ [ENCODED, TOKENS, TOKENS, TOKENS, TOKENS],
    /* reprefill */ [TOKENS, TOKENS, TOKENS, TOKENS, TOKENS],
    /* replay    */ [TEXT, TEXT, TEXT, TEXT, TEXT],
    /* refuse    */ [NOTHING, NOTHING, NOTHING, NOTHING, NOTHING],
];

/// Decides the route of a load. Pure.
///
/// # Errors
/// A [`Refusal`] where the session does not fit the context, or the policy allows none of the safe routes.
pub fn decide(situation: &LoadSituation<'_>) -> Result<Decision, Refusal> {
    if situation.tokens > u64::from(situation.n_ctx) {
        return Err(Refusal::of_axes(RefusalCode::ContextTooSmall, vec![too_long(situation)]));
    }
    let gravest = worst(situation.differences);
    let safe = SAFE_ROUTES[gravest as usize][situation.image as usize];
    let loses = |route: Route| route == Transcoded && situation.lossy && !situation.policy.allows_loss();
    let mut allowed = safe.iter().copied().filter(|route| situation.policy.allows(*route) && !loses(*route));
    let Some(route) = allowed.next() else {
        return Err(refusal(situation));
    };
    Ok(Decision {
        route,
        fallbacks: allowed.collect(),
        because: if route == Direct { String::new() } else { because(situation) },
        canary: situation.differences.iter().filter_map(canary_rule).max().unwrap_or(CanaryRule::Exact),
    })
}

impl Decision {
    /// The route and its fallbacks, in the order in which they shall be tried.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        std::iter::once(self.route).chain(self.fallbacks.iter().copied())
    }

    /// How close the canary must be when `route` is taken. Tokens that are evaluated again by the same weights give the
    /// right session by construction: there is nothing that the canary could refute.
    #[must_use]
    pub fn canary_rule(&self, route: Route) -> CanaryRule {
        let of_route = match route {
            Direct => CanaryRule::Exact,
            Transcoded => CanaryRule::Floor,
            Reprefilled | Replayed => CanaryRule::Reported,
        };
        self.canary.max(of_route)
    }

    /// Whether what is saved or the cache here is rounded so much that its loss has to be allowed for.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.canary == CanaryRule::Lossy
    }

    /// Whether the model here is the one that the session was saved with, in all that its logits depend on but for kernels
    /// and the types of its cache.
    #[must_use]
    pub fn is_same_model(&self) -> bool {
        self.canary < CanaryRule::Reported
    }
}

fn canary_rule(difference: &Difference) -> Option<CanaryRule> {
    (difference.consequence != Consequence::Same).then_some(difference.canary)
}

fn too_long(situation: &LoadSituation<'_>) -> Difference {
    Difference {
        axis: Axis::ContextLength,
        saved: format!("{} tokens", situation.tokens),
        here: format!("room for {}", situation.n_ctx),
        consequence: Consequence::Refuse,
        reason: "the session does not fit".to_owned(),
        canary: CanaryRule::Exact,
    }
}

/// The image's state where it is to blame alone.
fn image_code(image: ImageStatus) -> Option<RefusalCode> {
    match image {
        ImageStatus::Present | ImageStatus::Opaque => None,
        ImageStatus::Missing => Some(RefusalCode::ImageMissing),
        ImageStatus::Damaged => Some(RefusalCode::ImageDamaged),
        ImageStatus::None => Some(RefusalCode::ImageAbsent),
    }
}

fn refusal(situation: &LoadSituation<'_>) -> Refusal {
    let blamed = blamed(situation);
    if let Some(first) = blamed.first() {
        let harmless = situation.differences.iter().filter(|difference| {
            difference.consequence == Consequence::Harmless && difference.axis != Axis::SavedAt
        });
        return Refusal::of_differences(first.axis.refusal_code(), blamed, harmless.cloned().collect());
    }
    let allowed: Vec<_> = situation.policy.routes().map(Route::as_str).collect();
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    let code = image_code(situation.image).unwrap_or(RefusalCode::PolicyForbids);
    Refusal::new(code, format!("{}, and the routes allowed are: {allowed}", code.summary()))
}

/// Every axis that costs a route, the gravest first.
fn blamed(situation: &LoadSituation<'_>) -> Vec<Difference> {
    let grave =
        situation.differences.iter().filter(|difference| difference.consequence > Consequence::Harmless);
    let mut blamed: Vec<_> = grave.cloned().collect();
    blamed.sort_by_key(|difference| std::cmp::Reverse(difference.consequence));
    blamed
}

fn because(situation: &LoadSituation<'_>) -> String {
    let mut reasons: Vec<_> = blamed(situation).iter().map(Difference::to_string).collect();
    reasons.extend(image_code(situation.image).map(|code| code.summary().to_owned()));
    if situation.lossy && situation.policy.allows(Transcoded) && !situation.policy.allows_loss() {
        reasons.push("the load policy forbids transcoding with a loss".to_owned());
    }
    if reasons.is_empty() {
        reasons.push("the load policy forbids the better routes".to_owned());
    }
    reasons.join("\n")
}
