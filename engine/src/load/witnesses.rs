//! What speaks for a session besides the logits of its last token, where these are further off than noise.
//!
//! Logits are a weak witness between settings: another kernel, a conversion and another session can move them alike. So
//! the model computes some cells again, and K and V are compared, which other weights, another session or a rotation taken
//! for none move by orders of magnitude more than any kernel does. Where that cannot tell, the saved KV may show itself as
//! it was saved, bit by bit, in a context like the writer's. Only where neither can, a session that is not within noise
//! counts as another one. Tokens that are evaluated again by the same weights need no witness.

use intact_format::adoption::{Allowance, Rounding};
use intact_format::canary::{CanaryDistance, CanaryRule, Standing};
use intact_format::noise::Noise;
use intact_format::parameters::Parameters;
use intact_format::passport::{CacheSettings, Passport};
use intact_format::place::SessionSource;
use intact_format::route::{Decision, Refusal, RefusalCode, Route};
use intact_format::session::SessionDocument;

use super::as_saved::AsSaved;
use super::recomputed::Recomputed;
use crate::engine::Engine;
use crate::probe::Probe;
use crate::session::Timeline;

/// Whatever can be asked about a session that is being loaded. Each is asked only where it matters, and once.
pub(super) struct Witnesses<'e> {
    engine: &'e mut Engine,
    document: &'e SessionDocument,
    source: &'e dyn SessionSource,
    parameters: &'e Parameters,
    here: &'e Passport,
    noise: Option<Option<Noise>>,
    as_saved: Option<AsSaved>,
}

impl<'e> Witnesses<'e> {
    /// Witnesses of a session that gets these parameters in a context with this passport.
    pub(super) fn new(
        engine: &'e mut Engine,
        document: &'e SessionDocument,
        source: &'e dyn SessionSource,
        parameters: &'e Parameters,
        here: &'e Passport,
    ) -> Self {
        Self { engine, document, source, parameters, here, noise: None, as_saved: None }
    }

    /// Whether nothing speaks against an image that is to be converted at a loss.
    pub(super) fn before_conversion(&mut self) -> Result<(), Refusal> {
        match self.as_saved() {
            AsSaved::Failed(refusal) => Err(refusal),
            AsSaved::Proven | AsSaved::Unknown(_) => Ok(()),
        }
    }

    /// Whether a session that came about by a route, and whose logits are so far from the saved ones, is the saved one;
    /// what is to be said about it, if anything.
    pub(super) fn hear(
        &mut self,
        route: Route,
        decision: &Decision,
        distance: &CanaryDistance,
        timeline: &mut Timeline,
        probe: &Probe,
    ) -> Result<Option<String>, Refusal> {
        let rule = decision.canary_rule(route);
        match route {
            Route::Reprefilled => return self.evaluated_again(decision, distance),
            Route::Replayed => return Ok(None),
            Route::Direct | Route::Transcoded => {}
        }
        match rule.standing(distance, None) {
            Standing::Shown => Ok(None),
            Standing::Refuted => Err(refuted_by(*distance, rule)),
            // Logits within noise show little: cells that lie one position off can move them less than a kernel does.
            Standing::Open => self.compare_cells(distance, rule, decision, timeline, probe),
        }
    }

    fn compare_cells(
        &mut self,
        distance: &CanaryDistance,
        rule: CanaryRule,
        decision: &Decision,
        timeline: &mut Timeline,
        probe: &Probe,
    ) -> Result<Option<String>, Refusal> {
        let noise = self.noise();
        let told = told(noise.as_ref());
        let within = rule.standing(distance, noise.as_ref()) == Standing::Shown;
        let otherwise =
            format!("the model says the last token otherwise than when it was saved: {distance}; {told}");
        let allowed = self.allowance(noise.as_ref());
        let compared = match allowed {
            Ok(allowed) => self.engine.recomputed(self.parameters, timeline, probe, allowed)?,
            Err(refusal) => Recomputed::Unknown(refusal.message),
        };
        // What a window has passed is gone, and deeper layers move by noise as they do by other weights: then the image is looked
        // at as it was saved too.
        if let Recomputed::Agrees { first: false, .. } = compared
            && let AsSaved::Failed(refusal) = self.as_saved()
        {
            return Err(refusal);
        }
        let unproven = if decision.loses() { self.unproven() } else { None };
        match compared {
            Recomputed::Differs(found) => {
                Err(Refusal::new(RefusalCode::CanaryFailed, format!("{distance}; {found}")))
            }
            Recomputed::Agrees { .. } if within => Ok(unproven),
            Recomputed::Agrees { found, .. } if self.is_near(distance, noise.as_ref()) => Ok(Some(format!(
                "The saved KV is the session's: {found}. Under the settings here {otherwise}."
            ))),
            Recomputed::Unknown(_) if within => Ok(unproven),
            Recomputed::Agrees { found: why, .. } | Recomputed::Unknown(why) => match self.as_saved() {
                AsSaved::Proven => Ok(Some(format!(
                    "The saved KV is the session's, bit by bit, as it was saved. Under the settings here {otherwise}."
                ))),
                AsSaved::Failed(refusal) => Err(refusal),
                AsSaved::Unknown(reason) => {
                    let detail = format!("{distance}; required is: {rule}; {told}; {why}; {reason}");
                    Err(Refusal::new(RefusalCode::CanaryFailed, detail))
                }
            },
        }
    }

