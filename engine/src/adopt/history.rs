//! The messages of an adopted session: those that are given, found in the text of the tokens, or that text as one message.

use std::ops::Range;

use intact_format::message::{Message, Role};
use intact_format::route::{Refusal, RefusalCode};

use crate::llama::{Model, Token};
use crate::session::Chat;
use crate::template::ChatTemplate;

/// The tokens that messages render to.
pub(super) fn rendered(
    messages: &[Message],
    template: &ChatTemplate,
    model: &Model,
) -> Result<Vec<Token>, Refusal> {
    untold(messages).stream(template, model).map_err(differs)
}

/// The conversation of an adopted session.
pub(super) struct Conversation {
    /// Its messages, which tile the tokens and the rest.
    pub chat: Chat,
    /// The end of the last message where the tokens lack it.
    pub rest: Vec<Token>,
    /// How it came about, in a sentence.
    pub told: String,
}

/// The conversation whose messages tile the tokens.
pub(super) fn conversation(
    tokens: &[Token],
    messages: Option<&[Message]>,
    template: &ChatTemplate,
    model: &Model,
) -> Result<Conversation, Refusal> {
    let Some(messages) = messages else {
        let mut chat = Chat::default();
        chat.push(Role::Assistant, Text::of(tokens, model).text);
        chat.note_run(0, tokens);
        let told = "No history was given: the text of the tokens is one message of the assistant.".to_owned();
        return Ok(Conversation { chat, rest: Vec::new(), told });
    };
    if messages.is_empty() {
        return Err(differs("the history has no messages"));
    }
    if messages.iter().skip(1).any(|message| message.role == Role::System) {
        return Err(differs("only the first message of a session can be a system prompt"));
    }
    if let Some((message, flaw)) = messages.iter().find_map(|message| Some((message, message.flaw()?))) {
        return Err(differs(format!("there is a message of the role {} that {flaw}", message.role)));
    }
    template.shows(&untold(messages).for_template()).map_err(differs)?;
    let found = Text::of(tokens, model).contents(messages)?;
    let (starts, rest, how) = match framed(tokens, messages, template, model) {
        Some((starts, rest)) => {
            accounted(tokens, messages, template, model)?;
            (starts, rest, "as the chat template frames them".to_owned())
        }
        None => {
            not_swapped(tokens, messages, template, model)?;
            // A call can be written in any way; only the chat template says in which.
            if let Some(at) = messages.iter().position(|message| !message.details.is_empty()) {
                return Err(differs(format!(
                    "message {} has more than a text (a call of a tool, an answer to one, reasoning or a name), which is found by the \
                     chat template alone, and that frames the messages in another way than the tokens",
                    at + 1
                )));
            }
            let said: usize = found.iter().map(|tokens| tokens.end - tokens.start).sum();
            let ends = found.iter().map(|tokens| tokens.end);
            let starts = std::iter::once(0).chain(ends).take(messages.len()).collect();
            let how = format!(
                "cut behind each text, because the chat template frames them in another way; {} of the {} tokens are in none \
                 of them, and nothing says what they are",
                tokens.len().saturating_sub(said),
                tokens.len()
            );
            (starts, Vec::new(), how)
        }
    };
    let all = [tokens, &rest].concat();
    let mut chat = Chat::default();
    for (at, message) in messages.iter().enumerate() {
        let to = starts.get(at + 1).copied().unwrap_or(all.len());
        chat.append(message.clone());
        chat.note_run(starts[at], &all[starts[at]..to]);
    }
    let mut told = format!("The {} messages given were found in the tokens, {how}.", messages.len());
    if !rest.is_empty() {
        told += &format!(" The last {} tokens of the last one are not in the state.", rest.len());
    }
    Ok(Conversation { chat, rest, told })
}

fn untold(messages: &[Message]) -> Chat {
    let mut chat = Chat::default();
    messages.iter().for_each(|message| chat.append(message.clone()));
    chat
}

/// Where each message starts, and the end of the last one if it is missing, if the tokens are those that the template
/// gives: all of them, with the opening of an answer behind, or without the end of the last one.
fn framed(
    tokens: &[Token],
    messages: &[Message],
    template: &ChatTemplate,
    model: &Model,
) -> Option<(Vec<usize>, Vec<Token>)> {
    let mut chat = untold(messages);
    let stream = chat.stream(template, model).ok()?;
    let same = stream.iter().zip(tokens).all(|(rendered, saved)| rendered == saved);
    let spans: Option<Vec<_>> = chat.messages().iter().map(|message| message.span).collect();
    let starts: Vec<usize> =
        spans?.iter().map(|span| usize::try_from(span.start).ok()).collect::<Option<_>>()?;
    let rest = stream.get(tokens.len()..).unwrap_or_default().to_vec();
    (same && starts.last().is_some_and(|&start| start < tokens.len())).then_some((starts, rest))
}

/// That what stands behind the messages is no more than the opening of an answer.
fn accounted(
    tokens: &[Token],
    messages: &[Message],
    template: &ChatTemplate,
    model: &Model,
) -> Result<(), Refusal> {
    let prompt = untold(messages).prompt(template, model).map_err(differs)?;
    let behind = tokens.get(prompt.stream.len()..).unwrap_or_default();
    if prompt.opening.starts_with(behind) {
        return Ok(());
    }
    Err(differs(format!(
        "the messages are the first {} of the {} tokens, and something else was said behind them",
        prompt.stream.len(),
        tokens.len()
    )))
}

/// That the tokens are not those of the same messages with the roles of user and assistant exchanged.
fn not_swapped(
    tokens: &[Token],
    messages: &[Message],
    template: &ChatTemplate,
    model: &Model,
) -> Result<(), Refusal> {
    let exchanged = |message: &Message| {
        let role = match message.role {
            Role::User => Role::Assistant,
            Role::Assistant => Role::User,
            other => other,
        };
        Message::new(0, role, message.content.clone())
    };
    let swapped: Vec<_> = messages.iter().map(exchanged).collect();
    match framed(tokens, &swapped, template, model) {
        Some(_) => Err(differs(
            "what the user says in them, the assistant says in the tokens, and the other way round",
        )),
        None => Ok(()),
    }
}

/// The text of tokens, and where each of them ends in it.
struct Text {
    text: String,
    ends: Vec<usize>,
}

impl Text {
    fn of(tokens: &[Token], model: &Model) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(tokens.len()));
        for &token in tokens {
            bytes.extend(model.piece(token, true));
            ends.push(bytes.len());
        }
        // Replacing broken characters would move what is behind them.
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            error
                .as_bytes()
                .iter()
                .map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' })
                .collect()
        });
        Self { text, ends }
    }

    /// The tokens of each message's text, which must follow each other in this text.
    fn contents(&self, messages: &[Message]) -> Result<Vec<Range<usize>>, Refusal> {
        let mut from = 0;
        let mut found = Vec::with_capacity(messages.len());
        for (at, message) in messages.iter().enumerate() {
            let content = message.content.trim();
            let start = self.text.get(from..).and_then(|rest| rest.find(content)).ok_or_else(|| {
                differs(format!(
                    "message {} is not in the text of the saved tokens, or not in its place",
                    at + 1
                ))
            })?;
            let first = self.ends.partition_point(|&end| end <= from + start);
            from += start + content.len();
            found.push(first..self.ends.partition_point(|&end| end < from) + 1);
        }
        Ok(found)
    }
}

fn differs(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::HistoryDiffers, detail)
}
