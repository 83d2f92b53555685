//! Chat templates: the Jinja template of a GGUF file, rendered as its authors' tools render it, and cut into the text that
//! each message adds.
//!
//! Rendering follows Hugging Face's `apply_chat_template`: `trim_blocks` and `lstrip_blocks` are on, one newline at the end
//! of the template is dropped, Python's string methods work, `raise_exception`, `strftime_now` and `tojson` exist, `tools`
//! and `documents` are none, `{% generation %}` marks nothing, and none is not iterable. A
//! model without a template gets ChatML.
//!
//! # Incremental framing
//!
//! A session's token stream is the concatenation of its messages' runs, so a message must only add text. [`suffix`] is
//! what message `k` adds, [`generation_prompt`] what makes the model answer, and [`closing`] what ends its answer. Some
//! templates rewrite what they said before: they strip the reasoning out of earlier answers, or move the system prompt to
//! the newest question. That is [`TemplateError::Rewrites`], with the first message that changed. What to do then is to
//! take the [`whole`] history and to evaluate it from the first token that differs; nothing else is right.
//!
//! A system message that a template can only render together with the first question (Gemma, Mistral), or that stands in
//! front of it because the template takes none, adds nothing itself; the question's text then contains both.
//!
//! # What messages say
//!
//! No content is searched for in a text, and none is a control token: see `marks`. A [`Stretch`] says which.
//!
//! # Templates that mean harm
//!
//! A template comes with a model file, so it is nobody's friend. What it may make is bounded: instructions, bytes, values,
//! nesting (`measured`, `bounds`), and one that asks for more is [`TemplateError::Failed`].
//!
//! `strftime_now` gives the day on which the template was compiled: a session keeps its tokens, so a date that was once
//! rendered stays, and all renderings of one process agree.
//!
//! [`suffix`]: ChatTemplate::suffix
//! [`generation_prompt`]: ChatTemplate::generation_prompt
//! [`closing`]: ChatTemplate::closing
//! [`whole`]: ChatTemplate::whole

mod bounds;
mod error;
#[cfg(test)]
mod features;
#[cfg(test)]
mod hostile;
mod incremental;
mod jinja;
mod literal;
mod marks;
mod measured;
#[cfg(test)]
mod properties;
mod source;
#[cfg(test)]
mod tests;

use intact_format::message::Role;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minijinja::{Environment, context};

use marks::Controls;

pub use error::TemplateError;
pub use incremental::WholeChat;
pub use marks::Stretch;

/// ChatML, for models that bring no template.
pub const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A message as templates see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatMessage<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: &'a str,
}

/// Where a template came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateOrigin {
    /// The model file, or whoever compiled it.
    Given,
    /// There was none, so it is [`CHATML`]. Models that were not trained on it answer worse than they could.
    Fallback,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    origin: TemplateOrigin,
    controls: Controls,
    /// It takes no system message, so the first question says what that would.
    folds_system: bool,
    /// It changes earlier text when messages are added.
    rewrites: bool,
}

impl ChatTemplate {
    /// Compiles `source`. `bos` and `eos` are the texts of the model's begin-of-text and end-of-text tokens; empty where it
    /// has none.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] where `source` is no Jinja template, or one that nests without end.
    pub fn compile(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        Self::compile_at(source, bos, eos, Timestamp::now().to_zoned(TimeZone::UTC).date())
    }

    /// Compiles the template of a model: `source` where there is one, else [`CHATML`].
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn of_model(source: Option<&str>, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        let Some(source) = source.filter(|source| !source.trim().is_empty()) else {
            let chatml = Self::compile(CHATML, bos, eos)?;
            return Ok(Self { origin: TemplateOrigin::Fallback, ..chatml });
        };
        Self::compile(source, bos, eos)
    }

