//! A turn as a transaction: the messages, the token stream and the memory change together or not at all.

use std::sync::Arc;

use super::{Chat, Session};
use crate::llama::Token;
use crate::template::ChatTemplate;

/// A session on its way to another state. Where it is dropped before it is committed, also in a panic, the session is what
/// it was: its messages, whether they are in the context, and its tokens. What the memory has lost meanwhile is evaluated
/// again when it is needed.
pub(super) struct Turn<'s> {
    session: &'s mut Session,
    before: Option<Before>,
}

/// A session's state.
struct Before {
    chat: Chat,
    tokens: Vec<Token>,
    template: Arc<ChatTemplate>,
}

impl<'s> Turn<'s> {
    /// Begins one.
    pub(super) fn begin(session: &'s mut Session) -> Self {
        let before = Before {
            chat: session.chat.clone(),
            tokens: session.timeline.tokens().to_vec(),
            template: Arc::clone(&session.template),
        };
        Self { session, before: Some(before) }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        self.session
    }

    /// Keeps what the session is now.
    pub(super) fn commit(mut self) {
        self.before = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(Before { chat, tokens, template }) = self.before.take() {
            self.session.chat = chat;
            self.session.template = template;
            self.session.timeline.revert(&tokens);
        }
    }
}