    /// Whether logits are so near that the same cells may give them under other settings.
    fn is_near(&self, distance: &CanaryDistance, noise: Option<&Noise>) -> bool {
        noise.is_some_and(|noise| distance.kl <= noise.far())
    }

    /// How far the cells of the session may be from what is computed here.
    fn allowance(&self, noise: Option<&Noise>) -> Result<Allowance, Refusal> {
        let here = &self.here.cache;
        let saved = self.document.passport.as_ref().map_or(here, |saved| &saved.cache);
        let kept = |cache: &CacheSettings| [cache.rotation_k, cache.rotation_v];
        let kinds = |cache: &CacheSettings| [cache.type_k, cache.type_v];
        let same = kinds(saved) == kinds(here) && kept(saved) == kept(here);
        let rounding = if same { Rounding::Once } else { Rounding::Again };
        Allowance::of(kinds(saved).into_iter().chain(kinds(here)), rounding, noise)
    }

    /// The same tokens by the same weights are the session, however they are told: only what no noise explains is refused.
    fn evaluated_again(
        &mut self,
        decision: &Decision,
        distance: &CanaryDistance,
    ) -> Result<Option<String>, Refusal> {
        if distance.max_abs == 0.0 || !decision.is_same_model() {
            return Ok(None);
        }
        let noise = self.noise();
        let explained = noise.is_some_and(|noise| distance.kl <= noise.explains());
        // Where a conversion would lose something, evaluating again under the settings here does so too, by how much is
        // not known.
        let far = noise.is_some_and(|noise| distance.kl > noise.far()) && !decision.loses();
        if far || !distance.kl.is_finite() {
            let detail = format!(
                "the same weights do not say the same after the same tokens, which no other kernel explains: {distance}; {}",
                told(noise.as_ref())
            );
            return Err(Refusal::new(RefusalCode::CanaryFailed, detail));
        }
        Ok((!explained).then(|| {
            format!(
                "The same weights evaluated the same tokens again, and say the last one otherwise than when it was saved: \
                 {distance}; {}.",
                told(noise.as_ref())
            )
        }))
    }

    /// What is said where an image was converted at a loss without having been shown before.
    fn unproven(&mut self) -> Option<String> {
        match self.as_saved() {
            AsSaved::Unknown(reason) => {
                Some(format!("The saved KV could not be proven before it was converted: {reason}"))
            }
            AsSaved::Proven | AsSaved::Failed(_) => None,
        }
    }

    fn as_saved(&mut self) -> AsSaved {
        let (engine, document, source) = (&mut *self.engine, self.document, self.source);
        self.as_saved.get_or_insert_with(|| engine.prove_as_saved(document, source)).clone()
    }

    /// How far the model is from itself, here or where the session was saved, whichever is more.
    fn noise(&mut self) -> Option<Noise> {
        let (engine, parameters, here) = (&mut *self.engine, self.parameters, self.here);
        let saved = self.document.noise;
        *self.noise.get_or_insert_with(|| {
            let measured = if engine.skip_noise { None } else { engine.noise(parameters, here) };
            match (measured, saved) {
                (Some(measured), Some(saved)) => Some(measured.greater(saved)),
                (measured, saved) => measured.or(saved),
            }
        })
    }
}

/// Whether the canary has to allow for a loss when a route of this decision is taken.
pub(super) fn loses(decision: &Decision, route: Route) -> bool {
    route == Route::Transcoded && decision.loses()
}

/// The refusal of a session that is not the saved one.
pub(super) fn refuted_by(distance: CanaryDistance, rule: CanaryRule) -> Refusal {
    Refusal::new(RefusalCode::CanaryFailed, format!("{distance}; required is: {rule}"))
}

fn told(noise: Option<&Noise>) -> String {
    noise.map_or_else(|| "how far the model is from itself is not known".to_owned(), Noise::to_string)
}
