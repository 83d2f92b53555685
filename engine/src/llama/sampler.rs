//! Sampling, over logits that we keep ourselves.

use super::binding::sampling::LlamaSampler;
use super::binding::token::LlamaToken;
use super::binding::token::data::LlamaTokenData;
use super::binding::token::data_array::LlamaTokenDataArray;
use super::binding::token::logit_bias::LlamaLogitBias;

use super::{LlamaError, Model, Token, release};

/// One of llama.cpp's samplers with its parameters. A chain ends with `Greedy`, `Distribution` or a mirostat.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Adds to the logits of given tokens.
    LogitBias(Vec<(Token, f32)>),
    /// Repetition, frequency and presence penalties over the last `last_n` tokens.
    Penalties {
        /// Tokens looked back at.
        last_n: i32,
        /// Repetition penalty; 1 is none.
        repeat: f32,
        /// Frequency penalty; 0 is none.
        frequency: f32,
        /// Presence penalty; 0 is none.
        presence: f32,
    },
    /// "Don't repeat yourself".
    Dry {
        /// 0 is off.
        multiplier: f32,
        /// Growth of the penalty.
        base: f32,
        /// Length that is still free.
        allowed_length: i32,
        /// Tokens looked back at; 0 is none.
        penalty_last_n: i32,
        /// Texts that end a sequence.
        breakers: Vec<String>,
    },
    /// Keeps tokens within n sigma of the best logit.
    TopNSigma(f32),
    /// Keeps the k best.
    TopK(i32),
    /// Locally typical sampling.
    Typical {
        /// Probability kept.
        p: f32,
        /// Tokens kept at least.
        min_keep: usize,
    },
    /// Nucleus sampling.
    TopP {
        /// Probability kept.
        p: f32,
        /// Tokens kept at least.
        min_keep: usize,
    },
    /// Keeps tokens of at least this share of the best one's probability.
    MinP {
        /// The share.
        p: f32,
        /// Tokens kept at least.
        min_keep: usize,
    },
    /// Excludes the top choices now and then.
    Xtc {
        /// How often.
        p: f32,
        /// Probability above which a token counts as a top choice.
        threshold: f32,
        /// Tokens kept at least.
        min_keep: usize,
        /// Seed of its random numbers.
        seed: u32,
    },
    /// Temperature, dynamic where `range` is above 0.
    Temperature {
        /// The temperature.
        temperature: f32,
        /// Range of the dynamic temperature.
        range: f32,
        /// Its exponent.
        exponent: f32,
    },
    /// Mirostat 1.0; samples.
    Mirostat {
        /// Seed of its random numbers.
        seed: u32,
        /// Target surprise.
        tau: f32,
        /// Learning rate.
        eta: f32,
    },
    /// Mirostat 2.0; samples.
    MirostatV2 {
        /// Seed of its random numbers.
        seed: u32,
        /// Target surprise.
        tau: f32,
        /// Learning rate.
        eta: f32,
    },
    /// Samples by probability.
    Distribution {
        /// Seed of its random numbers.
        seed: u32,
    },
    /// Takes the best.
    Greedy,
}

/// Tokens that mirostat 1.0 estimates from: llama.cpp's own choice in its examples.
const MIROSTAT_M: i32 = 100;

/// A chain of samplers.
pub struct Sampler {
    chain: LlamaSampler,
}

impl Sampler {
    /// A chain over a model's vocabulary.
    ///
    /// # Errors
    /// When a parameter is one that llama.cpp cannot take, such as a text with a NUL.
    pub fn new(model: &Model, stages: &[Stage]) -> Result<Self, LlamaError> {
        let samplers = stages.iter().map(|stage| sampler(model, stage)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { chain: LlamaSampler::chain(samplers, true) })
    }

    /// Tells the chain about a token that is part of the session, without sampling.
    pub fn accept(&mut self, token: Token) {
        self.chain.accept(LlamaToken(token.0));
    }

    /// Chooses a token and accepts it. `None` where no token is left to choose from.
    pub fn sample(&mut self, logits: &[f32]) -> Option<Token> {
        let candidates =
            (0..).zip(logits).map(|(token, &logit)| LlamaTokenData::new(LlamaToken(token), logit, 0.0));
        let mut candidates = LlamaTokenDataArray::from_iter(candidates, false);
        self.chain.apply(&mut candidates);
        let LlamaToken(token) = candidates.selected_token()?;
        self.accept(Token(token));
        Some(Token(token))
    }
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sampler").finish_non_exhaustive()
    }
}

fn sampler(model: &Model, stage: &Stage) -> Result<LlamaSampler, LlamaError> {
    let n_vocab = i32::try_from(model.n_vocab()).unwrap_or(i32::MAX);
    Ok(match *stage {
        Stage::LogitBias(ref biases) => {
            let biases: Vec<_> =
                biases.iter().map(|&(token, bias)| LlamaLogitBias::new(LlamaToken(token.0), bias)).collect();
            LlamaSampler::logit_bias(n_vocab, &biases)
        }
        Stage::Penalties { last_n, repeat, frequency, presence } => {
            release::penalties(n_vocab, last_n, repeat, frequency, presence)
        }
        Stage::Dry { multiplier, base, allowed_length, penalty_last_n, ref breakers } => {
            if let Some(breaker) = breakers.iter().find(|breaker| breaker.contains('\0')) {
                return Err(LlamaError::Sampler(format!("the sequence breaker {breaker:?} contains a NUL")));
            }
            LlamaSampler::dry(&model.inner, multiplier, base, allowed_length, penalty_last_n, breakers)
        }
        Stage::TopNSigma(n) => LlamaSampler::top_n_sigma(n),
        Stage::TopK(k) => LlamaSampler::top_k(k),
        Stage::Typical { p, min_keep } => LlamaSampler::typical(p, min_keep),
        Stage::TopP { p, min_keep } => LlamaSampler::top_p(p, min_keep),
        Stage::MinP { p, min_keep } => LlamaSampler::min_p(p, min_keep),
        Stage::Xtc { p, threshold, min_keep, seed } => LlamaSampler::xtc(p, threshold, min_keep, seed),
        Stage::Temperature { temperature, range, exponent } => {
            LlamaSampler::temp_ext(temperature, range, exponent)
        }
        Stage::Mirostat { seed, tau, eta } => LlamaSampler::mirostat(n_vocab, seed, tau, eta, MIROSTAT_M),
        Stage::MirostatV2 { seed, tau, eta } => LlamaSampler::mirostat_v2(seed, tau, eta),
        Stage::Distribution { seed } => LlamaSampler::dist(seed),
        Stage::Greedy => LlamaSampler::greedy(),
    })
}
