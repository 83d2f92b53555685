//! Loading: into a context of its own, verified, and only then made live. A refusal leaves live sessions as they were,
//! because nothing of theirs has been touched.

mod as_saved;
mod attempt;
pub(crate) mod image;
mod parts;
mod reading;
mod recomputed;
mod stream;
mod whole;
mod witnesses;

use intact_format::message::{KvStatus, Message};
use intact_format::parameters::Parameters;
use intact_format::passport::{Consequence, worst};
use intact_format::place::{FileSource, SessionSource};
use intact_format::route::{Decision, LoadSituation, Refusal, RefusalCode, Route, decide};
use intact_format::session::SessionDocument;
use std::path::Path;

use self::attempt::Attempt;
use self::reading::{ImageFile, Look, Reading};
use self::witnesses::Witnesses;
use crate::clock::Stopwatch;
use crate::context::{excess, with_forced};
use crate::engine::{Engine, Room};
use crate::error::EngineError;
use crate::llama::Token;
use crate::options::{LoadOptions, LoadParameters};
use crate::receipt::{Check, Loaded, Receipt, Transcoding};
use crate::sampler;
use crate::session::{Chat, Session};

/// Everything that is known before the first route is tried.
struct Plan {
    reading: Reading,
    parameters: Parameters,
    room: Room,
    decision: Result<Decision, Refusal>,
    notes: Vec<String>,
}

impl Engine {
    /// Loads a session file. The session becomes the current one; a live session of the same id is replaced.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with a code and the axes to blame; live sessions are as they were then.
    pub fn load(&mut self, path: impl AsRef<Path>, options: &LoadOptions) -> Result<Loaded, EngineError> {
        let path = path.as_ref();
        let mut source = FileSource::new(path);
        let loaded = self.carry_out(&mut source, Some(path), options)?;
        if let Some(document) = source.document_read() {
            self.files.note(loaded.id.as_str(), path, document);
        }
        Ok(loaded)
    }

    /// Loads a session from any place that holds a document and chunks, as [`Engine::load`] does from a file. A manifest
    /// lies beside a file only, so none is compared.
    ///
    /// # Errors
    /// Those of [`Engine::load`].
    pub fn load_from(
        &mut self,
        source: &mut dyn SessionSource,
        options: &LoadOptions,
    ) -> Result<Loaded, EngineError> {
        self.carry_out(source, None, options)
    }

    fn carry_out(
        &mut self,
        source: &mut dyn SessionSource,
        beside: Option<&Path>,
        options: &LoadOptions,
    ) -> Result<Loaded, EngineError> {
        let mut clock = Stopwatch::start();
        let Plan { reading, parameters, room, decision, mut notes } =
            self.plan(source, beside, options, Look::At, &mut clock)?;
        let decision = decision?;
        let quoted = reading.differences.clone();
        let Reading { document, steps, .. } = reading;
        let here = room.passport.clone();
        let template = self.template_given(document.inputs.as_ref())?;
        let (attempt, context) = Attempt::new(&document, source, room, self, &template);
        let mut witnesses = Witnesses::new(self, &document, source, &parameters, &here);
        let success = attempt.first_success(context, &decision, &mut witnesses, &mut clock)?;
        notes.extend(success.note);

        let transcoding = (success.route == Route::Transcoded)
            .then(|| Transcoding::of(steps.unwrap_or_default(), &success.distances));
        notes.extend(transcoding.as_ref().map(Transcoding::to_string));

        if success.route == Route::Replayed {
            notes.extend(rendered_anew(&document, success.timeline.tokens()));
        }
        notes.extend(self.template.notes());

        let id = document.session_id.clone();
        let mut session = Session {
            id: id.clone(),
            chat: success.chat,
            timeline: success.timeline,
            seed: document
                .sampler
                .map_or_else(|| sampler::session_seed(&parameters.sampler_parameters), |s| s.seed),
            template,
            parameters,
            probe: success.probe,
            passport: success.passport,
            saved: None,
        };
        if success.route == Route::Direct {
            session.remember(document.image.as_ref());
        }
        let receipt = Receipt {
            route: success.route,
            because: if success.route == decision.route { decision.because } else { success.because },
            axes: quoted,
            tokens_restored: success.tokens_restored,
            tokens_evaluated: success.tokens_evaluated,
            canary: success.canary,
            transcoding,
            parameters: session.parameters.digest(),
            replaced: self.register(session),
            notes,
            timings: clock.stop(),
        };
        Ok(Loaded { id, receipt })
    }

    /// Says what a load would do: every axis, the route, or the refusal. Nothing changes.
    ///
    /// # Errors
    /// When the file cannot be read as a session file at all, or the context cannot be created.
    pub fn check(&mut self, path: impl AsRef<Path>, options: &LoadOptions) -> Result<Check, EngineError> {
        let path = path.as_ref();
        let mut source = FileSource::new(path);
        let plan = self.plan(&mut source, Some(path), options, Look::Into, &mut Stopwatch::start())?;
        let (route, because) = match plan.decision {
            Ok(decision) => (Ok(decision.route), decision.because),
            Err(refusal) => (Err(refusal), String::new()),
        };
        let notes = [plan.notes, self.template.notes()].concat();
        Ok(Check { route, because, axes: plan.reading.differences, notes })
    }

