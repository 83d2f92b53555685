//! The statistics of a comparison: block by block, because measurements of one block share the fortunes of one moment.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::statistics::{Data, OrderStatistics};

/// Fewest blocks that an estimate can be made of.
pub const FEWEST_BLOCKS: usize = 5;

/// Standard error of a resample at least, as a share of that of the sample.
const SMALLEST_ERROR: f64 = 0.25;

/// How much slower the candidate is, with what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The candidate's time over the base's: 1.1 is a tenth slower.
    pub ratio: f64,
    /// Lower end of the confidence interval of the ratio.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// How likely a ratio this far from 1 would be if nothing had changed.
    pub p: f64,
    /// Blocks that it is made of.
    pub blocks: u32,
}

/// The median and the quartiles of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// How many figures.
    pub samples: u32,
    /// A quarter of them is below.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// A quarter of them is above.
    pub high: f64,
}

impl Spread {
    /// Of these figures; `None` of none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        if figures.is_empty() {
            return None;
        }
        let mut data = Data::new(figures.to_vec());
        let samples = u32::try_from(figures.len()).unwrap_or(u32::MAX);
        Some(Self { samples, low: data.lower_quartile(), median: data.median(), high: data.upper_quartile() })
    }
}

/// The median.
#[must_use]
pub fn median(figures: &[f64]) -> Option<f64> {
    Spread::of(figures).map(|spread| spread.median)
}

/// The logarithm of the ratio of two medians, as one block gives it. `None` without positive figures on both sides.
#[must_use]
pub fn log_ratio(base: &[f64], candidate: &[f64]) -> Option<f64> {
    let log = (median(candidate)? / median(base)?).ln();
    log.is_finite().then_some(log)
}

/// Estimates the ratio from the log ratios of the blocks, by resampling whole blocks: a studentized bootstrap, which
/// stays honest with few blocks, where plain percentiles are too sure of themselves.
///
/// `confidence` is that of the interval, such as 0.95. `None` of fewer than [`FEWEST_BLOCKS`].
#[must_use]
pub fn estimate(log_ratios: &[f64], confidence: f64, resamples: u32, seed: u64) -> Option<Estimate> {
    if log_ratios.len() < FEWEST_BLOCKS {
        return None;
    }
    let (mean, error) = mean_and_error(log_ratios.iter().copied());
    let t = studentized(mean, error);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut resampled: Vec<f64> = (0..resamples)
        .map(|_| {
            let draw = |_| log_ratios[random.random_range(0..log_ratios.len())];
            let drawn: Vec<f64> = (0..log_ratios.len()).map(draw).collect();
            let (drawn_mean, drawn_error) = mean_and_error(drawn.into_iter());
            // Resamples of almost equal blocks would divide by almost nothing.
            studentized(drawn_mean - mean, drawn_error.max(SMALLEST_ERROR * error))
        })
        .collect();
    let as_far = resampled.iter().filter(|drawn| drawn.abs() >= t.abs()).count();
    let p = if t == 0.0 { 1.0 } else { (as_far + 1) as f64 / (f64::from(resamples) + 1.0) };
    resampled.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let at = (share * (resampled.len() as f64 - 1.0)).round() as usize;
        resampled.get(at).copied().unwrap_or(0.0)
    };
    let tail = (1.0 - confidence) / 2.0;
    Some(Estimate {
        ratio: mean.exp(),
        low: (mean - quantile(1.0 - tail) * error).exp(),
        high: (mean - quantile(tail) * error).exp(),
        p,
        blocks: u32::try_from(log_ratios.len()).unwrap_or(u32::MAX),
    })
}

/// The mean, and its standard error.
fn mean_and_error(figures: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let count = figures.len() as f64;
    let mean = figures.clone().sum::<f64>() / count;
    let squares: f64 = figures.map(|figure| (figure - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

/// How many standard errors a mean is from zero. Rounding of equal figures is no spread.
fn studentized(mean: f64, error: f64) -> f64 {
    const ROUNDING: f64 = 1e-12;
    match (mean.abs() > ROUNDING, error > ROUNDING) {
        (false, _) => 0.0,
        (true, false) => mean.signum() * f64::INFINITY,
        (true, true) => mean / error,
    }
}

/// Holm's correction: p-values that hold for all tests at once, in the order given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max(p_values[at] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests;
