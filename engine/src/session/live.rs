//! A live session: its chat, its token stream, its parameters.

use std::sync::Arc;

use intact_format::image::{CellImage, ImageReference};
use intact_format::inputs::TemplateInputs;
use intact_format::message::{Message, Role};
use intact_format::parameters::{CacheCleanupStrategy, Parameters};
use intact_format::passport::Passport;
use intact_format::session_id::SessionId;

use super::streamed_text::StreamedText;
use super::turn::Turn;
use super::{Chat, Prompt, Timeline};
use crate::cancel::CancelToken;
use crate::cleanup::{self, MessageSize};
use crate::error::EngineError;
use crate::llama::{Model, Sampler, Stage, Token};
use crate::probe::Probe;
use crate::sampler;
use crate::setters::setters;
use crate::template::ChatTemplate;

/// A live session.
#[derive(Debug)]
pub struct Session {
    pub(crate) id: SessionId,
    pub(crate) chat: Chat,
    pub(crate) timeline: Timeline,
    pub(crate) parameters: Parameters,
    pub(crate) seed: u32,
    pub(crate) template: Arc<ChatTemplate>,
    pub(crate) probe: Probe,
    pub(crate) passport: Passport,
    /// The image of the last save or load, of which a later save keeps what has not changed.
    pub(crate) saved: Option<CellImage>,
}

/// How a reply comes about.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Generation {
    /// The reply's text, forced token by token as if it had been sampled; `None` generates it.
    pub forced: Option<String>,
    /// Most tokens to generate; `None` takes the session's parameter.
    pub max_tokens: Option<u32>,
    /// Take the likeliest token each time, whatever the sampler parameters say.
    pub greedy: bool,
    /// Stops the reply.
    pub cancel: Option<CancelToken>,
}

impl Generation {
    setters! {
        forced(text: impl Into<String>) => Some(text.into());
        max_tokens(most: u32) => Some(most);
        greedy(greedy: bool) => greedy;
        cancel(token: CancelToken) => Some(token);
    }
}

/// A reply of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the whole session now.
    pub tokens: usize,
    /// Tokens that were evaluated for the message and the reply.
    pub tokens_evaluated: u64,
    /// Messages that had to leave the context to make room.
    pub unloaded: usize,
    /// What was done to the earlier messages, one sentence each.
    pub notes: Vec<String>,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model ended its turn, or the forced text did.
    EndOfTurn,
    /// It reached the most tokens allowed.
    MaxTokens,
    /// The context is full.
    ContextFull,
}

/// The share of the context that is kept free for a reply: a quarter.
const REPLY_SHARE: usize = 4;

