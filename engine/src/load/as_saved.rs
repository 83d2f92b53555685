//! The saved KV, proven in the form that it was saved in.
//!
//! A conversion that loses something moves the logits, so the canary has to allow for that afterwards, and what a forged or
//! another session's image changes can be less. So before such a conversion the image is restored as it is, into a context
//! like the one that it was saved from, where the model has to say what it said, bit by bit. That costs the memory of a
//! second context for as long as it takes, and one more evaluation.

use intact_format::canary::Standing;
use intact_format::passport::compare;
use intact_format::place::SessionSource;
use intact_format::route::{ImageStatus, LoadPolicy, LoadSituation, Refusal, Route, decide};
use intact_format::session::SessionDocument;

use super::attempt::Attempt;
use super::tokens_of;
use super::witnesses::loses;
use crate::context::excess;
use crate::engine::Engine;

/// What became of it.
#[derive(Debug, Clone)]
pub(super) enum AsSaved {
    /// The image is the saved session's.
    Proven,
    /// It is not, or it is damaged.
    Failed(Refusal),
    /// It cannot be shown here, for this reason: no context here is like the one that it was saved from.
    Unknown(String),
}

/// Why nothing came of it, where a context like the writer's computes a little otherwise.
const UNCLEAR: &str =
    "the model is further from what it said than noise explains, in a context like the writer's too";

impl Engine {
    /// Restores an image as it was saved and compares what the model says with the canary.
    pub(super) fn prove_as_saved(
        &mut self,
        document: &SessionDocument,
        source: &dyn SessionSource,
    ) -> AsSaved {
        let (Some(parameters), Some(saved)) = (&document.parameters, &document.passport) else {
            return AsSaved::Unknown("the file does not say what it was saved from".to_owned());
        };
        let own = &self.parameters.context_parameters;
        if let Some(excess) = excess(&parameters.context_parameters, own, &self.model) {
            return AsSaved::Unknown(excess);
        }
        let room = match self.room(parameters, saved.preset.as_deref()) {
            Ok(room) => room,
            Err(error) => return AsSaved::Unknown(error.to_string()),
        };
        let differences = compare(saved, &room.passport);
        let decision = decide(&LoadSituation {
            differences: &differences,
            image: ImageStatus::Present,
            tokens: tokens_of(document),
            n_ctx: room.passport.cache.n_ctx,
            lossy: false,
            policy: LoadPolicy::from_iter([Route::Direct, Route::Transcoded]),
        });
        let decision = match decision {
            Ok(decision) if !loses(&decision, decision.route) => decision,
            Ok(decision) => return AsSaved::Unknown(decision.because),
            Err(refusal) => return AsSaved::Unknown(refusal.to_string()),
        };
        let noise = self.noise(parameters, &room.passport);
        // No message is rendered on the way.
        let (attempt, context) = Attempt::new(document, source, room, self, &self.template);
        let (context, found) = attempt.rehearse(context, &decision, noise.as_ref());
        self.spares.keep(context);
        match found {
            Ok(Standing::Shown) => AsSaved::Proven,
            Ok(_) => AsSaved::Unknown(UNCLEAR.to_owned()),
            Err(refusal) => {
                let message = format!("before any conversion, {}", refusal.message);
                AsSaved::Failed(Refusal { message, ..refusal })
            }
        }
    }
}
