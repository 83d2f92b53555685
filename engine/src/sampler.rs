//! How the next token is chosen: the sampler parameters as a list of llama.cpp's samplers, in llama.cpp's own order.
//!
//! # Restoring
//!
//! llama.cpp keeps the position of its random numbers, the window of the penalties and Mirostat's running surprise inside
//! the sampler, where none of it can be read. So nothing is kept there: **every reply gets a new sampler, which is a
//! function of the parameters, the session's seed and the session's tokens**. The seed of a reply is [`reply_seed`] of the
//! session's seed and the number of tokens before the reply; then all tokens of the session are accepted, oldest first,
//! which fills the windows of the penalties. A session that was saved and loaded has the same tokens and the same seed,
//! therefore the same samples, on every route that keeps the tokens. Mirostat starts each reply from its target, as
//! llama.cpp's server does for each request.
//!
//! Where the parameters ask for a random seed, [`session_seed`] draws one when the session starts; it is saved, so even
//! then a restored session goes on as the uninterrupted one would have.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher, RandomState};

use intact_format::parameters::SamplerParameters;

use crate::llama::Stage;

/// XTC does nothing above this threshold.
const XTC_MAX_THRESHOLD: f32 = 0.5;

/// What random numbers are drawn for, so that two samplers of one chain do not draw the same ones.
#[derive(Clone, Copy)]
enum Purpose {
    Choice,
    Xtc,
}

/// The samplers that `parameters` ask for, in the order in which they are applied. `seed` is the reply's seed, `n_ctx` the
/// context length in tokens, which is how far penalties look back where they shall look back all the way (-1).
///
/// A sampler whose parameter has its "off" value (-1, 0 or 1, see [`SamplerParameters`]) is left out. A temperature of
/// 0 or less takes the likeliest token; biases and penalties still count then, filters cannot matter. Mirostat replaces all
/// filters and penalties, as it does in llama.cpp.
#[must_use]
pub fn plan(parameters: &SamplerParameters, seed: u32, n_ctx: u32) -> Vec<Stage> {
    let window = |last_n: i32| if last_n < 0 { i32::try_from(n_ctx).unwrap_or(i32::MAX) } else { last_n };
    let random = parameters.temperature > 0.0;
    let mut stages = Vec::new();
    stages.extend(logit_bias(parameters));
    if random && parameters.mirostat != 0 {
        stages.push(temperature(parameters));
        stages.push(mirostat(parameters, purpose_seed(seed, Purpose::Choice)));
        return stages;
    }
    stages.extend(penalties(parameters, window(parameters.penalty_context_size)));
    stages.extend(dry(parameters, window(parameters.dry_penalty_last_n)));
    if !random {
        stages.push(Stage::Greedy);
        return stages;
    }
    stages.extend(filters(parameters));
    stages.extend(xtc(parameters, purpose_seed(seed, Purpose::Xtc)));
    stages.push(temperature(parameters));
    stages.push(Stage::Distribution { seed: purpose_seed(seed, Purpose::Choice) });
    stages
}

/// The likeliest token, whatever the parameters say.
#[must_use]
pub fn greedy_plan() -> Vec<Stage> {
    vec![Stage::Greedy]
}

/// The seed that a new session chooses with: the one asked for, or a random one where the parameters ask for that.
#[must_use]
pub fn session_seed(parameters: &SamplerParameters) -> u32 {
    if parameters.seed != SamplerParameters::RANDOM_SEED {
        return parameters.seed;
    }
    let entropy = RandomState::new().build_hasher().finish();
    concrete(entropy)
}

/// The seed of the reply that begins after `tokens` tokens of a session.
#[must_use]
pub fn reply_seed(session_seed: u32, tokens: usize) -> u32 {
    concrete(mix(u64::from(session_seed) << 32 ^ tokens as u64))
}

fn purpose_seed(seed: u32, purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Choice => seed,
        Purpose::Xtc => concrete(mix(!u64::from(seed))),
    }
}

/// A seed out of 64 random bits that llama.cpp does not take as "draw one".
fn concrete(bits: u64) -> u32 {
    let seed = (bits >> 32) as u32;
    if seed == SamplerParameters::RANDOM_SEED { 0 } else { seed }
}

/// SplitMix64's output function: every input bit moves every output bit.
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

fn logit_bias(parameters: &SamplerParameters) -> Option<Stage> {
    let biases: Vec<_> = parameters.logit_bias.iter().map(|(token, bias)| (*token, *bias)).collect();
    (!biases.is_empty()).then_some(Stage::LogitBias(biases))
}

fn penalties(parameters: &SamplerParameters, last_n: i32) -> Option<Stage> {
    let (repeat, frequency, presence) =
        (parameters.repetition_penalty, parameters.frequency_penalty, parameters.presence_penalty);
    let off = last_n == 0 || (repeat == 1.0 && frequency == 0.0 && presence == 0.0);
    (!off).then_some(Stage::Penalties { last_n, repeat, frequency, presence })
}

fn dry(parameters: &SamplerParameters, penalty_last_n: i32) -> Option<Stage> {
    let on = parameters.dry_multiplier > 0.0 && parameters.dry_base >= 1.0 && penalty_last_n != 0;
    on.then(|| Stage::Dry {
        multiplier: parameters.dry_multiplier,
        base: parameters.dry_base,
        allowed_length: parameters.dry_allowed_length,
        penalty_last_n,
        breakers: parameters.dry_sequence_breakers.clone(),
    })
}

fn filters(parameters: &SamplerParameters) -> impl Iterator<Item = Stage> {
    let min_keep = parameters.min_keep as usize;
    let share = |p: f32| (0.0..1.0).contains(&p);
    let SamplerParameters { top_n_sigma, top_k, typical_p, top_p, min_p, .. } = *parameters;
    [
        (top_n_sigma > 0.0).then_some(Stage::TopNSigma(top_n_sigma)),
        (top_k > 0).then_some(Stage::TopK(top_k)),
        share(typical_p).then_some(Stage::Typical { p: typical_p, min_keep }),
        share(top_p).then_some(Stage::TopP { p: top_p, min_keep }),
        (min_p > 0.0).then_some(Stage::MinP { p: min_p, min_keep }),
    ]
    .into_iter()
    .flatten()
}

fn xtc(parameters: &SamplerParameters, seed: u32) -> Option<Stage> {
    let on = parameters.xtc_probability > 0.0 && parameters.xtc_threshold <= XTC_MAX_THRESHOLD;
    on.then_some(Stage::Xtc {
        p: parameters.xtc_probability,
        threshold: parameters.xtc_threshold,
        min_keep: parameters.min_keep as usize,
        seed,
    })
}

fn temperature(parameters: &SamplerParameters) -> Stage {
    Stage::Temperature {
        temperature: parameters.temperature,
        range: parameters.dynatemp_range,
        exponent: parameters.dynatemp_exponent,
    }
}

fn mirostat(parameters: &SamplerParameters, seed: u32) -> Stage {
    let (tau, eta) = (parameters.mirostat_tau, parameters.mirostat_eta);
    if parameters.mirostat == 1 {
        Stage::Mirostat { seed, tau, eta }
    } else {
        Stage::MirostatV2 { seed, tau, eta }
    }
}
