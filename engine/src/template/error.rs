//! Why a chat template cannot be used.

use std::error::Error;

use super::jinja::Raised;

/// Why a chat template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is no Jinja template.
    #[error("the model's chat template is not valid: {reason}; use a model file with a corrected template")]
    Syntax {
        /// Where and what.
        reason: String,
    },
    /// The template itself refused the messages.
    #[error("the model's chat template refuses this chat: {reason}")]
    Refused {
        /// The template's own words.
        reason: String,
    },
    /// Rendering failed.
    #[error("the model's chat template cannot be rendered: {reason}")]
    Failed {
        /// Where and what.
        reason: String,
    },
    /// It was to be given what no template can be given.
    #[error("the chat template cannot be given this: {reason}")]
    Inputs {
        /// What is wrong with it.
        reason: String,
    },
    /// It leaves out a part of the chat.
    #[error(
        "the model's chat template does not show {what}, so the model would not know of them; use a model whose template \
         knows tools"
    )]
    NotShown {
        /// What it leaves out.
        what: &'static str,
    },
    /// Adding a message changes the text of an earlier one.
    #[error(
        "the model's chat template rewrites message {message} when message {by} is added: \
         the chat has to be rendered as a whole and evaluated again from there"
    )]
    Rewrites {
        /// Index of the first message whose text is another one now than when it was the newest.
        message: usize,
        /// Index of the message that was added; the number of messages where it was the opening of an answer.
        by: usize,
    },
    /// The answer's own text does not come out of the template, so nobody can say where it ends.
    #[error(
        "the model's chat template does not show the answer of message {message}: its end cannot be found"
    )]
    HidesAnswer {
        /// Index of the answer.
        message: usize,
    },
}

impl TemplateError {
    pub(super) fn from_jinja(error: &minijinja::Error) -> Self {
        let reason = describe(error);
        match error.kind() {
            minijinja::ErrorKind::SyntaxError => Self::Syntax { reason },
            _ => match raised(error) {
                Some(Raised(reason)) => Self::Refused { reason: reason.clone() },
                None => Self::Failed { reason },
            },
        }
    }
}

/// The error and what caused it, in one line.
fn describe(error: &minijinja::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn raised(error: &minijinja::Error) -> Option<&Raised> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(raised) = error.downcast_ref::<Raised>() {
            return Some(raised);
        }
        cause = error.source();
    }
    None
}
