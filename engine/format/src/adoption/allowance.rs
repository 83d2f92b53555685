//! How far K and V of the right session may be from what the model computes for the same tokens.

use super::Apart;
use crate::kv_type::KvType;
use crate::layout::{Section, State};
use crate::noise::Noise;
use crate::route::{Refusal, RefusalCode};

/// Greatest errors of K and V that are no sign of another session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// In the first layer, where nothing has been attended to yet: only rounding to the types differs there.
    pub first: f64,
    /// In any layer: what comes before has gone through attention, and the noise of the model with it.
    pub any: f64,
}

/// What was done to a state on its way here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Both sides rounded the same numbers in the same way.
    Once,
    /// What was rounded to one type was rounded to another one, or turned and rounded again.
    Again,
}

/// Errors by the coarsest type: `(type, first layer, any layer, first and any layer where it was rounded again)`. For floats
/// they are the ones that llama.cpp's own save and load test allows. Quantized numbers may fall on the next step, on both
/// sides. Measured on SmolLM2 135M: rounded again to q8_0 1.4e-4 in the first layer and 3.2e-3 in the worst; to q4_0 3.5e-2
/// and 0.16. A rotation that is taken for none gives 2, other cells 0.6 to 4.
const BY_TYPE: [(KvType, [f64; 4]); 5] = [
    (KvType::F32, [1e-5, 1e-5, 1e-5, 1e-5]),
    (KvType::F16, [1e-5, 1e-5, 1e-5, 1e-5]),
    (KvType::Bf16, [1e-4, 1e-4, 1e-4, 1e-4]),
    (KvType::Q8_0, [1e-3, 1e-3, 1e-3, 5e-3]),
    (KvType::Q4_0, [5e-2, 5e-2, 1e-1, 5e-1]),
];

impl Allowance {
    /// What the coarsest of some types and the measured noise of the model account for.
    ///
    /// # Errors
    /// A [`Refusal`] where a type has no numbers that could be compared.
    pub fn of(
        types: impl IntoIterator<Item = KvType>,
        rounding: Rounding,
        noise: Option<&Noise>,
    ) -> Result<Self, Refusal> {
        let of_noise = noise.map_or(0.0, |noise| f64::from(Noise::TIMES_CELLS) * f64::from(noise.cells()));
        let least = Self { first: BY_TYPE[0].1[0], any: BY_TYPE[0].1[1].max(of_noise) };
        types.into_iter().try_fold(least, |most, kind| {
            let known = BY_TYPE.iter().find(|(known, _)| *known == kind);
            let (_, errors) = known.ok_or_else(|| incomparable(&kind))?;
            let [first, any] = match rounding {
                Rounding::Once => [errors[0], errors[1]],
                Rounding::Again => [errors[2], errors[3]],
            };
            Ok(Self { first: most.first.max(first), any: most.any.max(any) })
        })
    }

    /// Whether cells that are so far apart may be of one session. What is no number is not.
    #[must_use]
    pub fn admits(&self, apart: &Apart) -> bool {
        apart.first.unwrap_or(0.0) <= self.first && apart.worst() <= self.any
    }
}

/// The types of K and V in a state.
///
/// # Errors
/// A [`Refusal`] where one is none that caches have.
pub fn types(state: &State<'_>) -> Result<Vec<KvType>, Refusal> {
    let mut types = Vec::new();
    for section in &state.sections {
        let Section::Attention(cache) = section else { continue };
        for matrix in cache.keys.iter().chain(&cache.values) {
            let kind: KvType = matrix.kind.to_string().parse().map_err(|_| incomparable(&matrix.kind))?;
            if !types.contains(&kind) {
                types.push(kind);
            }
        }
    }
    Ok(types)
}

fn incomparable(kind: &dyn std::fmt::Display) -> Refusal {
    let detail = format!("K or V of type {kind} cannot be compared with others");
    Refusal::new(RefusalCode::KvTypeDiffers, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(first: f64, worst: f64) -> Apart {
        Apart { cells: 16, first: Some(first), keys: worst, values: worst / 2.0 }
    }

    #[test]
    fn what_was_measured_of_right_and_wrong_sessions_is_told_apart() {
        // A 4-bit model in another shape of batches, and one whose weights are off by 1 %.
        let noise = Noise { positions: 8, kl: 9e-3, logprob: 0.2, keys: Some(3.2e-4), values: Some(1.7e-3) };
        let cases = [
            (KvType::F16, Rounding::Once, apart(0.0, 1.8e-3), true),
            (KvType::F16, Rounding::Once, apart(6.3e-5, 4.1e-3), false),
            (KvType::Q8_0, Rounding::Again, apart(1.4e-4, 3.2e-3), true),
            (KvType::Q8_0, Rounding::Again, apart(2.0, 2.2), false),
            (KvType::Q4_0, Rounding::Again, apart(3.5e-2, 0.164), true),
            (KvType::Q4_0, Rounding::Again, apart(2.0, 2.2), false),
            (KvType::Q4_0, Rounding::Again, apart(0.0, 2.2), false),
        ];
        for (kind, rounding, apart, admitted) in cases {
            let allowance = Allowance::of([KvType::F16, kind], rounding, Some(&noise)).expect("known types");
            assert_eq!(allowance.admits(&apart), admitted, "{kind}: {apart:?} by {allowance:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_no_session() {
        let allowance = Allowance::of([KvType::F16], Rounding::Once, None).expect("a known type");
        assert!(!allowance.admits(&apart(f64::NAN, 0.0)) && !allowance.admits(&apart(0.0, f64::NAN)));
    }
}
