//! The proof that a state is what this model gives for its tokens: they are evaluated again, and everything is compared.

use std::fmt;

use intact_format::adoption::{Allowance, Apart, Reading, Rounding, apart, types};
use intact_format::canary::{Canary, CanaryDistance, CanaryRule, Standing};
use intact_format::kv_type::KvType;
use intact_format::layout::{LayoutError, State};
use intact_format::noise::Noise;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::token::Position;

use crate::engine::Room;
use crate::error::EngineError;
use crate::llama::{LlamaError, Token};
use crate::probe::{Probe, Understood};
use crate::session::Timeline;

/// Tokens after which a state that is something else altogether is found out.
const SAMPLE: usize = 256;

/// What comparing a state with the model gave.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Proof {
    /// How far the cells are apart, and how many were compared.
    pub cells: Apart,
    /// The error that their type and the noise of the model allow.
    pub allowed: Allowance,
    /// How far the logits of the last token are apart.
    pub logits: CanaryDistance,
    /// Divergence that quantizing the cache costs this model here, where the logits were held to that.
    pub cost: Option<f32>,
}

/// So many times what quantizing costs may the logits be apart: the saved state was quantized, and the recomputed one too.
const TIMES_COST: f32 = 2.0;

/// The tokens of a state, evaluated again in a context of their own.
pub(super) struct Recomputation<'t> {
    timeline: Timeline,
    probe: Probe,
    tokens: &'t [Token],
    noise: Option<Noise>,
}

/// A comparison of cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distance {
    apart: Apart,
    allowed: Allowance,
    noise: Option<Noise>,
    coarse: bool,
}

impl<'t> Recomputation<'t> {
    /// Evaluates the first tokens with a model that is so far from itself.
    pub(super) fn new(room: Room, tokens: &'t [Token], noise: Option<Noise>) -> Result<Self, LlamaError> {
        let Room { context, probe, memory, .. } = room;
        let mut timeline = Timeline::new(context, memory);
        timeline.replace(&tokens[..tokens.len().min(SAMPLE)])?;
        Ok(Self { timeline, probe, tokens, noise })
    }

    /// The reading that is closest to what the model gives for the first tokens.
    pub(super) fn right_one<'a>(&mut self, readings: Vec<Reading<'a>>) -> Result<Reading<'a>, EngineError> {
        let mut best: Option<(f64, Reading<'a>)> = None;
        for reading in readings {
            let error = self.apart(&reading.state)?.worst();
            if best.as_ref().is_none_or(|(least, _)| error < *least || least.is_nan()) {
                best = Some((error, reading));
            }
        }
        let Some((_, reading)) = best else {
            return Err(Refusal::new(RefusalCode::StateUnknown, "the state has no reading").into());
        };
        self.judged(&reading.state)?;
        Ok(reading)
    }

    /// Evaluates the rest, and compares every cell. `cells` are those of the state.
    pub(super) fn compare(&mut self, state: &State<'_>, cells: usize) -> Result<Distance, EngineError> {
        let done = self.timeline.tokens().len();
        self.timeline.extend(&self.tokens[done..])?;
        if self.timeline.memory().recurrent && cells == self.tokens.len() {
            self.timeline.logits()?;
        }
        self.judged(state)
    }

    /// The logits of the last token.
    pub(super) fn logits(&mut self) -> Result<Vec<f32>, LlamaError> {
        Ok(self.timeline.settled_logits()?.unwrap_or_default().to_vec())
    }

    pub(super) fn into_timeline(self) -> Timeline {
        self.timeline
    }

    fn judged(&mut self, state: &State<'_>) -> Result<Distance, EngineError> {
        let noise = self.noise;
        let here = self.timeline.state()?;
        let here = understood(&self.probe)?.parse(here.bytes()).map_err(unknown)?;
        let apart = apart(state, &here)?;
        let saved = types(state)?;
        let coarse = saved.contains(&KvType::Q4_0);
        let allowed = Allowance::of(saved.into_iter().chain(types(&here)?), Rounding::Once, noise.as_ref())?;
        if allowed.admits(&apart) {
            return Ok(Distance { apart, allowed, noise, coarse });
        }
        let detail = format!(
            "over {} cells the saved K is {:.1e} and V {:.1e} from what this model gives for the same tokens, in the first \
             layer {:.1e}; its types and the model's noise allow {:.1e} and {:.1e}, and other tokens or another model give 0.4 \
             to 11{}",
            apart.cells,
            apart.keys,
            apart.values,
            apart.first.unwrap_or_default(),
            allowed.any,
            allowed.first,
            noise.map_or_else(String::new, |noise| format!(" ({noise})"))
        );
        Err(Refusal::new(RefusalCode::RecomputationDiffers, detail).into())
    }

    fn apart(&mut self, state: &State<'_>) -> Result<Apart, EngineError> {
        let here = self.timeline.state()?;
        Ok(apart(state, &understood(&self.probe)?.parse(here.bytes()).map_err(unknown)?)?)
    }
}

