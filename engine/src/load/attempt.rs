//! Trying one route after the other until the session proves itself.

use std::sync::Arc;

use intact_format::canary::CanaryDistance;
use intact_format::image::{self, CellImage, Chunk, ImageReference, Target, assemble};
use intact_format::layout::{Container, Layout, Section, SectionShape, encode};
use intact_format::passport::Passport;
use intact_format::route::{Decision, Refusal, RefusalCode, Route};
use intact_format::session::SessionDocument;

use super::chat_of;
use super::reading::ImageFile;
use crate::clock::Stopwatch;
use crate::engine::Room;
use crate::llama::{Context, Model, SequenceState, Token};
use crate::probe::{Probe, Understood};
use crate::session::{Chat, Memory, Timeline};
use crate::template::ChatTemplate;

/// A load under way.
pub(super) struct Attempt<'a> {
    document: &'a SessionDocument,
    image: &'a ImageFile,
    template: &'a ChatTemplate,
    model: &'a Arc<Model>,
    probe: Probe,
    memory: Memory,
    passport: Passport,
    context: Option<Context>,
    evaluated: u64,
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
    pub(super) tokens_evaluated: u64,
    pub(super) canary: Option<CanaryDistance>,
    pub(super) notes: Vec<String>,
}

/// What one route gave.
struct Restored {
    chat: Chat,
    timeline: Timeline,
    tokens_restored: usize,
    canary: Option<CanaryDistance>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        document: &'a SessionDocument,
        image: &'a ImageFile,
        room: Room,
        template: &'a ChatTemplate,
        model: &'a Arc<Model>,
    ) -> Self {
        let Room { context, probe, memory, passport } = room;
        Self {
            document,
            image,
            template,
            model,
            probe,
            memory,
            passport,
            context: Some(context),
            evaluated: 0,
        }
    }

    /// Takes the routes of a decision in order until one works.
    pub(super) fn first_success(
        mut self,
        decision: &Decision,
        clock: &mut Stopwatch,
    ) -> Result<Success, Refusal> {
        let mut failures: Vec<(Route, Refusal)> = Vec::new();
        for route in decision.routes() {
            match self.take(route, decision, clock) {
                Ok(Restored { chat, timeline, tokens_restored, canary }) => {
                    let because: Vec<String> = failures.iter().map(told).collect();
                    return Ok(Success {
                        route,
                        because: because.join("\n"),
                        chat,
                        tokens_restored,
                        tokens_evaluated: self.evaluated + timeline.evaluations(),
                        canary,
                        notes: because,
                        timeline,
                        probe: self.probe,
                        passport: self.passport,
                    });
                }
                Err(refusal) => {
                    tracing::warn!(%route, %refusal, "a route did not lead to the saved session");
                    failures.push((route, refusal));
                }
            }
        }
        let told: Vec<String> = failures.iter().map(told).collect();
        Err(match failures.pop() {
            Some((_, last)) => Refusal { message: told.join("\n"), ..last },
            None => Refusal::new(RefusalCode::PolicyForbids, "no route is left"),
        })
    }

    fn take(
        &mut self,
        route: Route,
        decision: &Decision,
        clock: &mut Stopwatch,
    ) -> Result<Restored, Refusal> {
        let context = self.context.take().ok_or_else(|| engine_failed("the context is gone"))?;
        let (chat, mut timeline, tokens_restored) = match route {
            Route::Direct | Route::Transcoded => self.from_image(context)?,
            Route::Reprefilled => self.from_tokens(context)?,
            Route::Replayed => self.from_text(context)?,
        };
        clock.lap("restore");
        let logits = timeline.settled_logits().map_err(engine_failed)?.map(<[f32]>::to_vec);
        clock.lap("canary");
        let canary =
            self.document.canary.as_ref().zip(logits).map(|(canary, logits)| canary.distance(&logits));
        let rule = decision.canary_rule(route);
        match canary {
            Some(distance) if !rule.accepts(&distance) => {
                self.give_up(timeline);
                Err(Refusal::new(RefusalCode::CanaryFailed, format!("{distance}; required is: {rule}")))
            }
            canary => Ok(Restored { chat, timeline, tokens_restored, canary }),
        }
    }

    fn from_image(&mut self, mut context: Context) -> Result<(Chat, Timeline, usize), Refusal> {
        let tokens = match self.tokens() {
            Ok(tokens) => tokens,
            Err(refusal) => {
                self.context = Some(context);
                return Err(refusal);
            }
        };
        let restored = tokens.len().saturating_sub(1);
        if let Some(reference) = &self.document.image {
            let outcome =
                self.verified(reference, restored).and_then(|state| put(&mut context, &state, restored));
            if let Err(refusal) = outcome {
                context.clear();
                self.context = Some(context);
                return Err(refusal);
            }
        }
        Ok((chat_of(self.document, true), Timeline::restored(context, self.memory, tokens), restored))
    }

    /// The image as a state for this context: every chunk hashed, parsed to its last byte, and of this memory's own form.
    fn verified(&self, reference: &ImageReference, positions: usize) -> Result<SequenceState, Refusal> {
        match (reference, self.probe.understood()) {
            (ImageReference::Cells(image), Some(here)) => {
                let bytes = encoded(image, &self.image.chunks, here)?;
                let state = here.parse(&bytes).map_err(damaged)?;
                let last = state.last_position().and_then(|last| usize::try_from(last).ok());
                if last.map(|last| last + 1) != Some(positions) {
                    return Err(damaged(format!("it ends at another position than {positions} tokens do")));
                }
                Ok(SequenceState::verified(bytes))
            }
            (ImageReference::Opaque(_), None) => {
                let target = Target::blob(Layout::newest());
                Ok(SequenceState::verified(
                    assemble(reference, &self.image.chunks, &target).map_err(damaged)?,
                ))
            }
            _ => Err(Refusal::new(RefusalCode::LayoutDiffers, "the layout is known on one side only")),
        }
    }

    fn from_tokens(&mut self, context: Context) -> Result<(Chat, Timeline, usize), Refusal> {
        if self.document.tokens().is_none() {
            let sizes = |chat: &Chat| chat.loaded().map(|m| m.span.map(|span| span.size)).collect::<Vec<_>>();
            let saved = sizes(&chat_of(self.document, true));
            return self.rendered(context, |chat| {
                let differs =
                    sizes(chat).iter().zip(&saved).any(|(here, saved)| saved.is_some() && here != saved);
                let detail = "the messages tokenize to other lengths here than they had";
                if differs { Err(Refusal::new(RefusalCode::TokenizationDiffers, detail)) } else { Ok(()) }
            });
        }
        let tokens = match self.tokens() {
            Ok(tokens) => tokens,
            Err(refusal) => {
                self.context = Some(context);
                return Err(refusal);
            }
        };
        let timeline = self.evaluated(context, &tokens)?;
        Ok((chat_of(self.document, true), timeline, 0))
    }

    fn from_text(&mut self, context: Context) -> Result<(Chat, Timeline, usize), Refusal> {
        self.rendered(context, |_| Ok(()))
    }

    fn rendered(
        &mut self,
        context: Context,
        accept: impl Fn(&Chat) -> Result<(), Refusal>,
    ) -> Result<(Chat, Timeline, usize), Refusal> {
        let mut chat = chat_of(self.document, false);
        let stream = chat
            .stream(self.template, self.model)
            .map_err(|error| Refusal::new(RefusalCode::ChatTemplateDiffers, error))
            .and_then(|stream| accept(&chat).map(|()| stream))
            .and_then(|stream| fits(&stream, &context).map(|()| stream));
        let stream = match stream {
            Ok(stream) => stream,
            Err(refusal) => {
                self.context = Some(context);
                return Err(refusal);
            }
        };
        let timeline = self.evaluated(context, &stream)?;
        Ok((chat, timeline, 0))
    }

    fn evaluated(&mut self, context: Context, tokens: &[Token]) -> Result<Timeline, Refusal> {
        let mut timeline = Timeline::new(context, self.memory);
        match timeline.replace(tokens) {
            Ok(()) => Ok(timeline),
            Err(error) => {
                self.give_up(timeline);
                Err(engine_failed(error))
            }
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

    fn give_up(&mut self, timeline: Timeline) {
        self.evaluated += timeline.evaluations();
        let mut context = timeline.into_context();
        context.clear();
        self.context = Some(context);
    }
}

/// An image in the framing and the form of this memory. Where nothing differs, the bytes are the ones that were saved.
fn encoded(image: &CellImage, chunks: &[Chunk<'_>], here: &Understood) -> Result<Vec<u8>, Refusal> {
    let saved = image::state(image, chunks).map_err(damaged)?;
    let cannot = |error: &dyn std::fmt::Display| Refusal::new(RefusalCode::LayoutDiffers, error);
    let (mut state, _) = saved.convert(&here.cache_formats()).map_err(|error| cannot(&error))?;
    state.sequence = 0;
    state.streams = here.streams;
    if state.sections.len() != here.shape.sections.len() {
        return Err(cannot(&"the model has another number of caches here"));
    }
    for (section, shape) in state.sections.iter_mut().zip(&here.shape.sections) {
        if let (Section::Attention(section), SectionShape::Attention(shape)) = (section, shape) {
            section.shape = *shape;
        }
    }
    encode(&state, here.layout, Container::Blob).map_err(|error| cannot(&error))
}

/// Puts a state into an empty context and makes sure that all of it arrived: llama.cpp's own success only says that it
/// read something.
fn put(context: &mut Context, state: &SequenceState, positions: usize) -> Result<(), Refusal> {
    context.restore(state).map_err(engine_failed)?;
    let last = context.positions().map(|(_, last)| last + 1);
    if last != Some(positions) {
        let detail = format!("{positions} positions were restored and the memory ends at {last:?}");
        return Err(engine_failed(detail));
    }
    let size = context.state_size(crate::llama::Part::Whole);
    if size != state.bytes().len() {
        let detail = format!("{} bytes of state became {size}", state.bytes().len());
        return Err(engine_failed(detail));
    }
    Ok(())
}

fn fits(stream: &[Token], context: &Context) -> Result<(), Refusal> {
    let n_ctx = context.n_ctx() as usize;
    if stream.len() <= n_ctx {
        return Ok(());
    }
    let detail = format!("the session has {} tokens and the context here has room for {n_ctx}", stream.len());
    Err(Refusal::new(RefusalCode::ContextTooSmall, detail))
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::ImageDamaged, error)
}

fn engine_failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::EngineFailed, error)
}

fn told((route, refusal): &(Route, Refusal)) -> String {
    format!("Route {route} failed: {refusal}.")
}
