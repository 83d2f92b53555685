//! How far two sets of logits are apart.

use intact_protocol::{Logits, Oracle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Distances of observed logits from a reference, over all rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Every logit has the reference's bits, and none is NaN.
    pub bit_equal: bool,
    /// Normalised mean square error: Σ(observed − control)² ⁄ Σ control². NaN where a logit is not finite.
    pub nmse: f64,
    /// Mean over the rows of the Kullback-Leibler divergence of the observed from the reference's distribution, in
    /// nats. NaN where a logit is not finite.
    pub kl: f64,
    /// Share of rows whose largest logit is at the reference's token, near-ties left aside.
    pub top1_agreement: f64,
    /// The largest difference of a logit. NaN where one is not finite.
    pub largest: f64,
}

impl Distance {
    /// Measures. `None` where the matrices are not of one shape or one meaning, or have no rows. Of greedy tokens only
    /// the agreement can be measured: the other distances are 0.
    #[must_use]
    pub fn between(reference: &Logits, observed: &Logits) -> Option<Self> {
        Self::between_with(reference, observed, 0.0)
    }

    /// The same by the weaker of both oracles: another system may tell less of what it computes.
    #[must_use]
    pub fn by_the_weaker(reference: &Logits, observed: &Logits) -> Option<Self> {
        if reference.oracle() == observed.oracle() {
            return Self::between(reference, observed);
        }
        let reference = weakened(reference.clone(), observed.oracle());
        Self::between(&reference, &weakened(observed.clone(), reference.oracle()))
    }

    /// The same, where a row counts as a near-tie whose two largest logits in the reference are no farther apart than
    /// `near`: which of them is the larger one is no agreement and no disagreement.
    #[must_use]
    pub fn between_with(reference: &Logits, observed: &Logits, near: f64) -> Option<Self> {
        let rows = reference.rows().len();
        let alike = reference.n_vocab() == observed.n_vocab() && reference.oracle() == observed.oracle();
        if rows == 0 || rows != observed.rows().len() || !alike {
            return None;
        }
        let mut bit_equal = true;
        let (mut square_error, mut square, mut kl, mut agreeing) = (0.0, 0.0, 0.0, 0u32);
        let mut largest = 0.0f64;
        for (reference, observed) in reference.rows().zip(observed.rows()) {
            for (&c, &o) in reference.iter().zip(observed) {
                bit_equal &= c.to_bits() == o.to_bits() && !c.is_nan();
                let (c, o) = (f64::from(c), f64::from(o));
                square_error += (o - c) * (o - c);
                square += c * c;
                // A number that is none stays: `max` would pass it over.
                let off = (o - c).abs();
                largest = if off > largest || off.is_nan() { off } else { largest };
            }
            kl += divergence(reference, observed);
            let same = top(reference).is_some() && top(reference) == top(observed);
            agreeing += u32::from(same || top(observed).is_some() && margin(reference) <= near && near > 0.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of rows is far below 2^52")]
        let count = rows as f64;
        let nmse = if square_error == 0.0 { 0.0 } else { square_error / square };
        let nmse = if nmse.is_finite() { nmse } else { f64::NAN };
        let top1_agreement = f64::from(agreeing) / count;
        if reference.oracle() == Oracle::Greedy {
            return Some(Self { bit_equal, nmse: 0.0, kl: 0.0, top1_agreement, largest: 0.0 });
        }
        let largest = if largest.is_finite() { largest } else { f64::NAN };
        Some(Self { bit_equal, nmse, kl: kl / count, top1_agreement, largest })
    }
}

/// Normalised mean square error of each row, as [`Distance::nmse`] is of all; empty where they cannot be compared.
#[must_use]
pub fn by_position(reference: &Logits, observed: &Logits) -> Vec<f64> {
    let rows = || reference.rows().zip(observed.rows());
    if reference.rows().len() != observed.rows().len() || reference.n_vocab() != observed.n_vocab() {
        return Vec::new();
    }
    let square = |value: f64| value * value;
    rows()
        .map(|(reference, observed)| {
            let error: f64 =
                reference.iter().zip(observed).map(|(&c, &o)| square(f64::from(o) - f64::from(c))).sum();
            let all: f64 = reference.iter().map(|&c| square(f64::from(c))).sum();
            if error == 0.0 { 0.0 } else { error / all }
        })
        .collect()
}

/// The rows as a weaker oracle shows them; as they are where it is no weaker one.
#[must_use]
pub fn weakened(logits: Logits, oracle: Oracle) -> Logits {
    let weaker: fn(&[f32]) -> Vec<f32> = match oracle {
        _ if oracle <= logits.oracle() => return logits,
        Oracle::Greedy => greedy,
        Oracle::Logits | Oracle::Probabilities => log_probabilities,
    };
    let mut weakened = Logits::new(logits.n_vocab());
    logits.rows().for_each(|row| weakened.push(&weaker(row)));
    weakened.meaning(oracle)
}

fn greedy(row: &[f32]) -> Vec<f32> {
    let top = top(row);
    (0..row.len()).map(|token| f32::from(u8::from(Some(token) == top))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "rows are f32")]
fn log_probabilities(row: &[f32]) -> Vec<f32> {
    let normaliser = log_normaliser(row);
    row.iter().map(|&logit| (f64::from(logit) - normaliser) as f32).collect()
}

/// Whether every logit is a finite number.
#[must_use]
pub fn is_finite(logits: &Logits) -> bool {
    logits.rows().flatten().all(|logit| logit.is_finite())
}

/// KL(control ‖ observed) of two rows' softmaxes, in nats; never below 0.
fn divergence(reference: &[f32], observed: &[f32]) -> f64 {
    let (log_control, log_observed) = (log_normaliser(reference), log_normaliser(observed));
    let sum: f64 = reference
        .iter()
        .zip(observed)
        .map(|(&c, &o)| {
            let (log_p, log_q) = (f64::from(c) - log_control, f64::from(o) - log_observed);
            log_p.exp() * (log_p - log_q)
        })
        .sum();
    if sum.is_nan() { sum } else { sum.max(0.0) }
}

/// log Σ exp, computed around the largest logit.
fn log_normaliser(row: &[f32]) -> f64 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let largest = f64::from(largest);
    largest + row.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum::<f64>().ln()
}

/// How far the largest logit is above the second largest; 0 where a logit is NaN.
fn margin(row: &[f32]) -> f64 {
    let Some(top) = top(row) else { return 0.0 };
    let others = row.iter().enumerate().filter(|(token, _)| *token != top).map(|(_, &logit)| logit);
    f64::from(row[top]) - f64::from(others.fold(f32::NEG_INFINITY, f32::max))
}

/// The token of the largest logit; `None` where a logit is NaN.
fn top(row: &[f32]) -> Option<usize> {
    if row.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let better = |best: (usize, f32), (token, &logit): (usize, &f32)| {
        if logit > best.1 { (token, logit) } else { best }
    };
    let first = (0, *row.first()?);
    Some(row.iter().enumerate().fold(first, better).0)
}

/// A distance from the reference; `None` for what is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Every logit has the reference's bits.
    pub bit_equal: bool,
    /// Normalised mean square error.
    pub nmse: Option<f64>,
    /// Mean Kullback-Leibler divergence, in nats.
    pub kl: Option<f64>,
    /// Share of rows with the reference's greedy token, near-ties left aside.
    pub top1_agreement: f64,
    /// The largest difference of a logit.
    #[serde(default)]
    pub largest: Option<f64>,
}

