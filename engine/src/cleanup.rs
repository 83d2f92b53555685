//! Which messages stay in the KV cache when it is cleaned up: a pure function of their roles and sizes.
//!
//! What the seed system leaves open is decided so:
//!
//! - The *system prompt* is the run of messages of system and developer that a session begins with. No strategy removes it.
//! - An assistant's message whose question went goes with it: chat templates refuse a history that begins with an answer.
//! - A clean-up that is asked for always does something where it can: [`RemoveOldestMessages`] removes the oldest exchange
//!   even if everything would fit.
//! - Where what a strategy keeps still does not fit, the oldest of it go as well, down to the system prompt.
//!
//! [`RemoveOldestMessages`]: CacheCleanupStrategy::RemoveOldestMessages

#[cfg(test)]
mod tests;

use intact_format::message::Role;
use intact_format::parameters::CacheCleanupStrategy;

/// What a clean-up needs to know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSize {
    /// Who speaks.
    pub role: Role,
    /// Tokens of the message with its framing.
    pub tokens: usize,
}

/// Why a clean-up cannot make room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CleanupError {
    /// The system prompt alone is longer than what there is room for.
    #[error(
        "the system prompt has {tokens} tokens and there is room for {budget}: \
         shorten it, or raise the context size of the session"
    )]
    SystemPromptTooLong {
        /// Tokens of the system prompt.
        tokens: usize,
        /// Tokens there is room for.
        budget: usize,
    },
}

/// The indices of the messages that stay, ascending. They have at most `budget` tokens together. A message that is about
/// to be sent is not among `messages`; its tokens and the room for the reply are to be taken off the budget.
///
/// # Errors
/// [`CleanupError`] where not even the system prompt fits.
pub fn keep(
    strategy: CacheCleanupStrategy,
    messages: &[MessageSize],
    budget: usize,
) -> Result<Vec<usize>, CleanupError> {
    let system = messages.iter().take_while(|message| message.role.instructs()).count();
    let system_tokens: usize = messages[..system].iter().map(|message| message.tokens).sum();
    if system_tokens > budget {
        return Err(CleanupError::SystemPromptTooLong { tokens: system_tokens, budget });
    }
    let mut rest = chosen(strategy, messages, system);
    while size(messages, &rest) > budget - system_tokens {
        drop_oldest_exchange(messages, &mut rest);
    }
    Ok((0..system).chain(rest).collect())
}

/// What `strategy` keeps besides the system prompt, which is the first `system` messages.
fn chosen(strategy: CacheCleanupStrategy, messages: &[MessageSize], system: usize) -> Vec<usize> {
    let users = || (system..messages.len()).filter(|index| messages[*index].role == Role::User);
    match strategy {
        CacheCleanupStrategy::KeepSystemPromptOnly => Vec::new(),
        CacheCleanupStrategy::KeepSystemPromptAndHalf => {
            let dropped = (messages.len() - system).div_ceil(2);
            let mut kept: Vec<usize> = (system + dropped..messages.len()).collect();
            drop_leading_answers(messages, &mut kept);
            kept
        }
        CacheCleanupStrategy::KeepSystemPromptAndFirstUserMessage => users().take(1).collect(),
        CacheCleanupStrategy::KeepSystemPromptAndLastUserMessage => users().next_back().into_iter().collect(),
        CacheCleanupStrategy::RemoveOldestMessages => {
            let mut kept: Vec<usize> = (system..messages.len()).collect();
            drop_oldest_exchange(messages, &mut kept);
            kept
        }
    }
}

fn drop_oldest_exchange(messages: &[MessageSize], kept: &mut Vec<usize>) {
    kept.drain(..kept.len().min(1));
    drop_leading_answers(messages, kept);
}

fn drop_leading_answers(messages: &[MessageSize], kept: &mut Vec<usize>) {
    let answers = |index: &&usize| matches!(messages[**index].role, Role::Assistant | Role::Tool);
    let answers = kept.iter().take_while(answers).count();
    kept.drain(..answers);
}

/// How many of the last messages the model answers to, and cannot without any of them: one, or where tools have answered all from
/// the question on that they were called for, with every call and every answer since.
#[must_use]
pub fn open_messages(messages: &[MessageSize]) -> usize {
    let last_is_answer = messages.last().is_some_and(|message| message.role == Role::Tool);
    if !last_is_answer {
        return messages.len().min(1);
    }
    let steps = |message: &&MessageSize| matches!(message.role, Role::Assistant | Role::Tool);
    let steps = messages.iter().rev().take_while(steps).count();
    let asked = messages.len().checked_sub(steps + 1).is_some_and(|at| messages[at].role == Role::User);
    steps + usize::from(asked)
}

fn size(messages: &[MessageSize], kept: &[usize]) -> usize {
    kept.iter().map(|index| messages[*index].tokens).sum()
}
