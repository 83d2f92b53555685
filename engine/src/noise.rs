//! How far this model is from itself under some settings on this machine: measured once, then remembered.
//!
//! The same text is evaluated three times in small contexts of its own: token by token at its end, as a reply is; in one
//! batch, as a prompt is; and token by token again by the other attention kernel, with or without flash attention. Where
//! there is no other one for this cache, because V is quantized, the two kernels are compared over floats: another build of
//! llama.cpp adds up in another order as they do. That is three to four times [`TOKENS`] tokens, of which [`SINGLE`] are
//! evaluated alone, once for each model, kind of cache and machine; what was found is remembered in the user's cache.

use std::collections::HashMap;

use intact_format::adoption::apart;
use intact_format::canary::Canary;
use intact_format::noise::{Noise, NoiseCache, NoiseKey};
use intact_format::parameters::Parameters;
use intact_format::passport::Passport;
use intact_format::token::Position;
use intact_format::transcode::HeadSizes;

use crate::context::settings;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::llama::{Context, ContextSettings, FlashAttention, LlamaError, Part, SequenceState, Token};
use crate::probe::Probe;

/// What is evaluated: plain prose, so that the model is on its own ground.
const TEXT: &str = "The ferry left the harbour shortly after dawn, carrying letters, flour and a clock for the school on \
                    the island. By noon the wind had turned, and the crew reefed the sails while the passengers went \
                    below and asked each other how long the crossing would take in such weather.";
/// Tokens of the text that are evaluated.
const TOKENS: usize = 32;
/// Of these, the ones at its end whose logits and cells are compared.
const SINGLE: usize = 8;
/// Tokens of the first batch where the others follow in a second one.
const FIRST: usize = 8;
/// Fewest tokens that say anything.
const FEWEST: usize = 16;
/// Most bytes of a state whose cells are compared: running states of some models are a hundred megabytes.
const MOST_READ: usize = 16 << 20;
/// Context length that is enough.
const CONTEXT: u32 = 256;

/// What was measured so far.
pub(crate) type Noises = HashMap<String, Option<Noise>>;

impl Engine {
    /// How far the model is from itself in a context like the one of this passport. None where it cannot be told: the
    /// context is too small, or the logits are no numbers.
    pub(crate) fn noise(&mut self, parameters: &Parameters, passport: &Passport) -> Option<Noise> {
        let context = &parameters.context_parameters;
        let key = NoiseKey::of(passport, [context.n_batch, context.n_ubatch]);
        let name = key.name();
        if let Some(known) = self.noises.get(&name) {
            return *known;
        }
        let cache = NoiseCache::of_user();
        let noise = cache.remembered(&key).or_else(|| {
            let measured = self.measured(parameters).unwrap_or_else(|error| {
                tracing::warn!(%error, "how far the model is from itself could not be measured");
                None
            })?;
            cache.remember(&key, measured);
            Some(measured)
        });
        self.noises.insert(name, noise);
        noise
    }

    fn measured(&self, parameters: &Parameters) -> Result<Option<Noise>, EngineError> {
        let mut settings = settings(&parameters.context_parameters)?;
        settings.n_ctx =
            Some(settings.n_ctx.filter(|&length| length > 0).map_or(CONTEXT, |length| length.min(CONTEXT)));
        let mut bench = self.bench(&settings)?;
        let mut tokens = self.model.tokenize(TEXT, true, false);
        tokens.truncate(TOKENS.min(bench.context.n_ctx() as usize));
        if tokens.len() < FEWEST {
            return Ok(None);
        }
        let alone = bench.alone(&tokens)?;
        bench.context.clear();
        let together = bench.together(&tokens)?;
        let noise = between(&tokens, (&bench.probe, &alone), (&bench.probe, &together));
        drop(together);
        let Some(noise) = noise else {
            return Ok(None);
        };
        let [this, other] = if bench.transposes() {
            [FlashAttention::Off, FlashAttention::On]
        } else {
            [FlashAttention::On, FlashAttention::Off]
        };
        // A quantized V needs flash attention: there both kernels are tried over floats. Some models cannot have it at all.
        let kernel = match self.alone(&settings, other, &tokens) {
            Ok(found) => Some(((bench, alone), found)),
            Err(_) => {
                // States of wide models are megabytes: no more than two of them at a time.
                drop((bench, alone));
                let floats = ContextSettings { type_k: None, type_v: None, ..settings };
                let one = self.alone(&floats, this, &tokens).ok();
                one.zip(self.alone(&floats, other, &tokens).ok())
            }
        };
        let kernel = kernel.and_then(|((one, here), (other, there))| {
            between(&tokens, (&one.probe, &here), (&other.probe, &there))
        });
        Ok(Some(kernel.map_or(noise, |kernel| noise.greater(kernel))))
    }