    fn plan(
        &mut self,
        source: &mut dyn SessionSource,
        beside: Option<&Path>,
        options: &LoadOptions,
        look: Look,
        clock: &mut Stopwatch,
    ) -> Result<Plan, EngineError> {
        let mut reading = Reading::of(source, options.reader_format)?;
        if let Some(wanted) = options.expect.as_ref().filter(|wanted| **wanted != reading.document.session_id)
        {
            let found = reading.document.session_id.clone();
            return Err(EngineError::OtherSession { wanted: wanted.clone(), found });
        }
        clock.lap("read");
        let mut notes = std::mem::take(&mut reading.notes);
        let (parameters, preset) = self.parameters_for(&reading.document, options.parameters, &mut notes)?;
        let mut room = self.room(&parameters, preset.as_deref()).map_err(|error| match error {
            EngineError::Llama(_) | EngineError::Unsupported { .. } | EngineError::Parameters { .. }
                if options.parameters == LoadParameters::Saved =>
            {
                Refusal::new(RefusalCode::ParametersInvalid, error).into()
            }
            error => error,
        })?;
        // What a save here would write it in.
        room.passport.format = reading.document.version();
        clock.lap("context");
        if let Some(path) = beside.filter(|_| options.manifest) {
            reading::check_manifest(path, &room.passport)?;
        }
        reading.compare(&room.passport);
        let wanted = worst(&reading.differences) <= Consequence::Transcode
            && (options.policy.allows(Route::Direct) || options.policy.allows(Route::Transcoded));
        let look = if wanted { look } else { Look::Away };
        let image = ImageFile::of(source, &reading.document, look);
        clock.lap("locate");
        let decision = decide(&LoadSituation {
            differences: &reading.differences,
            image: image.status,
            tokens: tokens_of(&reading.document),
            n_ctx: room.passport.cache.n_ctx,
            lossy: reading.is_lossy(),
            policy: options.policy,
        })
        .and_then(|decision| can_be_shown(&reading.document, decision.route).map(|()| decision));
        notes.extend(image.remark);
        Ok(Plan { reading, parameters, room, decision, notes })
    }

    /// The parameters of a loaded session, and the preset they come from.
    fn parameters_for(
        &self,
        document: &SessionDocument,
        source: LoadParameters,
        notes: &mut Vec<String>,
    ) -> Result<(Parameters, Option<String>), EngineError> {
        let saved = document.parameters.as_ref();
        match (source, saved) {
            (LoadParameters::Saved, Some(saved)) => {
                let own = &self.parameters.context_parameters;
                if let Some(excess) = excess(&saved.context_parameters, own, &self.model) {
                    return Err(Refusal::new(RefusalCode::ParametersInvalid, excess).into());
                }
                let preset = document.passport.as_ref().and_then(|passport| passport.preset.clone());
                Ok((with_forced(saved, &self.forced), preset))
            }
            (LoadParameters::Saved, None) => {
                notes.push("The file keeps no parameters; the session has those of the engine.".to_owned());
                Ok((self.parameters.clone(), self.preset.clone()))
            }
            (LoadParameters::Preset, _) => Ok((self.parameters.clone(), self.preset.clone())),
            (LoadParameters::Defaults, _) => Ok((with_forced(&Parameters::default(), &self.forced), None)),
        }
    }
}

/// Whether a route keeps everything that the chat shows: a picture is in the KV, and not in the tokens that are evaluated
/// again.
fn can_be_shown(document: &SessionDocument, route: Route) -> Result<(), Refusal> {
    let loaded = document.history.iter().filter(|message| message.status != KvStatus::Unloaded);
    let mut pictures = loaded.flat_map(|message| message.media.iter().map(move |media| (message.id, media)));
    match pictures.next() {
        Some((id, media)) if matches!(route, Route::Reprefilled | Route::Replayed) => {
            let name = media.file_name.as_deref().unwrap_or("a picture");
            let (kind, width, height) = (&media.mime_type, media.width, media.height);
            let detail = format!(
                "message {id} shows {name} ({kind}, {width} × {height} pixels), which the route `{route}` would leave out"
            );
            Err(Refusal::new(RefusalCode::MediaMissing, detail))
        }
        _ => Ok(()),
    }
}

/// What a user should know where the messages, rendered anew, are other tokens than the model has seen.
pub(crate) fn rendered_anew(document: &SessionDocument, tokens: &[Token]) -> Option<String> {
    let saved = document.tokens().filter(|saved| saved != tokens)?;
    let common = saved.iter().zip(tokens).take_while(|(saved, here)| saved == here).count();
    Some(format!(
        "The messages were rendered anew and are other tokens from token {common} on: {} instead of the {} that were saved.",
        tokens.len(),
        saved.len()
    ))
}

/// Tokens that the session takes in the context.
fn tokens_of(document: &SessionDocument) -> u64 {
    document.tokens().map_or_else(|| document.positions(), |tokens| tokens.len() as u64)
}

/// The chat of a document.
fn chat_of(document: &SessionDocument, with_tokens: bool) -> Chat {
    let strip = |message: &Message| Message { tokens: None, span: None, ..message.clone() };
    Chat::of(if with_tokens {
        document.history.clone()
    } else {
        document.history.iter().map(strip).collect()
    })
}