fn unknown(error: LayoutError) -> Refusal {
    Refusal::new(RefusalCode::StateUnknown, error)
}

/// The memory of a context, which adoption has to understand.
pub(super) fn understood(probe: &Probe) -> Result<&Understood, Refusal> {
    probe.understood().ok_or_else(|| {
        let detail = format!("the state of this llama.cpp release is not understood ({})", probe.describe());
        Refusal::new(RefusalCode::StateUnknown, detail)
    })
}

impl Proof {
    /// The whole proof: what the model `said` after the last token of the recomputed state and of the adopted one. Where the
    /// two are far apart, quantization can be why: what it said with a `fine` cache tells what that costs.
    pub(super) fn of(
        cells: Distance,
        tokens: &[Token],
        said: [&[f32]; 2],
        fine: Option<&[f32]>,
    ) -> Result<Self, Refusal> {
        let Distance { apart, allowed, noise, coarse } = cells;
        let last = tokens.last().copied().unwrap_or(Token(0));
        let position = Position(u32::try_from(tokens.len().saturating_sub(1)).unwrap_or(u32::MAX));
        let canary = |logits: &[f32]| {
            let detail = "the model's logits are not numbers, which proves nothing";
            Canary::of(last, position, logits)
                .ok_or_else(|| Refusal::new(RefusalCode::RecomputationDiffers, detail))
        };
        let [recomputed, adopted] = said;
        let logits = canary(recomputed)?.distance(adopted);
        let cost = fine.map(|fine| canary(fine).map(|fine| fine.distance(recomputed).kl)).transpose()?;
        let rule = if coarse { CanaryRule::Lossy } else { CanaryRule::Floor };
        // The cells agree, so logits of the last token that do not are no further off than what came with them.
        let far = noise.map_or(f32::INFINITY, |noise| noise.far());
        let right = match rule.standing(&logits, noise.as_ref()) {
            Standing::Shown => true,
            Standing::Open => {
                !coarse && logits.kl <= far || cost.is_some_and(|cost| logits.kl <= TIMES_COST * cost)
            }
            Standing::Refuted => false,
        };
        if right {
            return Ok(Self { cells: apart, allowed, logits, cost });
        }
        let costs = cost.map(|cost| format!("; quantizing itself costs a divergence of {cost}"));
        let noise = noise.map(|noise| format!("; {noise}"));
        let detail = format!("{logits}{}{}", noise.unwrap_or_default(), costs.unwrap_or_default());
        Err(Refusal::new(RefusalCode::RecomputationDiffers, detail))
    }
}

impl Distance {
    /// Whether quantization alone can move the logits far.
    pub(super) fn is_coarse(&self) -> bool {
        self.coarse
    }
}

/// One sentence.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cells, allowed, logits, cost } = self;
        write!(
            f,
            "All tokens were evaluated again: over {} cells the saved K is {:.1e} and V {:.1e} from what the model gives \
             ({:.1e} is allowed); {logits}",
            cells.cells, cells.keys, cells.values, allowed.any
        )?;
        match cost {
            Some(cost) => write!(f, "; quantizing itself costs a divergence of {cost}."),
            None => f.write_str("."),
        }
    }
}
