//! Candidate measures of how far a restored session is from what the model itself gives.

use intact_format::layout::{Attention, Matrix, Section, State};
use intact_protocol::Logits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StudyError;

/// A measure: how it is named, and below which figure it means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// K and V of the first layer: attention is no part of them. The greater error of both.
    FirstLayer,
    /// K in the layer where it is furthest.
    WorstK,
    /// V in the layer where it is furthest.
    WorstV,
    /// K, the mean over the layers.
    MeanK,
    /// V, the mean over the layers.
    MeanV,
    /// The K or V of one cell in one layer, where it is furthest.
    WorstRow,
    /// Every layer in units of its own noise, where it is furthest.
    TimesNoise,
    /// KL after the last token.
    KlOne,
    /// The largest KL of all positions.
    KlMax,
    /// The mean KL.
    KlMean,
    /// Positions with another likeliest token.
    Top1,
    /// The largest difference of a log-probability among the likeliest tokens after the last one.
    LogProbability,
}

impl Measure {
    /// Every measure, cells before logits.
    pub const ALL: [Self; 12] = [
        Self::FirstLayer,
        Self::WorstK,
        Self::WorstV,
        Self::MeanK,
        Self::MeanV,
        Self::WorstRow,
        Self::TimesNoise,
        Self::KlOne,
        Self::KlMax,
        Self::KlMean,
        Self::Top1,
        Self::LogProbability,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstLayer => "K, V of the first layer",
            Self::WorstK => "K, worst layer",
            Self::WorstV => "V, worst layer",
            Self::MeanK => "K, mean of layers",
            Self::MeanV => "V, mean of layers",
            Self::WorstRow => "K, V, worst single row",
            Self::TimesNoise => "K, V in units of the layer's noise",
            Self::KlOne => "KL, one position",
            Self::KlMax => "KL, largest of 17",
            Self::KlMean => "KL, mean of 17",
            Self::Top1 => "another likeliest token",
            Self::LogProbability => "log-probability, of the 32 likeliest",
        }
    }

    /// What is smaller is nothing: two right figures of 0 do not part from a wrong one by an infinite factor.
    pub(super) const fn resolution(self) -> f64 {
        match self {
            Self::FirstLayer | Self::WorstK | Self::WorstV | Self::MeanK | Self::MeanV | Self::WorstRow => {
                1e-7
            }
            Self::KlOne | Self::KlMax | Self::KlMean => 1e-7,
            Self::TimesNoise => 1.0,
            Self::Top1 => 1.0 / 17.0,
            Self::LogProbability => 1e-3,
        }
    }
}

/// Normalised mean squared errors of the layers, cache by cache.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Layers {
    /// K of each layer of each cache.
    pub(super) keys: Vec<Vec<f64>>,
    /// The same of V.
    pub(super) values: Vec<Vec<f64>>,
    worst_row: f64,
}

impl Layers {
    /// How far the cells that both states hold are apart, in units of what the reader itself gives.
    pub(super) fn between(restored: &State<'_>, own: &State<'_>) -> Result<Self, StudyError> {
        let mut layers = Self::default();
        for (restored, own) in restored.sections.iter().zip(&own.sections) {
            if let (Section::Attention(restored), Section::Attention(own)) = (restored, own) {
                layers.add(restored, own)?;
            }
        }
        Ok(layers)
    }

    fn add(&mut self, restored: &Attention<'_>, own: &Attention<'_>) -> Result<(), StudyError> {
        let (restored, own) = (restored.plain()?, own.plain()?);
        let there = |position| own.cells.iter().position(|cell| cell.position == position);
        let pairs: Vec<(usize, usize)> = restored
            .cells
            .iter()
            .enumerate()
            .filter_map(|(here, cell)| Some((here, there(cell.position)?)))
            .collect();
        let mut worst_row = self.worst_row;
        let mut errors = |restored: &[Matrix<'_>], own: &[Matrix<'_>]| -> Vec<f64> {
            restored
                .iter()
                .zip(own)
                .map(|(restored, own)| {
                    let rows = pairs.iter().map(|pair| restored.apart(own, &[*pair]).nmse());
                    worst_row = rows.fold(worst_row, f64::max);
                    restored.apart(own, &pairs).nmse()
                })
                .collect()
        };
        let keys = errors(&restored.keys, &own.keys);
        let values = errors(&restored.values, &own.values);
        self.keys.push(keys);
        self.values.push(values);
        self.worst_row = worst_row;
        Ok(())
    }