impl From<Distance> for Measured {
    fn from(distance: Distance) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            bit_equal: distance.bit_equal,
            nmse: finite(distance.nmse),
            kl: finite(distance.kl),
            top1_agreement: distance.top1_agreement,
            largest: finite(distance.largest),
        }
    }
}

impl From<Measured> for Distance {
    fn from(measured: Measured) -> Self {
        Self {
            bit_equal: measured.bit_equal,
            nmse: measured.nmse.unwrap_or(f64::NAN),
            kl: measured.kl.unwrap_or(f64::NAN),
            top1_agreement: measured.top1_agreement,
            largest: measured.largest.unwrap_or(f64::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logits(rows: &[[f32; 3]]) -> Logits {
        let mut logits = Logits::new(3);
        rows.iter().for_each(|row| logits.push(row));
        logits
    }

    #[test]
    fn distances_are_those_worked_out_by_hand() {
        let reference = logits(&[[1.0, 2.0, 2.0], [0.0, 0.0, 3.0]]);
        let observed = logits(&[[1.0, 2.0, 2.0], [0.0, 3.0, 0.0]]);
        let distance = Distance::between(&reference, &observed).expect("same shape");
        // Σ(o-c)² = 9 + 9, Σc² = 1 + 4 + 4 + 9.
        assert_eq!(distance.nmse, 1.0);
        assert_eq!(distance.top1_agreement, 0.5);
        assert!(!distance.bit_equal);
        // Row 1: p = (e³/(2+e³)), q has it at another token: KL = (p₃ - p₁) · 3, halved by the equal row 0.
        let e3 = 3f64.exp();
        assert!((distance.kl - (e3 - 1.0) / (e3 + 2.0) * 3.0 / 2.0).abs() < 1e-12, "{}", distance.kl);
    }

    #[test]
    fn which_of_two_near_equals_is_the_larger_one_says_nothing() {
        let reference = logits(&[[1.0, 2.0, 2.5], [0.0, 0.0, 3.0]]);
        let observed = logits(&[[1.0, 2.6, 2.5], [0.0, 0.0, 3.0]]);
        let agreement = |observed: &Logits, near| {
            Distance::between_with(&reference, observed, near).expect("same shape").top1_agreement
        };
        assert_eq!([0.0, 0.4, 0.5, 2.0].map(|near| agreement(&observed, near)), [0.5, 0.5, 1.0, 1.0]);
        let wrong = logits(&[[1.0, 2.6, 2.5], [5.0, 0.0, 3.0]]);
        assert_eq!(agreement(&wrong, 0.5), 0.5, "a clear choice counts");
        let broken = logits(&[[f32::NAN, 2.0, 2.5], [0.0, 0.0, 3.0]]);
        assert_eq!(agreement(&broken, 9.0), 0.5, "no choice agrees with nothing");
        let distance = Distance::between(&reference, &wrong).expect("same shape");
        assert_eq!(distance.largest, 5.0);
        assert!(Distance::between(&reference, &broken).expect("same shape").largest.is_nan());
    }

    #[test]
    fn each_position_has_the_distance_of_its_own_row() {
        let reference = logits(&[[1.0, 2.0, 2.0], [0.0, 0.0, 3.0]]);
        let observed = logits(&[[1.0, 2.0, 2.0], [0.0, 3.0, 0.0]]);
        assert_eq!(by_position(&reference, &observed), [0.0, 2.0]);
        assert_eq!(by_position(&reference, &logits(&[[0.0; 3]])), [0.0; 0]);
    }

    #[test]
    fn a_nan_equals_nothing_not_even_itself() {
        let broken = logits(&[[f32::NAN, 1.0, 2.0]]);
        let distance = Distance::between(&broken, &broken).expect("same shape");
        assert!(!distance.bit_equal && distance.nmse.is_nan() && distance.kl.is_nan());
        assert_eq!(distance.top1_agreement, 0.0);
    }

    #[test]
    fn another_shape_cannot_be_compared() {
        assert_eq!(Distance::between(&logits(&[[0.0; 3]]), &logits(&[[0.0; 3], [0.0; 3]])), None);
        assert_eq!(Distance::between(&logits(&[]), &logits(&[])), None);
        let mut wide = Logits::new(4);
        wide.push(&[0.0; 4]);
        assert_eq!(Distance::between(&logits(&[[0.0; 3]]), &wide), None);
    }

    #[test]
    fn rows_can_be_shown_as_a_weaker_oracle_and_never_as_a_stronger_one() {
        let strong = logits(&[[1.0, 2.0, 2.5], [9.0, 0.0, 3.0]]);
        let probabilities = weakened(strong.clone(), Oracle::Probabilities);
        for row in probabilities.rows() {
            let sum: f64 = row.iter().map(|&logarithm| f64::from(logarithm).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{row:?}");
        }
        for weak in [strong.clone(), probabilities.clone()] {
            let greedy = weakened(weak, Oracle::Greedy);
            assert_eq!(greedy.oracle(), Oracle::Greedy);
            assert_eq!(greedy.rows().collect::<Vec<_>>(), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
        }
        assert_eq!(weakened(strong.clone(), Oracle::Logits), strong);
        assert_eq!(weakened(probabilities.clone(), Oracle::Logits), probabilities);
    }

    proptest! {
        #[test]
        fn a_distance_from_itself_is_zero_and_from_others_is_not_negative(
            a in prop::collection::vec(prop::array::uniform3(-30f32..30.0), 1..5),
            b in prop::collection::vec(prop::array::uniform3(-30f32..30.0), 5),
        ) {
            let reference = logits(&a);
            let same = Distance::between(&reference, &reference).expect("same shape");
            prop_assert!(same.bit_equal && same.nmse == 0.0 && same.kl == 0.0 && same.top1_agreement == 1.0);
            let other = Distance::between(&reference, &logits(&b[..a.len()])).expect("same shape");
            prop_assert!(other.kl >= 0.0 && (0.0..=1.0).contains(&other.top1_agreement));
            prop_assert!(other.nmse.is_nan() || other.nmse >= 0.0);
        }
    }
}