    /// The end of the text token by token, by one attention kernel.
    fn alone(
        &self,
        settings: &ContextSettings,
        kernel: FlashAttention,
        tokens: &[Token],
    ) -> Result<(Bench, Evaluated), LlamaError> {
        let mut bench = self.bench(&ContextSettings { flash_attention: Some(kernel), ..settings.clone() })?;
        let found = bench.alone(tokens)?;
        Ok((bench, found))
    }

    fn bench(&self, settings: &ContextSettings) -> Result<Bench, LlamaError> {
        let mut context = Context::new(&self.model, settings)?;
        let probe = Probe::of(&mut context, &HeadSizes::of(&self.identity.shape), false)?;
        Ok(Bench { context, probe })
    }
}

/// An empty context to measure in.
struct Bench {
    context: Context,
    probe: Probe,
}

/// What one way of evaluating the tokens gave.
struct Evaluated {
    /// A row for each of the last [`SINGLE`] tokens.
    logits: Vec<Vec<f32>>,
    /// None where it is large: measuring is to take little memory.
    state: Option<SequenceState>,
}

impl Bench {
    /// The end token by token, behind one batch.
    fn alone(&mut self, tokens: &[Token]) -> Result<Evaluated, LlamaError> {
        let (before, last) = tokens.split_at(tokens.len() - SINGLE);
        self.context.evaluate(before, 0)?;
        let mut logits = Vec::with_capacity(SINGLE);
        for (at, token) in last.iter().enumerate() {
            self.context.evaluate(&[*token], before.len() + at)?;
            logits.push(self.context.logits());
        }
        Ok(Evaluated { logits, state: self.state()? })
    }

    /// The end in one batch with what comes before it, but for the first few.
    fn together(&mut self, tokens: &[Token]) -> Result<Evaluated, LlamaError> {
        let (first, rest) = tokens.split_at(FIRST);
        self.context.evaluate(first, 0)?;
        let logits = self.context.evaluate_each(rest, first.len(), SINGLE)?;
        Ok(Evaluated { logits, state: self.state()? })
    }

    fn state(&self) -> Result<Option<SequenceState>, LlamaError> {
        let small = self.context.state_size(Part::Whole) <= MOST_READ;
        small.then(|| self.context.state(Part::Whole)).transpose()
    }

    /// Whether V is stored transposed, as it is without flash attention.
    fn transposes(&self) -> bool {
        self.probe.understood().is_some_and(|here| here.sections.iter().any(|section| section.transposed))
    }
}

/// How far two ways of evaluating the same tokens are apart. None where logits are no numbers.
fn between(tokens: &[Token], one: (&Probe, &Evaluated), other: (&Probe, &Evaluated)) -> Option<Noise> {
    let first = tokens.len() - SINGLE;
    let mut noise = Noise { positions: 0, kl: 0.0, logprob: 0.0, keys: None, values: None };
    for (at, (one, other)) in one.1.logits.iter().zip(&other.1.logits).enumerate() {
        let position = u32::try_from(first + at).unwrap_or(u32::MAX);
        let distance = Canary::of(tokens[first + at], Position(position), one)?.distance(other);
        if !distance.kl.is_finite() {
            return None;
        }
        noise.positions += 1;
        noise.kl = noise.kl.max(distance.kl);
        noise.logprob = noise.logprob.max(distance.max_logprob);
    }
    (noise.keys, noise.values) = cells(one, other).unzip();
    Some(noise)
}

/// Errors of K and V between two states, where they were read, are understood and hold numbers.
#[expect(clippy::cast_possible_truncation, reason = "distances need no more than a float's precision")]
fn cells(one: (&Probe, &Evaluated), other: (&Probe, &Evaluated)) -> Option<(f32, f32)> {
    let one = one.0.understood()?.parse(one.1.state.as_ref()?.bytes()).ok()?;
    let other = other.0.understood()?.parse(other.1.state.as_ref()?.bytes()).ok()?;
    let apart = apart(&one, &other).ok()?;
    let numbers = (apart.keys as f32, apart.values as f32);
    (apart.cells > 0 && numbers.0.is_finite() && numbers.1.is_finite()).then_some(numbers)
}
