//! The floor: how far sessions are apart that were never saved. A restored one may be as far off, too.

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
    /// The largest difference of a logit: two that are nearer to each other in the control are a near-tie.
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
