//! The floor: how far sessions are apart that were never saved. A restored one may be as far off, too.

use intact_matrix::{Level, Limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distance::Distance;

/// How far sessions are apart that were never saved, of one model under one or both sides' settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Normalised mean square error.
    pub nmse: f64,
    /// Mean Kullback-Leibler divergence, in nats.
    pub kl: f64,
    /// The largest difference of a logit: two that are nearer to each other in the reference are a near-tie.
    pub logit: f64,
}

impl Floor {
    /// What two sessions were apart. What is not a number is left out.
    #[must_use]
    pub fn of(distance: Distance) -> Self {
        Self::default().or(Self { nmse: distance.nmse, kl: distance.kl, logit: distance.largest })
    }

    /// The larger one in everything.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            nmse: self.nmse.max(other.nmse),
            kl: self.kl.max(other.kl),
            logit: self.logit.max(other.logit),
        }
    }
}

impl Distance {
    /// Whether it is inside a level, over this floor. NaN is inside nothing.
    #[must_use]
    pub fn is_within(&self, level: &Level, floor: Option<Floor>) -> bool {
        let allowed = |least: f64, measured: fn(Floor) -> f64| {
            floor.map_or(least, |floor| least.max(level.times * measured(floor)))
        };
        self.nmse <= allowed(level.nmse, |floor| floor.nmse)
            && self.kl <= allowed(level.kl, |floor| floor.kl)
            && self.top1_agreement >= level.top1_agreement
    }

    /// Whether it is inside limits without a floor. NaN is inside nothing.
    #[must_use]
    pub fn is_within_limits(&self, limits: &Limits) -> bool {
        self.nmse <= limits.nmse && self.kl <= limits.kl && self.top1_agreement >= limits.top1_agreement
    }
}