    /// The greater figure of both, layer by layer.
    pub(super) fn or(&self, other: &Self) -> Self {
        let both = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let pair = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a.max(*b)).collect();
            a.iter().zip(b).map(pair).collect()
        };
        if self.keys.is_empty() {
            return other.clone();
        }
        Self {
            keys: both(&self.keys, &other.keys),
            values: both(&self.values, &other.values),
            worst_row: self.worst_row.max(other.worst_row),
        }
    }

    /// The measures of cells; `noise` is what each layer's is by itself.
    pub(super) fn measures(&self, noise: &Self) -> Vec<(Measure, f64)> {
        let worst = |caches: &[Vec<f64>]| caches.iter().flatten().copied().fold(0.0, f64::max);
        let mean = |caches: &[Vec<f64>]| {
            let count = caches.iter().map(Vec::len).sum::<usize>().max(1);
            caches.iter().flatten().sum::<f64>() / count as f64
        };
        // A cache of windows and one of all cells share the layers out: the one that has the first has the smaller error.
        let first = |caches: &[Vec<f64>]| {
            caches.iter().filter_map(|cache| cache.first().copied()).fold(f64::NAN, f64::min)
        };
        let times = |caches: &[Vec<f64>], noise: &[Vec<f64>]| {
            let pairs = caches.iter().flatten().zip(noise.iter().flatten());
            pairs.map(|(error, noise)| error / noise.max(Measure::WorstK.resolution())).fold(0.0, f64::max)
        };
        vec![
            (Measure::FirstLayer, first(&self.keys).max(first(&self.values))),
            (Measure::WorstK, worst(&self.keys)),
            (Measure::WorstV, worst(&self.values)),
            (Measure::MeanK, mean(&self.keys)),
            (Measure::MeanV, mean(&self.values)),
            (Measure::WorstRow, self.worst_row),
            (Measure::TimesNoise, times(&self.keys, &noise.keys).max(times(&self.values, &noise.values))),
        ]
    }
}

/// Likeliest tokens whose log-probabilities are compared.
const LIKELIEST: usize = 32;

/// The measures of logits: what was said by who saved, and by who restored.
pub(super) fn of_logits(before: &Logits, after: &Logits) -> Vec<(Measure, f64)> {
    let mut divergences = Vec::new();
    let mut differing = 0_u32;
    let mut largest = 0.0;
    for (before, after) in before.rows().zip(after.rows()) {
        let (before, after) = (log_probabilities(before), log_probabilities(after));
        let terms = before.iter().zip(&after).map(|(before, after)| before.exp() * (before - after));
        if divergences.is_empty() {
            let mut order: Vec<usize> = (0..before.len()).collect();
            order.sort_by(|a, b| before[*b].total_cmp(&before[*a]));
            let differences =
                order.iter().take(LIKELIEST).map(|token| (before[*token] - after[*token]).abs());
            largest = differences.fold(0.0, f64::max);
        }
        divergences.push(terms.sum::<f64>().max(0.0));
        differing += u32::from(top(&before) != top(&after));
    }
    let count = divergences.len().max(1) as f64;
    vec![
        (Measure::KlOne, divergences.first().copied().unwrap_or_default()),
        (Measure::KlMax, divergences.iter().copied().fold(0.0, f64::max)),
        (Measure::KlMean, divergences.iter().sum::<f64>() / count),
        (Measure::Top1, f64::from(differing) / count),
        (Measure::LogProbability, largest),
    ]
}

fn log_probabilities(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    row.iter().map(|logit| f64::from(logit - largest) - sum.ln()).collect()
}

fn top(row: &[f64]) -> Option<usize> {
    row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(token, _)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(rows: &[[f32; 3]]) -> Logits {
        let mut logits = Logits::new(3);
        rows.iter().for_each(|row| logits.push(row));
        logits
    }

    #[test]
    fn logits_that_are_the_same_are_at_no_distance_and_others_at_the_one_worked_out_by_hand() {
        let before = logits(&[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        assert!(of_logits(&before, &before).iter().all(|(_, figure)| *figure == 0.0));
        let after = logits(&[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
        let found: std::collections::BTreeMap<Measure, f64> =
            of_logits(&before, &after).into_iter().collect();
        // e = exp 1: p puts e/(2+e) on one token and q on another: KL = (e-1)/(2+e).
        let divergence = (1f64.exp() - 1.0) / (2.0 + 1f64.exp());
        assert!((found[&Measure::KlMax] - divergence).abs() < 1e-12, "{found:?}");
        assert!((found[&Measure::KlMean] - divergence / 2.0).abs() < 1e-12, "{found:?}");
        assert_eq!((found[&Measure::KlOne], found[&Measure::Top1]), (0.0, 0.5));
    }

    #[test]
    fn a_layer_counts_in_units_of_its_own_noise() {
        let layers =
            |keys: [f64; 2]| Layers { keys: vec![keys.to_vec()], values: vec![vec![0.0; 2]], worst_row: 0.0 };
        let noise = layers([1e-6, 1e-3]);
        let found: std::collections::BTreeMap<Measure, f64> =
            layers([1e-4, 2e-3]).measures(&noise).into_iter().collect();
        assert!((found[&Measure::TimesNoise] - 100.0).abs() < 1e-9, "{found:?}");
        assert_eq!((found[&Measure::FirstLayer], found[&Measure::WorstK]), (1e-4, 2e-3));
    }
}