    /// As [`Self::compile`], on another day than today.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_at(source: &str, bos: &str, eos: &str, today: Date) -> Result<Self, TemplateError> {
        let environment = jinja::environment(source, today)?;
        let mut template = Self {
            environment,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            origin: TemplateOrigin::Given,
            controls: Controls::default(),
            folds_system: false,
            rewrites: false,
        };
        if let Some(hides) = template.hides_system() {
            template.folds_system = hides;
            template.rewrites = template.rewrites_earlier();
        }
        Ok(template)
    }

    /// The same template for a vocabulary that takes these texts for control tokens. In the contents of messages they stay
    /// text: see [`Stretch`].
    #[must_use]
    pub fn with_controls(self, texts: Vec<String>) -> Self {
        Self { controls: Controls::new(texts), ..self }
    }

    /// Whether it is the model's own or the fallback.
    #[must_use]
    pub fn origin(&self) -> TemplateOrigin {
        self.origin
    }

    /// What a user should know of it, one sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let fallback = self.origin == TemplateOrigin::Fallback;
        [
            (fallback, "The model file has no chat template: messages are framed as ChatML, which it may not know."),
            (
                self.folds_system,
                "The model's chat template takes no system message: the system prompt stands in front of the first question.",
            ),
            (
                self.rewrites,
                "The model's chat template changes earlier messages when new ones are added: a session keeps the tokens \
                 that were evaluated, and rendering its messages anew can give others.",
            ),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, note)| note.to_owned())
        .collect()
    }

    /// The whole chat as text; with the opening of an answer where `add_generation_prompt` is set.
    ///
    /// Some templates refuse two messages of one speaker in a row, which a cancelled reply or a clean-up leaves behind.
    /// Such neighbours are then rendered as one message, with an empty line between them. Some refuse a system message, or
    /// leave it out: its text then stands in front of the first question.
    ///
    /// # Errors
    /// [`TemplateError::Refused`] where the template itself refuses the messages, [`TemplateError::Failed`] where it cannot
    /// be rendered, or makes more than a chat can need.
    pub fn render(
        &self,
        messages: &[ChatMessage<'_>],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        Ok(marks::read(&self.spelled(messages, add_generation_prompt)?))
    }

    fn spelled(&self, messages: &[ChatMessage<'_>], opening: bool) -> Result<String, TemplateError> {
        self.rendered(self.contents(messages), opening)
    }

    /// The contents of messages, spelled.
    fn contents(&self, messages: &[ChatMessage<'_>]) -> Vec<(Role, String)> {
        messages.iter().map(|message| (message.role, self.controls.spelled(message.content))).collect()
    }

    fn rendered(&self, chat: Vec<(Role, String)>, opening: bool) -> Result<String, TemplateError> {
        let chat = if self.folds_system { folded(&chat) } else { chat };
        let refused = match self.rendered_as_it_is(&chat, opening) {
            Err(TemplateError::Refused { reason }) => reason,
            rendered => return rendered,
        };
        let others = [merged(&chat), folded(&chat), merged(&folded(&chat))];
        let mut retried = others.iter().filter(|other| other.len() < chat.len());
        let rendered = retried.find_map(|other| self.rendered_as_it_is(other, opening).ok());
        rendered.ok_or(TemplateError::Refused { reason: refused })
    }

    fn rendered_as_it_is(
        &self,
        messages: &[(Role, String)],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let bytes = messages.iter().map(|(_, content)| content.len() as u64).sum();
        let messages: Vec<_> =
            messages.iter().map(|(role, content)| context! { role => role.as_str(), content }).collect();
        let context = context! {
            messages,
            add_generation_prompt,
            bos_token => self.bos,
            eos_token => self.eos,
            tools => (),
            documents => (),
        };
        jinja::rendered(&self.environment, context, bytes)
    }

    /// Whether `text` already begins with the begin-of-text token, so that the tokenizer must not add another.
    #[must_use]
    pub fn begins_with_bos(&self, text: &str) -> bool {
        !self.bos.is_empty() && text.starts_with(&self.bos)
    }
}

/// Neighbours of the same speaker as one message.
fn merged(messages: &[(Role, String)]) -> Vec<(Role, String)> {
    let mut merged: Vec<(Role, String)> = Vec::new();
    for (role, content) in messages {
        match merged.last_mut() {
            Some((last, text)) if last == role => *text = format!("{text}\n\n{content}"),
            _ => merged.push((*role, content.clone())),
        }
    }
    merged
}

/// The system messages that a chat begins with in front of its first question, where there is one.
fn folded(messages: &[(Role, String)]) -> Vec<(Role, String)> {
    let systems = messages.iter().take_while(|(role, _)| *role == Role::System).count();
    let (system, rest) = messages.split_at(systems);
    let Some(first) = rest.iter().position(|(role, _)| *role == Role::User) else { return messages.to_vec() };
    let mut folded = rest.to_vec();
    for (_, content) in system.iter().rev() {
        folded[first].1 = format!("{content}\n\n{}", folded[first].1);
    }
    folded
}
