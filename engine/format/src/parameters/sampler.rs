//! How tokens are chosen.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::token::Token;

/// How tokens are chosen. A sampler whose parameter has its "off" value takes no part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct SamplerParameters {
    /// Randomness; 0 or less takes the likeliest token.
    pub temperature: f32,
    /// Nucleus: keep the likeliest tokens that have this probability together; 1 is off.
    pub top_p: f32,
    /// Keep that many of the likeliest tokens; 0 or less is off.
    pub top_k: i32,
    /// Keep tokens at least this likely, relative to the likeliest; 0 is off.
    pub min_p: f32,
    /// Seed of the random choice; 0xFFFFFFFF takes a random one.
    pub seed: u32,
    /// Fewest tokens that a filter leaves.
    pub min_keep: u32,
    /// Tokens that the penalties look back at; -1 is the whole context, 0 is off.
    pub penalty_context_size: i32,
    /// Divides the logits of tokens that occurred; 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens that occurred; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted once for each occurrence; 0 is off.
    pub frequency_penalty: f32,
    /// Locally typical sampling; a negative value or 1 is off.
    pub typical_p: f32,
    /// Keep tokens within this many standard deviations of the likeliest; a negative value is off.
    pub top_n_sigma: f32,
    /// Half width of the dynamic temperature; 0 is off.
    pub dynatemp_range: f32,
    /// Exponent of the dynamic temperature.
    pub dynatemp_exponent: f32,
    /// Chance that XTC removes the likeliest tokens; 0 or less is off.
    pub xtc_probability: f32,
    /// Probability that XTC leaves alone below.
    pub xtc_threshold: f32,
    /// Strength of DRY; 0 or less is off.
    pub dry_multiplier: f32,
    /// Base of DRY's growth.
    pub dry_base: f32,
    /// Repetitions that DRY allows.
    pub dry_allowed_length: i32,
    /// Tokens that DRY looks back at; -1 is the whole context, 0 is off.
    pub dry_penalty_last_n: i32,
    /// Texts that end a repetition for DRY.
    pub dry_sequence_breakers: Vec<String>,
    /// Mirostat version: 0 off, 1 or 2.
    pub mirostat: u8,
    /// Surprise that Mirostat aims at.
    pub mirostat_tau: f32,
    /// Rate at which Mirostat learns.
    pub mirostat_eta: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: BTreeMap<Token, f32>,
}

/// What choosing depends on besides the parameters and the session's tokens, so that a restored session goes on choosing as
/// the uninterrupted one would. Samplers are rebuilt for every reply from these three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplerState {
    /// The seed in use: the one that was drawn where the parameters ask for a random one.
    pub seed: u32,
}

impl SamplerParameters {
    /// The seed that stands for a random one.
    pub const RANDOM_SEED: u32 = 0xFFFF_FFFF;
}

impl Default for SamplerParameters {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 0.9,
            top_k: 40,
            min_p: 0.05,
            seed: Self::RANDOM_SEED,
            min_keep: 1,
            penalty_context_size: -1,
            repetition_penalty: 1.1,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            typical_p: -1.0,
            top_n_sigma: -1.0,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            xtc_probability: -1.0,
            xtc_threshold: 0.0,
            dry_multiplier: -1.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_penalty_last_n: 0,
            dry_sequence_breakers: ["\n", ":", "\"", "*"].map(str::to_owned).to_vec(),
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            logit_bias: BTreeMap::new(),
        }
    }
}
