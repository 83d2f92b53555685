//! Chat templates: the Jinja template of a GGUF file, rendered as its authors' tools render it, and cut into the text that
//! each message adds.
//!
//! Rendering follows Hugging Face's `apply_chat_template`: `trim_blocks` and `lstrip_blocks` are on, one newline at the end
//! of the template is dropped, Python's string methods work, `raise_exception`, `strftime_now` and `tojson` exist, `documents`
//! is none, and so is `tools` where there are none, `{% generation %}` marks nothing, and none is not iterable. A
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
//! # Tools, reasoning, and the day
//!
//! A template is given more than messages: tools, arguments of its own such as `enable_thinking`, and the day, which
//! `strftime_now` gives: [`with_inputs`]. A session keeps them, so that all its renderings agree, in whatever process. Where
//! they say no day it is the one on which the template was compiled.
//!
//! Templates take the arguments of a call as JSON in a text or as an object, and many escape the one or fail on the other;
//! some print a content that is none. Which form one takes is found out by trying (`capabilities`). What it does not show,
//! tools or what they answer, is [`TemplateError::NotShown`]. What a developer says is a system prompt where a template
//! does not mention developers.
//!
//! What is given as JSON keeps the order of its keys. A map that is spelled out in a template does not: it is printed by the names
//! of its keys, unlike in Python.
//!
//! [`suffix`]: ChatTemplate::suffix
//! [`generation_prompt`]: ChatTemplate::generation_prompt
//! [`closing`]: ChatTemplate::closing
//! [`whole`]: ChatTemplate::whole
//! [`with_inputs`]: ChatTemplate::with_inputs

mod bounds;
mod capabilities;
mod error;
#[cfg(test)]
mod features;
#[cfg(test)]
mod hostile;
mod incremental;
mod inputs;
mod jinja;
mod json;
mod line;
mod literal;
mod marks;
mod measured;
#[cfg(test)]
mod properties;
mod source;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tools;

use std::sync::{Arc, OnceLock};

use intact_format::inputs::TemplateInputs;
use intact_format::message::Role;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use minijinja::Environment;
use minijinja::value::Value;

use capabilities::Capabilities;
use inputs::Inputs;
use json::Ordered;
use line::{Form, Line, PLAIN, REASONING, folded, merged, without_developer};
use marks::Controls;

pub use error::TemplateError;
pub use incremental::WholeChat;
pub use line::ChatMessage;
pub use marks::Stretch;

/// ChatML, for models that bring no template.
pub const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// Where a template came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateOrigin {
    /// The model file, or whoever compiled it.
    Given,
    /// There was none, so it is [`CHATML`]. Models that were not trained on it answer worse than they could.
    Fallback,
}