impl Session {
    /// The id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The chat.
    #[must_use]
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// The token stream.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The parameters in force.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        self.timeline.context().model()
    }

    /// Puts in the system prompt and the history that the parameters start a chat with.
    pub(crate) fn begin(&mut self) -> Result<(), EngineError> {
        let parameters = &self.parameters.chat_parameters;
        if !parameters.system_prompt.is_empty() {
            self.chat.push(Role::System, parameters.system_prompt.clone());
        }
        for message in &parameters.history {
            self.chat.push(message.role.into(), message.content.clone());
        }
        if self.chat.messages().is_empty() {
            return Ok(());
        }
        // A template that refuses a chat without a user's message gets these together with the first one.
        match self.chat.stream(&self.template, &Arc::clone(self.model())) {
            Ok(stream) => Ok(self.timeline.extend(&stream)?),
            Err(error) => {
                tracing::debug!(session = %self.id, %error, "the first messages wait for the user's");
                Ok(())
            }
        }
    }

    /// Adds a user's message and the model's reply. `on_text` gets the reply piece by piece.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] leaves the user's message in place, without the reply; after any other error the session
    /// is what it was.
    pub fn say(
        &mut self,
        text: &str,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Reply, EngineError> {
        self.tell([Message::new(0, Role::User, text)], generation, on_text)
    }

    /// Adds messages of any kind and the model's reply to them: what tools answer, or a user's message. Their ids are given
    /// by the session.
    ///
    /// # Errors
    /// As [`Session::say`], and where a message has what its speaker cannot have, or the chat template does not show it.
    pub fn tell(
        &mut self,
        messages: impl IntoIterator<Item = Message>,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Reply, EngineError> {
        let mut turn = Turn::begin(self);
        turn.session().append(messages)?;
        let outcome = turn.session().reply(generation, on_text);
        if matches!(outcome, Ok(_) | Err(EngineError::Cancelled { .. })) {
            turn.commit();
        }
        outcome
    }

    /// Adds messages of any kind and evaluates them, without a reply: a call of the assistant that somebody else has read,
    /// or what a tool answers while another answer is awaited.
    ///
    /// # Errors
    /// As [`Session::tell`]; the session is what it was then.
    pub fn add(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), EngineError> {
        let mut turn = Turn::begin(self);
        let session = turn.session();
        session.append(messages)?;
        let model = Arc::clone(session.model());
        let stream = session.chat.stream(&session.template, &model)?;
        session.feed(&stream)?;
        turn.commit();
        Ok(())
    }

    /// Reads the last reply in another way: the calls of tools in it, its reasoning and the answer, which the model wrote as
    /// one text. The tokens stay what the model wrote; the chat template is given what was read.
    ///
    /// # Errors
    /// When the last message is no reply, or `reply` is none, or the chat template does not show it; the session is what it
    /// was then.
    pub fn read_reply(&mut self, reply: Message) -> Result<(), EngineError> {
        let last = self.chat.messages().last().map(|message| message.role);
        if last != Some(Role::Assistant) || reply.role != Role::Assistant {
            return Err(EngineError::Message {
                what: "no reply of the assistant to be read in another way".into(),
            });
        }
        sound(&reply)?;
        let mut turn = Turn::begin(self);
        let session = turn.session();
        session.chat.reread_last(reply);
        session.template.shows(&session.chat.for_template())?;
        // What can never be rendered again would end the session.
        let model = Arc::clone(session.model());
        session.closing(&model)?;
        turn.commit();
        Ok(())
    }

    /// What the chat template is given besides the messages; none where its rendering depends on nothing else.
    #[must_use]
    pub fn inputs(&self) -> Option<TemplateInputs> {
        self.template.inputs()
    }

    /// Gives the chat template something else besides the messages, such as tools. Messages that are in the context already
    /// are rendered again, and evaluated from the first token that differs.
    ///
    /// # Errors
    /// When the chat template can be given no such inputs, or does not show tools; the session is what it was then.
    pub fn set_inputs(&mut self, inputs: &TemplateInputs) -> Result<(), EngineError> {
        let mut turn = Turn::begin(self);
        let session = turn.session();
        session.template = Arc::new(session.template.with_inputs(inputs)?);
        session.template.shows(&session.chat.for_template())?;
        if !session.timeline.tokens().is_empty() {
            session.chat.forget_runs();
            let model = Arc::clone(session.model());
            let stream = session.chat.stream(&session.template, &model)?;
            session.feed(&stream)?;
        }
        turn.commit();
        Ok(())
    }

    fn append(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), EngineError> {
        for message in messages {
            sound(&message)?;
            if message.role == Role::System && !self.chat.messages().is_empty() {
                return Err(EngineError::Message {
                    what: "a system prompt that is not the first message".into(),
                });
            }
            self.chat.append(message);
        }
        Ok(())
    }

    fn reply(
        &mut self,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Reply, EngineError> {
        let model = Arc::clone(self.model());
        let before = self.timeline.evaluations();
        let forced = generation.forced.as_deref().map(|text| model.tokenize(text, false, false));
        let max_tokens = generation.max_tokens.unwrap_or(self.parameters.chat_parameters.max_tokens) as usize;
        let closing = self.closing(&model)?;
        let n_ctx = self.timeline.context().n_ctx() as usize;
        let reply = forced.as_ref().map_or(max_tokens.min(n_ctx / REPLY_SHARE), Vec::len);
        let (unloaded, Prompt { stream, opening: header }) = self.make_room(reply + closing.len())?;
        let prompt_end = stream.len();
        let rewritten = !stream.starts_with(self.timeline.tokens()) && unloaded == 0;
        self.feed(&[stream.as_slice(), &header].concat())?;
        let generated = match forced {
            Some(tokens) => self.force(&tokens, generation, on_text),
            None => self.generate(max_tokens, closing.len(), generation, on_text),
        };
        let (tokens, text, finish) = match generated {
            Ok(generated) => generated,
            Err(error) => {
                // Whoever cancels keeps the message.
                let fed = self.timeline.tokens().get(..prompt_end).map(<[Token]>::to_vec);
                self.timeline.revert(&fed.unwrap_or_default());
                return Err(error);
            }
        };
        for &token in &closing {
            self.timeline.push(token)?;
        }
        // A vocabulary that marks word starts gives a forced reply back with a space before it.
        let text = generation.forced.clone().unwrap_or(text);
        self.chat.push(Role::Assistant, text.clone());
        self.chat.note_run(prompt_end, &[header, tokens, closing].concat());
        Ok(Reply {
            text,
            finish,
            tokens: self.timeline.tokens().len(),
            tokens_evaluated: self.timeline.evaluations() - before,
            unloaded,
            notes: notes(unloaded, rewritten),
        })
    }

    /// Brings the token stream to what shall be in it.
    fn feed(&mut self, stream: &[Token]) -> Result<(), EngineError> {
        match stream.strip_prefix(self.timeline.tokens()) {
            Some(new) => self.timeline.extend(new)?,
            None => self.timeline.replace(stream)?,
        }
        Ok(())
    }

    /// Unloads messages by the session's strategy until the last message, the opening of a reply and `extra` more tokens fit.
    /// Gives how many, and the prompt.
    fn make_room(&mut self, extra: usize) -> Result<(usize, Prompt), EngineError> {
        let model = Arc::clone(self.model());
        let prompt = self.chat.prompt(&self.template, &model)?;
        let extra = prompt.opening.len() + extra;
        let n_ctx = self.timeline.context().n_ctx() as usize;
        if prompt.stream.len() + extra <= n_ctx {
            return Ok((0, prompt));
        }
        let mut sizes = self.sizes();
        let open = sizes.split_off(sizes.len() - cleanup::open_messages(&sizes));
        let last = open.iter().map(|message| message.tokens).sum::<usize>();
        let too_long = || EngineError::MessageTooLong { id: self.id.clone(), tokens: last + extra, n_ctx };
        let budget = n_ctx.checked_sub(last + extra).ok_or_else(too_long)?;
        let mut keep = cleanup::keep(self.parameters.chat_parameters.cache_cleanup_strategy, &sizes, budget)?;
        let unloaded = sizes.len() - keep.len();
        keep.extend(sizes.len()..sizes.len() + open.len());
        self.chat.keep_loaded(&keep);
        tracing::info!(session = %self.id, unloaded, "messages left the context to make room");
        Ok((unloaded, self.chat.prompt(&self.template, &model)?))
    }

    /// Unloads messages by a strategy. Gives the number of messages that left the context.
    ///
    /// # Errors
    /// When what remains does not fit or cannot be evaluated again; the session is what it was then.
    pub fn clean_up(&mut self, strategy: CacheCleanupStrategy) -> Result<usize, EngineError> {
        let mut turn = Turn::begin(self);
        let unloaded = turn.session().unload(strategy)?;
        turn.commit();
        Ok(unloaded)
    }

    fn unload(&mut self, strategy: CacheCleanupStrategy) -> Result<usize, EngineError> {
        let model = Arc::clone(self.model());
        let sizes = self.sizes();
        let keep = cleanup::keep(strategy, &sizes, self.timeline.context().n_ctx() as usize)?;
        self.chat.keep_loaded(&keep);
        let stream = self.chat.stream(&self.template, &model)?;
        self.timeline.replace(&stream)?;
        Ok(sizes.len() - keep.len())
    }

    /// Forces the tokens of a text, each evaluated alone, and gives the logits after the session's last token and after
    /// each of them. They become an assistant's message without framing.
    ///
    /// # Errors
    /// When the session is empty, the text does not fit, or evaluation fails; the session is what it was then.
    pub fn score(
        &mut self,
        text: &str,
        max_tokens: usize,
    ) -> Result<(Vec<Token>, Vec<Vec<f32>>), EngineError> {
        let mut turn = Turn::begin(self);
        let scored = turn.session().forced(text, max_tokens)?;
        turn.commit();
        Ok(scored)
    }

    fn forced(&mut self, text: &str, max_tokens: usize) -> Result<(Vec<Token>, Vec<Vec<f32>>), EngineError> {
        let mut tokens = self.model().tokenize(text, false, false);
        tokens.truncate(max_tokens);
        let start = self.timeline.tokens().len();
        let rows =
            self.timeline.scored(&tokens)?.ok_or_else(|| EngineError::Empty { id: self.id.clone() })?;
        if !tokens.is_empty() {
            self.chat.push(Role::Assistant, self.model().text(&tokens));
            self.chat.note_run(start, &tokens);
        }
        Ok((tokens, rows))
    }

    /// Remembers an image of all tokens but the last, which has just been saved or restored as it is.
    pub(crate) fn remember(&mut self, image: Option<&ImageReference>) {
        if let Some(ImageReference::Cells(image)) = image {
            self.timeline.start_watching(image.cells() as usize);
            self.saved = Some(image.clone());
        }
    }

    fn sizes(&self) -> Vec<MessageSize> {
        self.chat
            .loaded()
            .map(|message| MessageSize {
                role: message.role,
                tokens: message.tokens.as_ref().map_or(0, Vec::len),
            })
            .collect()
    }

    fn closing(&self, model: &Model) -> Result<Vec<Token>, EngineError> {
        let text = self.template.closing(&self.chat.for_template())?;
        Ok(model.tokenize(&text, false, true))
    }

    fn force(
        &mut self,
        tokens: &[Token],
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Token>, String, Finish), EngineError> {
        let mut text = StreamedText::new();
        for &token in tokens {
            self.stop_if_cancelled(generation)?;
            self.timeline.push(token)?;
            text.add(&self.model().piece(token, false), on_text);
        }
        Ok((tokens.to_vec(), text.finish(on_text), Finish::EndOfTurn))
    }

    fn generate(
        &mut self,
        max_tokens: usize,
        closing: usize,
        generation: &Generation,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Token>, String, Finish), EngineError> {
        let mut sampler = self.sampler(generation.greedy)?;
        let (mut tokens, mut text) = (Vec::new(), StreamedText::new());
        let finish = loop {
            self.stop_if_cancelled(generation)?;
            if tokens.len() >= max_tokens {
                break Finish::MaxTokens;
            }
            if self.timeline.room() <= closing {
                break Finish::ContextFull;
            }
            let logits = self.timeline.logits()?.unwrap_or_default();
            let token =
                sampler.sample(logits).ok_or_else(|| EngineError::NothingToSample { id: self.id.clone() })?;
            if self.model().ends_generation(token) {
                break Finish::EndOfTurn;
            }
            self.timeline.push(token)?;
            tokens.push(token);
            text.add(&self.model().piece(token, false), on_text);
        };
        Ok((tokens, text.finish(on_text), finish))
    }

    /// A sampler for one reply: a pure function of the parameters, the session's seed and its tokens.
    fn sampler(&self, greedy: bool) -> Result<Sampler, EngineError> {
        let tokens = self.timeline.tokens();
        let seed = sampler::reply_seed(self.seed, tokens.len());
        let stages: Vec<Stage> = if greedy {
            sampler::greedy_plan()
        } else {
            sampler::plan(&self.parameters.sampler_parameters, seed, self.timeline.context().n_ctx())
        };
        let mut sampler = Sampler::new(self.model(), &stages)?;
        tokens.iter().for_each(|&token| sampler.accept(token));
        Ok(sampler)
    }

    fn stop_if_cancelled(&self, generation: &Generation) -> Result<(), EngineError> {
        match &generation.cancel {
            Some(cancel) if cancel.is_cancelled() => Err(EngineError::Cancelled { id: self.id.clone() }),
            _ => Ok(()),
        }
    }
}

/// Fails where a message has what its speaker cannot have.
fn sound(message: &Message) -> Result<(), EngineError> {
    let flaw =
        |what| EngineError::Message { what: format!("a message of the role {} that {what}", message.role) };
    message.flaw().map_or(Ok(()), |what| Err(flaw(what)))
}

/// What a reply did to the messages before it.
fn notes(unloaded: usize, rewritten: bool) -> Vec<String> {
    let left = (unloaded > 0).then(|| {
        format!("Messages left the full context to make room: {unloaded}. They stay in the history, and the model no longer sees them.")
    });
    let rewritten = rewritten.then(|| {
        "The chat template changed earlier messages, as it does when new ones are added; they were evaluated again from there."
            .to_owned()
    });
    left.into_iter().chain(rewritten).collect()
}
