//! Chat templates: the Jinja template of a GGUF file, rendered as its authors' tools render it, and cut into the text that
//! each message adds.
//!
//! Rendering follows Hugging Face's `apply_chat_template`: `trim_blocks` and `lstrip_blocks` are on, one newline at the end
//! of the template is dropped, Python's string methods work, `raise_exception`, `strftime_now` and `tojson` exist, `tools`
//! and `documents` are none, and `{% generation %}` marks nothing. A model without a template gets ChatML.
//!
//! # Incremental framing
//!
//! A session's token stream is the concatenation of its messages' runs, so a message must only add text. [`suffix`] is
//! what message `k` adds, [`generation_prompt`] what makes the model answer, and [`closing`] what ends its answer. Some
//! templates rewrite what they said before: they strip the reasoning out of earlier answers, or move the system prompt to
//! the newest question. That is [`TemplateError::Rewrites`], with the first message that changed. What to do then is to
//! [`render`] the whole history and to evaluate it from the first token that differs; nothing else is right.
//!
//! A system message that a template can only render together with the first question (Gemma, Mistral) adds nothing itself;
//! the question's text then contains both.
//!
//! `strftime_now` gives the day on which the template was compiled: a session keeps its tokens, so a date that was once
//! rendered stays, and all renderings of one process agree.
//!
//! [`suffix`]: ChatTemplate::suffix
//! [`generation_prompt`]: ChatTemplate::generation_prompt
//! [`closing`]: ChatTemplate::closing
//! [`render`]: ChatTemplate::render

mod error;
mod incremental;
mod jinja;
#[cfg(test)]
mod tests;

use intact_format::message::Role;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minijinja::{Environment, context};

pub use error::TemplateError;

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
}

impl ChatTemplate {
    /// Compiles `source`. `bos` and `eos` are the texts of the model's begin-of-text and end-of-text tokens; empty where it
    /// has none.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] where `source` is no Jinja template.
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
        Ok(Self { environment, bos: bos.to_owned(), eos: eos.to_owned(), origin: TemplateOrigin::Given })
    }

    /// Whether it is the model's own or the fallback.
    #[must_use]
    pub fn origin(&self) -> TemplateOrigin {
        self.origin
    }

    /// The whole chat as text; with the opening of an answer where `add_generation_prompt` is set.
    ///
    /// Some templates refuse two messages of one speaker in a row, which a cancelled reply or a clean-up leaves behind.
    /// Such neighbours are then rendered as one message, with an empty line between them.
    ///
    /// # Errors
    /// [`TemplateError::Refused`] where the template itself refuses the messages, [`TemplateError::Failed`] where it cannot
    /// be rendered.
    pub fn render(
        &self,
        messages: &[ChatMessage<'_>],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let chat: Vec<_> =
            messages.iter().map(|message| (message.role, message.content.to_owned())).collect();
        match self.render_as_it_is(&chat, add_generation_prompt) {
            Err(TemplateError::Refused { reason }) => {
                let merged = merged(&chat);
                let changed = merged.len() < chat.len();
                let retried =
                    changed.then(|| self.render_as_it_is(&merged, add_generation_prompt).ok()).flatten();
                retried.ok_or(TemplateError::Refused { reason })
            }
            rendered => rendered,
        }
    }

    fn render_as_it_is(
        &self,
        messages: &[(Role, String)],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let messages: Vec<_> =
            messages.iter().map(|(role, content)| context! { role => role.as_str(), content }).collect();
        let template =
            self.environment.get_template(jinja::NAME).map_err(|error| TemplateError::from_jinja(&error))?;
        let rendered = template.render(context! {
            messages,
            add_generation_prompt,
            bos_token => self.bos,
            eos_token => self.eos,
            tools => (),
            documents => (),
        });
        rendered.map_err(|error| TemplateError::from_jinja(&error))
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
