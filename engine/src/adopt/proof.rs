//! The proof that a state is what this model gives for its tokens: they are evaluated again, and everything is compared.

use std::fmt;

use intact_format::adoption::{Apart, Reading, apart};
use intact_format::canary::{Canary, CanaryDistance, CanaryRule};
use intact_format::layout::{GgmlType, Section, State};
use intact_format::route::{Refusal, RefusalCode};
use intact_format::token::Position;

use crate::engine::Room;
use crate::error::EngineError;
use crate::llama::{LlamaError, Token};
use crate::probe::{Probe, Understood};
use crate::session::Timeline;

/// Tokens after which a state that is something else altogether is found out.
const SAMPLE: usize = 256;

/// Greatest error of K and V between a saved state and the same tokens evaluated here, by the coarser of their types. For
/// floats it is the one that llama.cpp's own save and load test allows; quantized numbers may fall on the next step, on both
/// sides. Other weights, or a rotation taken for none, give an error near 1 or above.
const ALLOWED: [(GgmlType, f64); 5] = [
    (GgmlType::F32, 1e-5),
    (GgmlType::F16, 1e-5),
    (GgmlType::BF16, 1e-4),
    (GgmlType::Q8_0, 1e-3),
    (GgmlType::Q4_0, 5e-2),
];

/// What comparing a state with the model gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// How far the cells are apart, and how many were compared.
    pub cells: Apart,
    /// The error that their type allows.
    pub allowed: f64,
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
}

/// A comparison of cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distance {
    apart: Apart,
    allowed: f64,
    rule: CanaryRule,
}

impl<'t> Recomputation<'t> {
    /// Evaluates the first tokens.
    pub(super) fn new(room: Room, tokens: &'t [Token]) -> Result<Self, LlamaError> {
        let Room { context, probe, memory, .. } = room;
        let mut timeline = Timeline::new(context, memory);
        timeline.replace(&tokens[..tokens.len().min(SAMPLE)])?;
        Ok(Self { timeline, probe, tokens })
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
        let apart = self.apart(state)?;
        let (allowed, rule) = allowed(state)?;
        if apart.worst() <= allowed {
            return Ok(Distance { apart, allowed, rule });
        }
        let detail = format!(
            "over {} cells the saved K is {:.1e} and V {:.1e} from what this model gives for the same tokens, and \
             {allowed:.0e} is what its type allows",
            apart.cells, apart.keys, apart.values
        );
        Err(Refusal::new(RefusalCode::RecomputationDiffers, detail).into())
    }

    fn apart(&mut self, state: &State<'_>) -> Result<Apart, EngineError> {
        let here = self.timeline.state()?;
        let here = understood(&self.probe)?
            .parse(here.bytes())
            .map_err(|error| Refusal::new(RefusalCode::StateUnknown, error))?;
        Ok(apart(state, &here)?)
    }
}

/// The memory of a context, which adoption has to understand.
pub(super) fn understood(probe: &Probe) -> Result<&Understood, Refusal> {
    probe.understood().ok_or_else(|| {
        let detail = format!("the state of this llama.cpp release is not understood ({})", probe.describe());
        Refusal::new(RefusalCode::StateUnknown, detail)
    })
}

/// What the types of a state allow.
fn allowed(state: &State<'_>) -> Result<(f64, CanaryRule), Refusal> {
    let mut kinds: Vec<GgmlType> = Vec::new();
    for section in &state.sections {
        if let Section::Attention(cache) = section {
            kinds.extend(cache.keys.iter().chain(&cache.values).map(|matrix| matrix.kind));
        }
    }
    let of = |kind: &GgmlType| {
        let known = ALLOWED.iter().find(|(known, _)| known == kind).map(|(_, error)| *error);
        known.ok_or_else(|| {
            Refusal::new(
                RefusalCode::KvTypeDiffers,
                format!("K or V of type {kind} cannot be compared with others"),
            )
        })
    };
    let errors = kinds.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let error = errors.into_iter().fold(ALLOWED[0].1, f64::max);
    let coarse = kinds.contains(&GgmlType::Q4_0);
    Ok((error, if coarse { CanaryRule::Lossy } else { CanaryRule::Floor }))
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
        let Distance { apart, allowed, rule } = cells;
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
        if rule.accepts(&logits) || cost.is_some_and(|cost| logits.kl <= TIMES_COST * cost) {
            return Ok(Self { cells: apart, allowed, logits, cost });
        }
        let costs = cost.map(|cost| format!("; quantizing itself costs a divergence of {cost}"));
        let detail = format!("{logits}; required is: {rule}{}", costs.unwrap_or_default());
        Err(Refusal::new(RefusalCode::RecomputationDiffers, detail))
    }
}

impl Distance {
    /// Whether quantization alone can move the logits far.
    pub(super) fn is_coarse(&self) -> bool {
        self.rule == CanaryRule::Lossy
    }
}

/// One sentence.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cells, allowed, logits, cost } = self;
        write!(
            f,
            "All tokens were evaluated again: over {} cells the saved K is {:.1e} and V {:.1e} from what the model gives \
             ({allowed:.0e} is allowed); {logits}",
            cells.cells, cells.keys, cells.values
        )?;
        match cost {
            Some(cost) => write!(f, "; quantizing itself costs a divergence of {cost}."),
            None => f.write_str("."),
        }
    }
}
