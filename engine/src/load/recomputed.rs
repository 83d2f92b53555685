//! Some cells of a restored session, computed again and compared.

use intact_format::adoption::{Allowance, apart};
use intact_format::parameters::Parameters;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::transcode::HeadSizes;

use crate::context::settings;
use crate::engine::Engine;
use crate::llama::{Context, LlamaError, Part};
use crate::probe::{Probe, Understood};
use crate::session::Timeline;

/// Cells that are computed again: those of the first tokens.
const SAMPLE: usize = 32;
/// Context length that is enough for them.
const CONTEXT: u32 = 256;
/// Most bytes that a state may have which can only be read whole: loads are to take little more memory than the state.
const MOST_READ: usize = 16 << 20;
/// Fewest cells that say anything.
const FEWEST: usize = 8;

/// What the comparison gave.
pub(super) enum Recomputed {
    /// K and V are what the model computes for these tokens, in a sentence; whether the first layer was among them, which
    /// tells other weights best.
    Agrees { found: String, first: bool },
    /// They are not, in words.
    Differs(String),
    /// There was nothing to compare, for this reason.
    Unknown(String),
}

impl Engine {
    /// Evaluates the first tokens of a restored session in a context of their own, and compares K and V with the restored
    /// ones. The session stays as it is.
    pub(super) fn recomputed(
        &self,
        parameters: &Parameters,
        restored: &mut Timeline,
        probe: &Probe,
        allowed: Allowance,
    ) -> Result<Recomputed, Refusal> {
        let Some(here) = probe.understood() else {
            return Ok(Recomputed::Unknown(probe.describe()));
        };
        let tokens = restored.tokens().iter().take(SAMPLE).copied().collect::<Vec<_>>();
        let Ok(mut settings) = settings(&parameters.context_parameters) else {
            return Ok(Recomputed::Unknown("no context is like this one".to_owned()));
        };
        settings.n_ctx = Some(restored.context().n_ctx().min(CONTEXT));
        if !alone(restored, here) && restored.context().state_size(Part::Whole) > MOST_READ {
            return Ok(Recomputed::Unknown("the whole of a large state would have to be read".to_owned()));
        }
        let mut context = Context::new(&self.model, &settings).map_err(failed)?;
        let own = Probe::of(&mut context, &HeadSizes::of(&self.identity.shape), false).map_err(failed)?;
        let Some(own) = own.understood() else {
            return Ok(Recomputed::Unknown(own.describe()));
        };
        let fresh = {
            let mut timeline = Timeline::new(context, restored.memory());
            timeline.replace(&tokens).and_then(|()| timeline.logits().map(|_| ())).map_err(failed)?;
            timeline.state().map_err(failed)?
        };
        let bytes = cells(restored, here, tokens.len()).map_err(failed)?;
        let saved = here.parse(&bytes).map_err(unlike)?;
        let fresh = own.parse(fresh.bytes()).map_err(unlike)?;
        let apart = apart(&saved, &fresh)?;
        let first_layer = apart.first.map_or_else(
            || "of the first layer nothing is left".to_owned(),
            |first| format!("in the first layer {first:.1e}"),
        );
        let found = format!(
            "over {} cells the restored K is {:.1e} and V {:.1e} from what the model computes for the same tokens, \
             {first_layer}",
            apart.cells, apart.keys, apart.values
        );
        let Allowance { first, any } = allowed;
        Ok(if apart.cells < FEWEST {
            Recomputed::Unknown("too few cells could be computed again".to_owned())
        } else if allowed.admits(&apart) {
            let found = format!("{found} ({any:.1e} and {first:.1e} are no more than noise and rounding)");
            Recomputed::Agrees { found, first: apart.first.is_some() }
        } else {
            Recomputed::Differs(format!(
                "{found}, and noise and rounding give at most {any:.1e} and {first:.1e}"
            ))
        })
    }
}

/// The state of a session, of its first tokens alone where these can be read alone.
fn cells(restored: &mut Timeline, here: &Understood, tokens: usize) -> Result<Vec<u8>, LlamaError> {
    if alone(restored, here) {
        let mut bytes = Vec::new();
        restored.slice(0..tokens, &mut bytes)?;
        return Ok(bytes);
    }
    Ok(restored.state()?.into_bytes())
}

/// Whether a range of cells can be read without the rest.
fn alone(restored: &Timeline, here: &Understood) -> bool {
    restored.memory().can_be_cut() && restored.context().scratch().is_some() && here.shape.sections.len() == 1
}

fn failed(error: LlamaError) -> Refusal {
    Refusal::new(RefusalCode::EngineFailed, error)
}

fn unlike(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::LayoutDiffers, error)
}