/// A compiled chat template, and what it is given besides messages.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    bos: String,
    eos: String,
    origin: TemplateOrigin,
    controls: Controls,
    /// It takes no system message, so the first question says what that would.
    folds_system: bool,
    /// It changes earlier text when messages are added.
    rewrites: bool,
    /// It knows what a developer says from a system prompt.
    knows_developer: bool,
    /// It asks for the day.
    asks_for_date: bool,
    /// The name under which it looks for reasoning.
    reasoning: &'static str,
    inputs: Inputs,
    /// Found out when it is first needed.
    capabilities: Arc<OnceLock<Capabilities>>,
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
        let environment = Arc::new(jinja::environment(source)?);
        let mentioned = REASONING.into_iter().find(|name| mentions(source, name));
        let mut template = Self {
            environment,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            origin: TemplateOrigin::Given,
            controls: Controls::default(),
            folds_system: false,
            rewrites: false,
            knows_developer: mentions(source, "developer"),
            asks_for_date: mentions(source, "strftime_now"),
            reasoning: mentioned.unwrap_or(REASONING[0]),
            inputs: Inputs::on(today),
            capabilities: Arc::default(),
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

    /// The same template, given something else besides the messages. Where that says no day, the day is the one on which the
    /// template was compiled.
    ///
    /// # Errors
    /// [`TemplateError::Inputs`] where they are none that a template can be given.
    pub fn with_inputs(&self, inputs: &TemplateInputs) -> Result<Self, TemplateError> {
        Ok(Self { inputs: Inputs::of(inputs, self.inputs.date(), &self.controls)?, ..self.clone() })
    }

    /// What it is given besides the messages: all that its rendering depends on. None where that is nothing.
    #[must_use]
    pub fn inputs(&self) -> Option<TemplateInputs> {
        Some(self.inputs.given(self.asks_for_date)).filter(|inputs| !inputs.is_empty())
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
    fn contents<'a>(&self, messages: &[ChatMessage<'a>]) -> Vec<Line<'a>> {
        messages.iter().map(|message| Line::of(message, &self.controls)).collect()
    }

    fn rendered(&self, chat: Vec<Line<'_>>, opening: bool) -> Result<String, TemplateError> {
        let form = self.form(&chat)?;
        let chat = if self.knows_developer { chat } else { without_developer(chat) };
        let chat = if self.folds_system { folded(&chat) } else { chat };
        let refused = match self.rendered_in(&chat, opening, form) {
            Err(TemplateError::Refused { reason }) => reason,
            rendered => return rendered,
        };
        let others = [merged(&chat), folded(&chat), merged(&folded(&chat))];
        let mut retried = others.iter().filter(|other| other.len() < chat.len());
        let rendered = retried.find_map(|other| self.rendered_in(other, opening, form).ok());
        rendered.ok_or(TemplateError::Refused { reason: refused })
    }

    /// Whether it shows all that a chat has: tools, calls of them, and what they answer.
    ///
    /// # Errors
    /// [`TemplateError::NotShown`] with what it leaves out.
    pub fn shows(&self, messages: &[ChatMessage<'_>]) -> Result<(), TemplateError> {
        self.form(&self.contents(messages)).map(drop)
    }

    /// The form in which the template takes a chat, where it shows all of it.
    fn form(&self, chat: &[Line<'_>]) -> Result<Form, TemplateError> {
        let calls = chat.iter().any(|line| !line.details.tool_calls.is_empty());
        let answers = chat.iter().any(|line| line.role == Role::Tool);
        let instructions = chat.iter().take_while(|line| line.role.instructs()).count();
        let several = chat.iter().any(|line| line.details.tool_calls.len() > 1);
        let late = chat.iter().skip(instructions).any(|line| line.role == Role::Developer);
        // Where it is taken for a system prompt, it is one with that.
        let beside = self.knows_developer
            && instructions > 1
            && chat[..instructions].iter().any(|line| line.role == Role::Developer);
        if !(calls || answers || late || beside || self.inputs.has_tools()) {
            return Ok(PLAIN);
        }
        let found = self.capabilities.get_or_init(|| Capabilities::of(self));
        let hidden = [
            (self.inputs.has_tools() && !found.tools, "the definitions of tools"),
            (calls && found.calls.is_none(), "calls of tools"),
            (answers && !found.answers, "what tools answer"),
            (several && !found.several, "more than one call in one message"),
            (
                late && !if self.knows_developer { found.late_developer } else { found.late_system },
                "what a developer says in the middle of a chat",
            ),
            (beside && !found.beside_system, "what a developer says behind a system prompt"),
        ];
        match hidden.into_iter().find_map(|(hidden, what)| hidden.then_some(what)) {
            Some(what) => Err(TemplateError::NotShown { what }),
            None => Ok(found.calls.unwrap_or(PLAIN)),
        }
    }

    fn rendered_in(&self, chat: &[Line<'_>], opening: bool, form: Form) -> Result<String, TemplateError> {
        let bytes = chat.iter().map(Line::bytes).sum::<u64>() + self.inputs.bytes();
        let messages = chat.iter().map(|line| line.value(form, self.reasoning, &self.controls));
        let given = [
            ("messages", Value::from(messages.collect::<Vec<_>>())),
            ("add_generation_prompt", Value::from(opening)),
            ("bos_token", Value::from(self.bos.as_str())),
            ("eos_token", Value::from(self.eos.as_str())),
            ("tools", self.inputs.tools()),
            ("documents", Value::from(())),
        ];
        let context = Ordered::value(given.into_iter().chain(self.inputs.arguments()));
        jinja::rendered(&self.environment, context, bytes, self.inputs.date())
    }

    /// Whether `text` already begins with the begin-of-text token, so that the tokenizer must not add another.
    #[must_use]
    pub fn begins_with_bos(&self, text: &str) -> bool {
        !self.bos.is_empty() && text.starts_with(&self.bos)
    }
}

/// Whether a source has this word.
fn mentions(source: &str, word: &str) -> bool {
    let of_name = |sign: char| sign == '_' || sign.is_alphanumeric();
    source.match_indices(word).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let behind = source[at + word.len()..].chars().next();
        !before.is_some_and(of_name) && !behind.is_some_and(of_name)
    })
}
