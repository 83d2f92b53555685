//! How far apart what two sessions say is.

use crate::desk::Rows;

/// Mean Kullback-Leibler divergence in nats over all rows.
pub(crate) fn divergence(truth: &Rows, found: &Rows) -> f64 {
    assert_eq!(truth.len(), found.len());
    let sum: f64 = truth.iter().zip(found).map(|(truth, found)| row(truth, found)).sum();
    sum / truth.len() as f64
}

fn row(truth: &[f32], found: &[f32]) -> f64 {
    let (truth, found) = (log_probabilities(truth), log_probabilities(found));
    truth.iter().zip(found).map(|(truth, found)| truth.exp() * (truth - found)).sum::<f64>().max(0.0)
}

fn log_probabilities(logits: &[f32]) -> Vec<f64> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits.iter().map(|logit| f64::from(logit - greatest)).collect();
    let sum = shifted.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    shifted.into_iter().map(|logit| logit - sum).collect()
}
