//! Trying one route after the other until the session proves itself.

use std::sync::Arc;

use intact_format::canary::{CanaryDistance, Standing};
use intact_format::layout::Distances;
use intact_format::noise::Noise;
use intact_format::passport::Passport;
use intact_format::place::SessionSource;
use intact_format::route::{Decision, Refusal, RefusalCode, Route};
use intact_format::session::SessionDocument;

use super::image::restore;
use super::witnesses::{Witnesses, loses, refuted_by};
use super::{can_be_shown, chat_of};
use crate::clock::Stopwatch;
use crate::engine::{Engine, Room};
use crate::llama::{Context, Model, Token};
use crate::probe::Probe;
use crate::session::{Chat, Memory, Timeline};
use crate::template::ChatTemplate;

/// A load under way.
pub(super) struct Attempt<'a> {
    document: &'a SessionDocument,
    source: &'a dyn SessionSource,
    template: Arc<ChatTemplate>,
    model: Arc<Model>,
    probe: Probe,
    memory: Memory,
    passport: Passport,
}

/// A load that worked.
pub(super) struct Success {
    pub(super) route: Route,
    pub(super) because: String,
    pub(super) chat: Chat,
    pub(super) timeline: Timeline,
    pub(super) probe: Probe,
    pub(super) passport: Passport,
    pub(super) tokens_restored: usize,
    pub(super) distances: Distances,
    pub(super) tokens_evaluated: u64,
    pub(super) canary: Option<CanaryDistance>,
    pub(super) note: Option<String>,
}

/// A route that led to a session which proved itself.
struct Proven {
    restored: Restored,
    canary: Option<CanaryDistance>,
    /// What is to be said about it.
    note: Option<String>,
}

/// What one route gave.
struct Restored {
    chat: Chat,
    timeline: Timeline,
    tokens_restored: usize,
    distances: Distances,
}

/// A route that did not work: the context comes back for the next one.
struct Failed {
    context: Context,
    evaluated: u64,
    refusal: Refusal,
}

impl<'a> Attempt<'a> {
    /// An attempt and the empty context that it has.
    pub(super) fn new(
        document: &'a SessionDocument,
        source: &'a dyn SessionSource,
        room: Room,
        engine: &Engine,
        template: &Arc<ChatTemplate>,
    ) -> (Self, Context) {
        let Room { context, probe, memory, passport } = room;
        let (template, model) = (Arc::clone(template), Arc::clone(&engine.model));
        (Self { document, source, template, model, probe, memory, passport }, context)
    }

    /// Takes the routes of a decision in order until one works.
    pub(super) fn first_success(
        self,
        mut context: Context,
        decision: &Decision,
        witnesses: &mut Witnesses<'_>,
        clock: &mut Stopwatch,
    ) -> Result<Success, Refusal> {
        let mut evaluated = 0;
        let mut failures: Vec<(Route, Refusal)> = Vec::new();
        for route in decision.routes() {
            match self.proven(route, context, decision, witnesses, clock) {
                Ok(Proven {
                    restored: Restored { chat, timeline, tokens_restored, distances },
                    canary,
                    note,
                }) => {
                    return Ok(Success {
                        route,
                        because: told(&failures),
                        chat,
                        tokens_restored,
                        distances,
                        tokens_evaluated: evaluated + timeline.evaluations(),
                        canary,
                        note,
                        timeline,
                        probe: self.probe,
                        passport: self.passport,
                    });
                }
                Err(failed) => {
                    let Failed { context: back, evaluated: wasted, refusal } = *failed;
                    tracing::warn!(%route, %refusal, "a route did not lead to the saved session");
                    context = back;
                    context.clear();
                    evaluated += wasted;
                    failures.push((route, refusal));
                }
            }
        }
        let message = told(&failures);
        Err(match failures.pop() {
            Some((_, last)) => Refusal { message, ..last },
            None => Refusal::new(RefusalCode::PolicyForbids, "no route is left"),
        })
    }

    /// Takes the route of a decision only to see what the logits say of the session; gives the context back, used.
    pub(super) fn rehearse(
        &self,
        context: Context,
        decision: &Decision,
        noise: Option<&Noise>,
    ) -> (Context, Result<Standing, Refusal>) {
        match self.looked_at(decision.route, context, &mut Stopwatch::start()) {
            Ok((restored, canary)) => {
                let rule = decision.canary_rule(decision.route);
                let standing = canary.map_or(Standing::Shown, |distance| rule.standing(&distance, noise));
                let refuted = canary.filter(|_| standing == Standing::Refuted);
                let found = refuted.map_or(Ok(standing), |distance| Err(refuted_by(distance, rule)));
                (restored.timeline.into_context(), found)
            }
            Err(failed) => (failed.context, Err(failed.refusal)),
        }
    }

    /// Takes a route and lets the session prove itself: the model must say what it said, or whatever else can tell must
    /// vouch for it.
    fn proven(
        &self,
        route: Route,
        context: Context,
        decision: &Decision,
        witnesses: &mut Witnesses<'_>,
        clock: &mut Stopwatch,
    ) -> Result<Proven, Box<Failed>> {
        if let Err(refusal) = can_be_shown(self.document, route) {
            return Err(Failed::before(context, refusal));
        }
        // What is lost on the way could hide another session, so the image shows first that it is the saved one.
        if loses(decision, route)
            && let Err(refusal) = witnesses.before_conversion()
        {
            return Err(Failed::before(context, refusal));
        }
        let (mut restored, canary) = self.looked_at(route, context, clock)?;
        let Some(distance) = canary else { return Ok(Proven { restored, canary, note: None }) };
        let heard = witnesses.hear(route, decision, &distance, &mut restored.timeline, &self.probe);
        clock.lap("witnesses");
        match heard {
            Ok(note) => Ok(Proven { restored, canary, note }),
            Err(refusal) => Err(Failed::after(restored.timeline, refusal)),
        }
    }

