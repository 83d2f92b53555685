//! The messages of a session, and how each becomes tokens of the stream.

use intact_format::message::{KvSpan, KvStatus, Message, Role};

use crate::llama::{Model, Token};
use crate::template::{ChatMessage, ChatTemplate, Stretch, TemplateError};

/// The messages of a session in order. Those that are loaded tile the token stream: the run of a message includes its
/// template framing.
#[derive(Debug, Clone, Default)]
pub struct Chat {
    messages: Vec<Message>,
    next_id: i32,
}

/// What the model answers to.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The runs of all loaded messages.
    pub stream: Vec<Token>,
    /// The opening of an answer.
    pub opening: Vec<Token>,
}

impl Chat {
    /// The chat of a saved session.
    #[must_use]
    pub fn of(messages: Vec<Message>) -> Self {
        let next_id = messages.iter().map(|message| message.id).max().map_or(0, |id| id.saturating_add(1));
        Self { messages, next_id }
    }

    /// Every message, unloaded ones too.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The messages that are in the token stream.
    pub fn loaded(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.status != KvStatus::Unloaded)
    }

    /// Appends a message whose run is not known yet.
    pub fn push(&mut self, role: Role, content: impl Into<String>) {
        self.append(Message::new(0, role, content));
    }

    /// Appends a message as it is, but for its id, its run and its place, which are those of this chat.
    pub fn append(&mut self, message: Message) {
        let place = Message { id: self.next_id, tokens: None, span: None, ..message };
        self.messages.push(Message { status: KvStatus::Loaded, ..place });
        self.next_id = self.next_id.saturating_add(1);
    }

    /// Reads the last message in another way: what it says and has besides is that of `message`, its run stays.
    pub fn reread_last(&mut self, message: Message) {
        if let Some(last) = self.messages.last_mut() {
            (last.content, last.details) = (message.content, message.details);
        }
    }

    /// Forgets the runs of all loaded messages, so that they are rendered again.
    pub fn forget_runs(&mut self) {
        for message in self.messages.iter_mut().filter(|message| message.status != KvStatus::Unloaded) {
            (message.tokens, message.span) = (None, None);
        }
    }

    /// Drops messages from the end until `count` are left.
    pub fn truncate(&mut self, count: usize) {
        self.messages.truncate(count);
    }

    /// Notes the run of the last message, which starts at `start`.
    pub fn note_run(&mut self, start: usize, tokens: &[Token]) {
        if let Some(message) = self.messages.last_mut() {
            set_run(message, start, tokens.to_vec());
        }
    }

    /// Keeps the loaded messages with these indices among the loaded ones in the stream and unloads the others.
    pub fn keep_loaded(&mut self, keep: &[usize]) {
        let loaded = self.messages.iter_mut().filter(|message| message.status != KvStatus::Unloaded);
        for (at, message) in loaded.enumerate() {
            if !keep.contains(&at) {
                message.status = KvStatus::Unloaded;
                message.span = None;
                message.tokens = None;
            }
        }
    }

    /// The runs of all loaded messages as one stream, with every span brought up to date. Runs that are not known, and
    /// all of them where the template rewrites earlier messages, are rendered.
    ///
    /// # Errors
    /// When the template refuses the messages.
    pub fn stream(&mut self, template: &ChatTemplate, model: &Model) -> Result<Vec<Token>, TemplateError> {
        let rendered = rendered(&self.loaded().collect::<Vec<_>>(), template, model)?;
        Ok(self.note_runs(rendered))
    }

    /// Notes the run of each loaded message, and gives them as one stream. None is the run that a message has already.
    fn note_runs(&mut self, runs: Vec<Option<Vec<Token>>>) -> Vec<Token> {
        let mut stream: Vec<Token> = Vec::new();
        let loaded = self.messages.iter_mut().filter(|message| message.status != KvStatus::Unloaded);
        for (message, run) in loaded.zip(runs) {
            let run = run.or_else(|| message.tokens.take()).unwrap_or_default();
            let start = stream.len();
            stream.extend_from_slice(&run);
            set_run(message, start, run);
        }
        stream
    }

    /// What the model answers to.
    ///
    /// # Errors
    /// Those of [`Chat::stream`].
    pub fn prompt(&mut self, template: &ChatTemplate, model: &Model) -> Result<Prompt, TemplateError> {
        match template.generation_prompt(&self.for_template()) {
            Ok(opening) => Ok(Prompt {
                stream: self.stream(template, model)?,
                opening: model.tokenize(&opening, false, true),
            }),
            // It shows the chat in another way where an answer shall follow.
            Err(TemplateError::Rewrites { .. }) => {
                let whole = template.whole(&self.for_template(), true)?;
                let stream = self.note_runs(anew(&whole.runs, model));
                Ok(Prompt { stream, opening: tokens_of(&whole.opening, model) })
            }
            Err(error) => Err(error),
        }
    }

    /// The messages as a template takes them.
    #[must_use]
    pub fn for_template(&self) -> Vec<ChatMessage<'_>> {
        for_template(self.loaded())
    }
}

