//! When two sets of logits count as the same: multiples of what sessions differ by that were never saved.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When two sets of logits count as the same, each level with where its numbers come from.
///
/// From `equivalent` over `recomputed` to `usable`, and from `equivalent` over `unmeasured` to `usable`, no level may be
/// stricter than the one before it in anything.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Tokens that a load may evaluate and still count as a restore: the one held back for the canary.
    pub evaluations: u32,
    /// A declared loss: a session whose cells were converted to another type may be so many times as far from the
    /// reference as the reference is from the same session under the writer's settings.
    pub declared_loss: f64,
    /// What counts as `equivalent`, where something differs between the two sides.
    pub equivalent: Level,
    /// What a session that was evaluated again may differ by, because of other batch shapes.
    pub recomputed: Level,
    /// The same for a subject whose noise could not be measured.
    pub unmeasured: Limits,
    /// What is still usable: beyond it, a session is `corrupt`.
    pub usable: Level,
}

/// One level of closeness: all three must hold. The limits are the multiple of the measured noise floor, or these numbers where
/// they are larger.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// How many times the noise floor: how far sessions are apart that were never saved.
    pub times: f64,
    /// Largest normalised mean square error at least: no session is nearer to another one than by rounding.
    pub nmse: f64,
    /// Largest mean KL divergence at least, in nats.
    pub kl: f64,
    /// Smallest share of rows with the reference's greedy token, near-ties left aside.
    pub top1_agreement: f64,
    /// Where the numbers come from.
    pub source: String,
}

/// A level without a noise floor.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest normalised mean square error.
    pub nmse: f64,
    /// Largest mean KL divergence, in nats.
    pub kl: f64,
    /// Smallest share of rows with the reference's greedy token.
    pub top1_agreement: f64,
    /// Where the numbers come from.
    pub source: String,
}

impl Level {
    fn components(&self) -> [(&'static str, f64); 4] {
        // The share of agreement is turned over: more of all of them is laxer.
        [
            ("times", self.times),
            ("nmse", self.nmse),
            ("kl", self.kl),
            ("top1_agreement", -self.top1_agreement),
        ]
    }
}

impl Limits {
    fn components(&self) -> [(&'static str, f64); 3] {
        [("nmse", self.nmse), ("kl", self.kl), ("top1_agreement", -self.top1_agreement)]
    }
}

impl Thresholds {
    /// Why a session could get a better verdict for being farther off, if one could.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let chain = [
            ("equivalent", &self.equivalent.components()[..]),
            ("recomputed", &self.recomputed.components()[..]),
            ("usable", &self.usable.components()[..]),
        ];
        let beside = [
            ("equivalent", &self.equivalent.components()[1..]),
            ("unmeasured", &self.unmeasured.components()[..]),
            ("usable", &self.usable.components()[1..]),
        ];
        chain.windows(2).chain(beside.windows(2)).find_map(|pair| {
            let [(inner, strict), (outer, lax)] = pair else { return None };
            let turned = strict.iter().zip(*lax).find(|((_, strict), (_, lax))| strict.partial_cmp(lax).is_none_or(Ordering::is_gt))?;
            let ((name, strict), (_, lax)) = turned;
            Some(format!(
                "`thresholds.{outer}` is stricter than `thresholds.{inner}` in `{name}`: {} against {}. Whatever is \
                 {inner} must be within {outer} too",
                lax.abs(),
                strict.abs()
            ))
        })
    }
}
