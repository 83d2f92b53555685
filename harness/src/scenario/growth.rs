//! A conversation that grows until a model's session is as long as the matrix means it to be.

use super::{OpenWorker, Reply, SESSION, Said, StepError};
use crate::config::{Conversation, Turn};

/// A conversation that fits a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// What is said.
    pub conversation: Conversation,
    /// Tokens of the session.
    pub tokens: u32,
    /// What a reader should know of it.
    pub notes: Vec<String>,
}

/// Most turns that are added: no tokenizer makes so little of them that it needs more.
const MOST: usize = 64;

impl OpenWorker<'_> {
    /// Holds the conversation and adds turns to it until the session has more than so many tokens. Where the model's
    /// template refuses a system prompt, it goes without one.
    ///
    /// # Errors
    /// [`StepError`], where not even the first turns can be held.
    pub fn grow(&mut self, conversation: &Conversation, above: u32) -> Result<Grown, StepError> {
        let mut grown = Grown { conversation: conversation.clone(), tokens: 0, notes: Vec::new() };
        let held = match self.held(&grown.conversation) {
            Err(refused @ (StepError::Refused { .. } | StepError::Failed { .. }))
                if !conversation.system.is_empty() =>
            {
                self.forget(SESSION)?;
                grown.conversation.system.clear();
                let held = self.held(&grown.conversation)?;
                grown.notes.push(format!("The sessions have no system prompt: {refused}."));
                Ok(held)
            }
            held => held,
        };
        let (mut said, mut tokens) = held?;
        for turn in conversation.more.iter().cycle().take(MOST) {
            if tokens > above {
                break;
            }
            tokens = self.say(&mut said, &turn.user, Reply::Forced(&turn.reply))?;
            grown.conversation.session.push(turn.clone());
            grown.conversation.other.push(turn.clone());
        }
        self.forget(SESSION)?;
        if tokens <= above {
            grown.notes.push(format!("Its session has {tokens} tokens, which is no more than {above}."));
        }
        Ok(Grown { tokens, ..grown })
    }

    /// Holds the conversation, and gives how many tokens that made.
    fn held(&mut self, conversation: &Conversation) -> Result<(Said, u32), StepError> {
        let mut said = Said::new(SESSION, &conversation.system);
        let mut tokens = 0;
        for Turn { user, reply } in &conversation.session {
            tokens = self.say(&mut said, user, Reply::Forced(reply))?;
        }
        Ok((said, tokens))
    }
}