/// The run of message `at`: what the template adds for it.
fn run(
    messages: &[ChatMessage<'_>],
    at: usize,
    template: &ChatTemplate,
    model: &Model,
) -> Result<Vec<Token>, TemplateError> {
    let added = template.added(messages, at)?;
    // A system message that the template can only show with the next one has no text of its own.
    let first = at == 0 || (at == 1 && template.suffix(messages, 0)?.is_empty());
    Ok(tokens_at(&added, first, model))
}

/// The runs of messages, none for those that stay as they are.
fn rendered(
    messages: &[&Message],
    template: &ChatTemplate,
    model: &Model,
) -> Result<Vec<Option<Vec<Token>>>, TemplateError> {
    let chat = for_template(messages.iter().copied());
    let begins = messages.first().is_none_or(|first| first.span.is_some_and(|span| span.start == 0));
    messages
        .iter()
        .enumerate()
        .map(|(at, message)| match &message.tokens {
            Some(_) if begins || at > 0 => Ok(None),
            _ => run(&chat, at, template, model).map(Some),
        })
        .collect::<Result<_, _>>()
        .or_else(|error| match error {
            TemplateError::Rewrites { .. } => Ok(anew(&template.whole(&chat, false)?.runs, model)),
            error => Err(error),
        })
}

/// The runs of a chat that was rendered as a whole.
fn anew(whole: &[Vec<Stretch>], model: &Model) -> Vec<Option<Vec<Token>>> {
    whole.iter().enumerate().map(|(at, stretches)| Some(tokens_at(stretches, at == 0, model))).collect()
}

/// Tokens of template text with the begin-of-text token in front of a stream where the vocabulary wants it and the template
/// did not write it.
fn tokens_at(stretches: &[Stretch], first: bool, model: &Model) -> Vec<Token> {
    let mut tokens = tokens_of(stretches, model);
    let (bos, _) = model.bos_and_eos();
    if first && !tokens.is_empty() && model.adds_bos() && tokens.first() != Some(&bos) {
        tokens.insert(0, bos);
    }
    tokens
}

/// Tokens of template text. What the template wrote can be control tokens, what somebody said cannot.
fn tokens_of(stretches: &[Stretch], model: &Model) -> Vec<Token> {
    let of = |stretch: &Stretch| model.tokenize(&stretch.text, false, stretch.controls);
    stretches.iter().flat_map(of).collect()
}

fn for_template<'m>(messages: impl Iterator<Item = &'m Message>) -> Vec<ChatMessage<'m>> {
    let seen = |message: &'m Message| ChatMessage {
        role: message.role,
        content: &message.content,
        details: &message.details,
    };
    messages.map(seen).collect()
}

fn set_run(message: &mut Message, start: usize, tokens: Vec<Token>) {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    message.span = Some(KvSpan { start: count(start), size: count(tokens.len()) });
    message.status = KvStatus::Loaded;
    message.tokens = Some(tokens);
}
