//! What each message adds to the text of a chat.
//!
//! Texts within this module are *spelled*: see [`marks`](super::marks). What leaves it is read first, or cut into stretches.

use intact_format::message::Role;

use super::line::{Line, PLAIN};
use super::marks::{self, Stretch};
use super::{ChatMessage, ChatTemplate, TemplateError};

/// A whole chat in one run for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeChat {
    /// What belongs to each message.
    pub runs: Vec<Vec<Stretch>>,
    /// The opening of an answer behind them, where it was asked for; with what the template puts behind the last content.
    pub opening: Vec<Stretch>,
}

impl ChatTemplate {
    /// The text that message `index` adds to the messages before it. Empty for a system message that the template can only
    /// render together with the next message, whose text then contains it, and for an `index` out of range.
    ///
    /// # Errors
    /// [`TemplateError::Rewrites`] where the template changes earlier text; else as [`Self::render`].
    pub fn suffix(&self, messages: &[ChatMessage<'_>], index: usize) -> Result<String, TemplateError> {
        Ok(marks::read(&self.spelled_suffix(messages, index)?))
    }

    /// As [`Self::suffix`], in stretches for the tokenizer.
    ///
    /// # Errors
    /// As [`Self::suffix`].
    pub fn added(&self, messages: &[ChatMessage<'_>], index: usize) -> Result<Vec<Stretch>, TemplateError> {
        Ok(self.controls.stretches(&self.spelled_suffix(messages, index)?))
    }

    fn spelled_suffix(&self, messages: &[ChatMessage<'_>], index: usize) -> Result<String, TemplateError> {
        if index >= messages.len() {
            return Ok(String::new());
        }
        let before = self.beginning(&messages[..index])?;
        let after = self.beginning(&messages[..=index])?;
        match after.strip_prefix(&before) {
            Some(added) => Ok(added.to_owned()),
            None => Err(self.rewriting(messages, index, &after)),
        }
    }

    /// The text that all `messages` need before the model answers: the opening of an assistant's message. Empty for
    /// templates without one.
    ///
    /// # Errors
    /// As [`Self::suffix`].
    pub fn generation_prompt(&self, messages: &[ChatMessage<'_>]) -> Result<String, TemplateError> {
        let before = self.beginning(messages)?;
        let after = self.spelled(messages, true)?;
        match after.strip_prefix(&before) {
            Some(added) => Ok(marks::read(added)),
            None => Err(self.rewriting(messages, messages.len(), &after)),
        }
    }

    /// The text that follows the content of an assistant's message that answers `messages`: its end-of-turn token and what
    /// stands before the next message.
    ///
    /// # Errors
    /// [`TemplateError::HidesAnswer`] where the template does not put the answer into the text; else as [`Self::render`].
    pub fn closing(&self, messages: &[ChatMessage<'_>]) -> Result<String, TemplateError> {
        let answer = Line::new(Role::Assistant, marks::end_of(messages.len()));
        let answered = self.contents(messages).into_iter().chain([answer]).collect();
        let (text, ends) = marks::ends(&self.rendered(answered, false)?);
        let (_, end) = ends.last().ok_or(TemplateError::HidesAnswer { message: messages.len() })?;
        Ok(marks::read(text.get(*end..).unwrap_or_default()))
    }

    /// The whole chat, cut behind the content of each message. Where the template shows the contents in another order, or one
    /// of them not at all, those that are out of order get nothing, and what they say stands in the run of another message.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn whole(&self, messages: &[ChatMessage<'_>], opening: bool) -> Result<WholeChat, TemplateError> {
        let text = self.spelled(messages, opening)?;
        let mut ends = self.ends(messages, opening, &text);
        let mut least = text.len();
        for end in ends.iter_mut().rev() {
            *end = end.filter(|end| *end <= least);
            least = end.unwrap_or(least);
        }
        let mut from = 0;
        let mut runs = Vec::with_capacity(messages.len());
        for (at, end) in ends.iter().enumerate() {
            let last = at + 1 == messages.len() && !opening;
            let to = if last { text.len() } else { end.unwrap_or(from) };
            runs.push(self.controls.stretches(text.get(from..to).unwrap_or_default()));
            from = to;
        }
        Ok(WholeChat { runs, opening: self.controls.stretches(text.get(from..).unwrap_or_default()) })
    }

    /// Where the content of each message ends in a text. The contents are marked for that; where the template reads them and
    /// gives another text for it, a message ends where its own chat, as it was when it was the newest, parts from the text.
    fn ends(&self, messages: &[ChatMessage<'_>], opening: bool, text: &str) -> Vec<Option<usize>> {
        let marked = self.rendered(self.marked(messages), opening).map(|marked| marks::ends(&marked));
        if let Ok((plain, found)) = marked
            && plain == text
        {
            let mut ends = vec![None; messages.len()];
            for (number, at) in found {
                if let Some(end) = ends.get_mut(number) {
                    *end = Some(at);
                }
            }
            return ends;
        }
        (1..=messages.len())
            .map(|count| self.beginning(&messages[..count]).ok().map(|beginning| common(&beginning, text)))
            .collect()
    }

    /// The contents of messages, each with a mark at its end.
    fn marked<'a>(&self, messages: &[ChatMessage<'a>]) -> Vec<Line<'a>> {
        let mut lines = self.contents(messages);
        for (number, line) in lines.iter_mut().enumerate() {
            if let Some(ended) = marks::ended(&line.content, number) {
                line.content = ended;
            }
        }
        lines
    }

    /// The text of a beginning of a chat. Nothing for no messages, and nothing for system messages alone where the template
    /// refuses them or cannot show them without a question.
    fn beginning(&self, messages: &[ChatMessage<'_>]) -> Result<String, TemplateError> {
        if messages.is_empty() {
            return Ok(String::new());
        }
        if messages.iter().any(|message| !message.role.instructs()) {
            return self.spelled(messages, false);
        }
        match self.rendered(self.marked(messages), false) {
            Ok(text) => {
                let (_, shown) = marks::ends(&text);
                let empty = |content: &str| content.trim().is_empty();
                let hidden = messages.iter().enumerate().any(|(number, message)| {
                    !empty(message.content) && !shown.iter().any(|(found, _)| *found == number)
                });
                if hidden { Ok(String::new()) } else { self.spelled(messages, false) }
            }
            Err(TemplateError::Refused { .. } | TemplateError::Failed { .. }) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// Which message it is whose text is another one in `text`, which is the chat up to message `by`.
    fn rewriting(&self, messages: &[ChatMessage<'_>], by: usize, text: &str) -> TemplateError {
        let unchanged = |count: &usize| {
            self.beginning(&messages[..*count]).is_ok_and(|beginning| text.starts_with(&beginning))
        };
        let message = (1..=by).find(|count| !unchanged(count)).map_or(0, |count| count - 1);
        TemplateError::Rewrites { message, by }
    }

    /// Whether the template takes no system message: it refuses one before a question, or leaves it out. None where it
    /// cannot even be rendered.
    pub(super) fn hides_system(&self) -> Option<bool> {
        let question = ChatMessage::new(Role::User, "How are you?");
        let system = ChatMessage::new(Role::System, "Be kind.");
        let shown = |ends: &[(usize, usize)], number: usize| ends.iter().any(|(found, _)| *found == number);
        match self.rendered_in(&self.marked(&[system, question]), true, PLAIN) {
            Ok(text) => {
                let (_, ends) = marks::ends(&text);
                Some(shown(&ends, 1) && !shown(&ends, 0))
            }
            Err(TemplateError::Refused { .. }) => {
                Some(self.rendered_in(&self.contents(&[question]), true, PLAIN).is_ok())
            }
            Err(_) => None,
        }
    }

    /// Whether the template changes earlier text when messages are added: it strips the reasoning of earlier answers, or
    /// moves the system prompt.
    pub(super) fn rewrites_earlier(&self) -> bool {
        let of = |role, content| ChatMessage::new(role, content);
        let system = of(Role::System, "Be kind.");
        let chat = [
            of(Role::User, "How are you?"),
            of(Role::Assistant, "<think>\nA question.\n</think>\n\nWell."),
            of(Role::User, "And now?"),
        ];
        let with_system = [system, chat[0], chat[1], chat[2]];
        let rewrites = |chat: &[ChatMessage<'_>]| {
            matches!(self.spelled_suffix(chat, chat.len() - 1), Err(TemplateError::Rewrites { .. }))
        };
        rewrites(&chat) || rewrites(&with_system)
    }
}

/// Length of what two texts begin with, no mark cut.
fn common(left: &str, right: &str) -> usize {
    let pairs = left.char_indices().zip(right.chars());
    let parted = pairs.into_iter().find(|((_, left), right)| left != right);
    let end = parted.map_or(left.len().min(right.len()), |((at, _), _)| at);
    marks::uncut(left.get(..end).unwrap_or_default()).len()
}
