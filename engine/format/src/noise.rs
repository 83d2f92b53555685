//! How far a model is from itself: the scale on which every other distance is read.

mod cache;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cache::{NoiseCache, NoiseKey};

/// What the same tokens give when they are evaluated in another shape of batches, or by the other attention kernel, on the
/// same machine and with the same kind of cache. No restore can be asked to be closer than that, unless it is asked to be equal bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Positions that were compared.
    pub positions: u32,
    /// Greatest Kullback-Leibler divergence of one position in nats, measured as a canary's is.
    pub kl: f32,
    /// Greatest absolute difference of a log-probability among the likeliest tokens of one position.
    pub logprob: f32,
    /// Normalised mean squared error of K over the cells of these positions; none where the memory is not understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<f32>,
    /// The same of V.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<f32>,
}

impl Noise {
    /// So many times the greatest divergence that was measured is still noise: the greatest of a few positions is seldom the
    /// greatest there is.
    pub const TIMES: f32 = 4.0;
    /// Divergence that rounding alone can give, where none was measured: the canary keeps floats.
    pub const GRAIN: f32 = 1e-5;
    /// So many times the measured error of K and V is still noise.
    pub const TIMES_CELLS: f32 = 8.0;
    /// Beyond so many times the measured divergence, and beyond [`Self::FAR`], no noise explains what a model says after the
    /// same tokens.
    pub const TIMES_FAR: f32 = 30.0;
    /// See [`Self::TIMES_FAR`].
    pub const FAR: f32 = 0.5;

    /// Greatest divergence that this noise explains.
    #[must_use]
    pub fn explains(&self) -> f32 {
        Self::TIMES * self.kl.max(Self::GRAIN)
    }

    /// Divergence beyond which the same weights do not say the same after the same tokens, whatever the kernels.
    #[must_use]
    pub fn far(&self) -> f32 {
        (Self::TIMES_FAR * self.kl).max(Self::FAR)
    }

    /// The greater of two in every figure, for a comparison between two sides of which each has its own.
    #[must_use]
    pub fn greater(self, other: Self) -> Self {
        let greater = |one: Option<f32>, other: Option<f32>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        Self {
            positions: self.positions.min(other.positions),
            kl: self.kl.max(other.kl),
            logprob: self.logprob.max(other.logprob),
            keys: greater(self.keys, other.keys),
            values: greater(self.values, other.values),
        }
    }

    /// The greater error of K and V; 0 where neither was measured.
    #[must_use]
    pub fn cells(self) -> f32 {
        self.keys.unwrap_or(0.0).max(self.values.unwrap_or(0.0))
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "over {} positions in other batches and by another attention kernel this model diverges from itself by up to {:.1e}",
            self.positions, self.kl
        )?;
        match (self.keys, self.values) {
            (Some(keys), Some(values)) => write!(f, ", its K by {keys:.1e} and V by {values:.1e}"),
            (Some(keys), None) => write!(f, ", its K by {keys:.1e}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_of_two_is_greater_in_every_figure_and_over_the_fewer_positions() {
        let one = Noise { positions: 16, kl: 1e-3, logprob: 0.1, keys: Some(1e-4), values: None };
        let other = Noise { positions: 8, kl: 1e-5, logprob: 0.2, keys: Some(1e-3), values: Some(2e-3) };
        let both = Noise { positions: 8, kl: 1e-3, logprob: 0.2, keys: Some(1e-3), values: Some(2e-3) };
        assert_eq!(one.greater(other), both);
        assert_eq!(other.greater(one), both);
        assert_eq!(both.cells(), 2e-3);
    }
}
