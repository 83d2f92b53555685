//! The canary: what the model said at the saved point, to prove a restore.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::noise::Noise;
use crate::token::{Position, Token};

/// The logits that evaluating the last token of a session alone gave. The KV image ends before that token, so a load
/// has to evaluate it anyway and can compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The last token of the session.
    pub token: Token,
    /// Its position.
    pub position: Position,
    /// Number of logits that the model gave.
    pub n_vocab: u32,
    /// The greatest logits with their tokens, greatest first; of equal ones the smaller token first.
    pub top_k: Vec<TopLogit>,
    /// Natural logarithm of the sum of the exponentials of all logits.
    pub logsumexp: f32,
}

/// A token and its logit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopLogit {
    /// The token.
    pub token: Token,
    /// Its logit.
    pub logit: f32,
}

/// How far the logits of a load are from those of the canary. Infinite where they cannot be compared: another
/// vocabulary size, or a logit that is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanaryDistance {
    /// Greatest absolute difference of a logit among the saved ones.
    pub max_abs: f32,
    /// Greatest absolute difference of a log-probability among the saved ones.
    pub max_logprob: f32,
    /// Kullback-Leibler divergence of the load from the canary in nats, all tokens that were not saved taken as one.
    pub kl: f32,
    /// Whether the likeliest token is the same.
    pub same_top1: bool,
}

/// How close the logits of a load must be, from most to least strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryRule {
    /// Bit for bit: the same machine, release and settings.
    Exact,
    /// Within the noise of other kernels or batch shapes.
    Floor,
    /// Within the loss of a quantized cache.
    Lossy,
    /// The session is right by how it came about, or of another model: the distance is reported and not judged.
    Reported,
}

/// What the logits of a load say of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is the one that was saved.
    Shown,
    /// They are further off than noise, which other kernels, a conversion or another session may all explain: another
    /// witness has to say which.
    Open,
    /// It is not the one that was saved.
    Refuted,
}

impl Canary {
    /// Logits that are kept.
    pub const TOP_K: usize = 32;

    /// The canary of the token at `position`, whose evaluation gave `logits`: one for each token of the vocabulary.
    /// None where a logit is not a number, or infinite among the greatest: such a model proves nothing.
    #[must_use]
    pub fn of(token: Token, position: Position, logits: &[f32]) -> Option<Self> {
        let n_vocab = u32::try_from(logits.len()).ok()?;
        let mut order: Vec<usize> = (0..logits.len()).collect();
        let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if order.len() > Self::TOP_K {
            order.select_nth_unstable_by(Self::TOP_K - 1, by_logit);
            order.truncate(Self::TOP_K);
        }
        order.sort_unstable_by(by_logit);
        let top_k = order
            .into_iter()
            .map(|at| Some(TopLogit { token: Token(i32::try_from(at).ok()?), logit: logits[at] }))
            .collect::<Option<Vec<_>>>()?;
        let sum = logsumexp(logits);
        let sound = sum.is_finite() && top_k.iter().all(|top| top.logit.is_finite());
        #[expect(clippy::cast_possible_truncation, reason = "as precise as the logits")]
        let logsumexp = sum as f32;
        sound.then_some(Self { token, position, n_vocab, top_k, logsumexp })
    }

    /// How far `got`, one logit for each token of the vocabulary, is from this canary.
    #[must_use]
    pub fn distance(&self, got: &[f32]) -> CanaryDistance {
        let sum = logsumexp(got);
        let comparable = got.len() == self.n_vocab as usize && sum.is_finite();
        if comparable { self.measured(got, sum) } else { None }.unwrap_or(CanaryDistance::INCOMPARABLE)
    }

    #[expect(clippy::cast_possible_truncation, reason = "distances need no more than a float's precision")]
    fn measured(&self, got: &[f32], got_sum: f64) -> Option<CanaryDistance> {
        let saved_sum = f64::from(self.logsumexp);
        let mut distance = CanaryDistance { max_abs: 0.0, max_logprob: 0.0, kl: 0.0, same_top1: false };
        let (mut kl, mut saved_mass, mut got_mass) = (0.0, 0.0, 0.0);
        for top in &self.top_k {
            let logit = *got.get(usize::try_from(top.token.0).ok()?)?;
            let (saved_log, got_log) = (f64::from(top.logit) - saved_sum, f64::from(logit) - got_sum);
            distance.max_abs = distance.max_abs.max((top.logit - logit).abs());
            // Equal logits may differ here in the rounding of the saved sum alone.
            distance.max_logprob = distance.max_logprob.max((saved_log - got_log).abs() as f32);
            if saved_log.exp() > 0.0 {
                kl += saved_log.exp() * (saved_log - got_log);
            }
            saved_mass += saved_log.exp();
            got_mass += got_log.exp();
        }
        let rest = |mass: f64| (1.0 - mass).max(1e-12);
        kl += rest(saved_mass) * (rest(saved_mass) / rest(got_mass)).ln();
        distance.kl = kl.max(0.0) as f32;
        let top1 = self.top_k.first()?.token;
        let likeliest = (0..got.len()).max_by(|a, b| got[*a].total_cmp(&got[*b]).then(b.cmp(a)))?;
        distance.same_top1 = usize::try_from(top1.0).is_ok_and(|top1| top1 == likeliest);
        Some(distance)
    }
}

impl CanaryDistance {
    /// The distance of logits that cannot be compared.
    pub const INCOMPARABLE: Self =
        Self { max_abs: f32::INFINITY, max_logprob: f32::INFINITY, kl: f32::INFINITY, same_top1: false };
}

impl CanaryRule {
    /// What the logits of a load at this distance say, of a model that is so far from itself here; where that is not known,
    /// only equal logits show anything.
    #[must_use]
    pub fn standing(self, distance: &CanaryDistance, noise: Option<&Noise>) -> Standing {
        let within = |noise: &Noise| distance.kl <= noise.explains();
        match self {
            Self::Reported => Standing::Shown,
            _ if distance.max_abs == 0.0 => Standing::Shown,
            Self::Exact => Standing::Refuted,
            // What is no distribution over this vocabulary is not a matter of closeness.
            _ if !distance.kl.is_finite() => Standing::Refuted,
            Self::Floor | Self::Lossy if noise.is_some_and(within) => Standing::Shown,
            Self::Floor | Self::Lossy => Standing::Open,
        }
    }
}

impl fmt::Display for CanaryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "equal bit for bit",
            Self::Floor => {
                "within the noise of this model under other kernels, or K and V that it computes again"
            }
            Self::Lossy => {
                "within the loss of a quantized cache, shown by K and V that the model computes again"
            }
            Self::Reported => "reported only",
        })
    }
}

impl fmt::Display for CanaryDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top1 = if self.same_top1 { "same" } else { "another" };
        write!(
            f,
            "logits differ by up to {}, log-probabilities by up to {}, divergence {}, {top1} likeliest token",
            self.max_abs, self.max_logprob, self.kl
        )
    }
}

/// Not a number where a logit is none.
fn logsumexp(logits: &[f32]) -> f64 {
    if logits.iter().any(|logit| logit.is_nan()) {
        return f64::NAN;
    }
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !greatest.is_finite() {
        return f64::from(greatest);
    }
    let greatest = f64::from(greatest);
    greatest + logits.iter().map(|logit| (f64::from(*logit) - greatest).exp()).sum::<f64>().ln()
}