    /// Takes a route, and says how far the model is from what it said.
    fn looked_at(
        &self,
        route: Route,
        context: Context,
        clock: &mut Stopwatch,
    ) -> Result<(Restored, Option<CanaryDistance>), Box<Failed>> {
        let mut restored = match route {
            Route::Direct | Route::Transcoded => self.restored(context),
            Route::Reprefilled => self.reprefilled(context),
            Route::Replayed => self.rendered(context, |_| Ok(())),
        }?;
        clock.lap("restore");
        let logits = restored.timeline.settled_logits().map(|logits| logits.map(<[f32]>::to_vec));
        let logits = match logits {
            Ok(logits) => logits,
            Err(error) => return Err(Failed::after(restored.timeline, engine_failed(error))),
        };
        clock.lap("canary");
        let canary =
            self.document.canary.as_ref().zip(logits).map(|(canary, logits)| canary.distance(&logits));
        Ok((restored, canary))
    }

    /// The saved KV, in this context's own form.
    fn restored(&self, mut context: Context) -> Result<Restored, Box<Failed>> {
        let tokens = match self.tokens() {
            Ok(tokens) => tokens,
            Err(refusal) => return Err(Failed::before(context, refusal)),
        };
        let tokens_restored = tokens.len().saturating_sub(1);
        let mut distances = Distances::default();
        if let Some(reference) = &self.document.image {
            match restore(&mut context, self.memory, &self.probe, reference, self.source, &tokens) {
                Ok(apart) => distances = apart,
                Err(refusal) => return Err(Failed::before(context, refusal)),
            }
        }
        let timeline = Timeline::restored(context, self.memory, tokens);
        Ok(Restored { chat: chat_of(self.document, true), timeline, tokens_restored, distances })
    }

    /// The saved tokens, evaluated again. Where the file keeps none, the messages are rendered, and must take as many
    /// tokens as they did.
    fn reprefilled(&self, context: Context) -> Result<Restored, Box<Failed>> {
        if self.document.tokens().is_none() {
            let saved = sizes(&chat_of(self.document, true));
            return self.rendered(context, |chat| {
                let differs =
                    sizes(chat).iter().zip(&saved).any(|(here, saved)| saved.is_some() && here != saved);
                let detail = "the messages tokenize to other lengths here than they had";
                if differs { Err(Refusal::new(RefusalCode::TokenizationDiffers, detail)) } else { Ok(()) }
            });
        }
        match self.tokens() {
            Ok(tokens) => self.evaluated(context, chat_of(self.document, true), &tokens),
            Err(refusal) => Err(Failed::before(context, refusal)),
        }
    }

    /// The messages, rendered with the template here and evaluated.
    fn rendered(
        &self,
        context: Context,
        accept: impl Fn(&Chat) -> Result<(), Refusal>,
    ) -> Result<Restored, Box<Failed>> {
        let mut chat = chat_of(self.document, false);
        let stream = chat
            .stream(&self.template, &self.model)
            .map_err(|error| Refusal::new(RefusalCode::ChatTemplateDiffers, error))
            .and_then(|stream| accept(&chat).map(|()| stream))
            .and_then(|stream| fits(&stream, &context).map(|()| stream));
        match stream {
            Ok(stream) => self.evaluated(context, chat, &stream),
            Err(refusal) => Err(Failed::before(context, refusal)),
        }
    }

    fn evaluated(&self, context: Context, chat: Chat, tokens: &[Token]) -> Result<Restored, Box<Failed>> {
        let mut timeline = Timeline::new(context, self.memory);
        match timeline.replace(tokens) {
            Ok(()) => Ok(Restored { chat, timeline, tokens_restored: 0, distances: Distances::default() }),
            Err(error) => Err(Failed::after(timeline, engine_failed(error))),
        }
    }

    /// The saved tokens, all of them known to the vocabulary.
    fn tokens(&self) -> Result<Vec<Token>, Refusal> {
        let tokens = self.document.tokens().unwrap_or_default();
        match tokens.iter().find(|&&token| !self.model.knows(token)) {
            None => Ok(tokens),
            Some(token) => {
                let detail = format!("token {token} is not in the vocabulary of {}", self.model.n_vocab());
                Err(Refusal::new(RefusalCode::TokenizerDiffers, detail))
            }
        }
    }
}

impl Failed {
    fn before(context: Context, refusal: Refusal) -> Box<Self> {
        Box::new(Self { context, evaluated: 0, refusal })
    }

    fn after(timeline: Timeline, refusal: Refusal) -> Box<Self> {
        Box::new(Self { evaluated: timeline.evaluations(), context: timeline.into_context(), refusal })
    }
}

fn sizes(chat: &Chat) -> Vec<Option<u32>> {
    chat.loaded().map(|message| message.span.map(|span| span.size)).collect()
}

fn fits(stream: &[Token], context: &Context) -> Result<(), Refusal> {
    let n_ctx = context.n_ctx() as usize;
    if stream.len() <= n_ctx {
        return Ok(());
    }
    let detail = format!("the session has {} tokens and the context here has room for {n_ctx}", stream.len());
    Err(Refusal::new(RefusalCode::ContextTooSmall, detail))
}

fn engine_failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::EngineFailed, error)
}

fn told(failures: &[(Route, Refusal)]) -> String {
    let lines: Vec<String> =
        failures.iter().map(|(route, refusal)| format!("The route `{route}` failed: {refusal}")).collect();
    lines.join("\n")
}
