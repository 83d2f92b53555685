//! What each message adds to the text of a chat.

use intact_format::message::Role;

use super::{ChatMessage, ChatTemplate, TemplateError};

/// Stands for an answer whose end is looked for. Private-use characters: no template treats them specially, none contains
/// them, and nothing strips them.
const ANSWER: &str = "\u{f8f0}answer\u{f8f1}";

impl ChatTemplate {
    /// The text that message `index` adds to the messages before it. Empty for a system message that the template can only
    /// render together with the next message, whose text then contains it, and for an `index` out of range.
    ///
    /// # Errors
    /// [`TemplateError::Rewrites`] where the template changes earlier text; else as [`Self::render`].
    pub fn suffix(&self, messages: &[ChatMessage<'_>], index: usize) -> Result<String, TemplateError> {
        if index >= messages.len() {
            return Ok(String::new());
        }
        let before = self.rendered(&messages[..index])?;
        let after = self.rendered(&messages[..=index])?;
        match after.strip_prefix(&before) {
            Some(added) => Ok(added.to_owned()),
            None => Err(self.rewrites(messages, index, &after)),
        }
    }

    /// The text that all `messages` need before the model answers: the opening of an assistant's message. Empty for
    /// templates without one.
    ///
    /// # Errors
    /// As [`Self::suffix`].
    pub fn generation_prompt(&self, messages: &[ChatMessage<'_>]) -> Result<String, TemplateError> {
        let before = self.rendered(messages)?;
        let after = self.render(messages, true)?;
        match after.strip_prefix(&before) {
            Some(added) => Ok(added.to_owned()),
            None => Err(self.rewrites(messages, messages.len(), &after)),
        }
    }

    /// The text that follows the content of an assistant's message that answers `messages`: its end-of-turn token and what
    /// stands before the next message.
    ///
    /// # Errors
    /// [`TemplateError::HidesAnswer`] where the template does not put the answer into the text; else as [`Self::render`].
    pub fn closing(&self, messages: &[ChatMessage<'_>]) -> Result<String, TemplateError> {
        let answer = ChatMessage { role: Role::Assistant, content: ANSWER };
        let answered: Vec<_> = messages.iter().copied().chain([answer]).collect();
        let text = self.render(&answered, false)?;
        let (_, closing) =
            text.rsplit_once(ANSWER).ok_or(TemplateError::HidesAnswer { message: messages.len() })?;
        Ok(closing.to_owned())
    }

    /// The text of a beginning of a chat. Nothing for no messages, and nothing for system messages alone where the template
    /// refuses them or cannot show them without a question.
    fn rendered(&self, messages: &[ChatMessage<'_>]) -> Result<String, TemplateError> {
        if messages.is_empty() {
            return Ok(String::new());
        }
        let system_alone = messages.iter().all(|message| message.role == Role::System);
        match self.render(messages, false) {
            Ok(text) if system_alone && !shows(&text, messages) => Ok(String::new()),
            Err(TemplateError::Refused { .. } | TemplateError::Failed { .. }) if system_alone => {
                Ok(String::new())
            }
            rendered => rendered,
        }
    }

    /// Which message it is whose text is another one in `text`, which is the chat up to message `by`.
    fn rewrites(&self, messages: &[ChatMessage<'_>], by: usize, text: &str) -> TemplateError {
        let unchanged = |count: &usize| {
            self.rendered(&messages[..*count]).is_ok_and(|beginning| text.starts_with(&beginning))
        };
        let message = (1..=by).find(|count| !unchanged(count)).map_or(0, |count| count - 1);
        TemplateError::Rewrites { message, by }
    }
}

fn shows(text: &str, messages: &[ChatMessage<'_>]) -> bool {
    messages.iter().all(|message| text.contains(message.content.trim()))
}
