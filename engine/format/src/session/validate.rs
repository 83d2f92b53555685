//! What the fields of a session must have in common. A digest proves that a document is what was written, and not that
//! what was written makes sense.

use std::collections::HashSet;

use super::{Invalid, SessionDocument};
use crate::canary::Canary;
use crate::image::{CellImage, ImageReference, OpaqueImage, SectionImage};
use crate::inputs::TemplateInputs;
use crate::message::{KvStatus, Message, Role};
use crate::token::Token;

type Check = fn(&SessionDocument) -> Result<(), Invalid>;

/// The checks, in an order in which each can rely on those before it.
const CHECKS: [Check; 10] = [
    ids_are_unique,
    only_the_first_message_is_a_system_prompt,
    details_are_of_their_speaker,
    inputs_are_sound,
    unloaded_messages_have_no_cells,
    messages_follow_each_other,
    tokens_have_positions,
    tokens_are_in_the_vocabulary,
    the_canary_is_of_the_last_token,
    the_image_ends_before_the_last_token,
];

pub(super) fn all(session: &SessionDocument) -> Result<(), Invalid> {
    CHECKS.iter().try_for_each(|check| check(session))
}

fn ids_are_unique(session: &SessionDocument) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    let duplicate = session.history.iter().find(|message| !seen.insert(message.id));
    duplicate.map_or(Ok(()), |message| Err(Invalid::DuplicateId { id: message.id }))
}

/// Users and assistants may follow in any order: a cancelled reply leaves two user messages in a row.
fn only_the_first_message_is_a_system_prompt(session: &SessionDocument) -> Result<(), Invalid> {
    let late = session.history.iter().skip(1).find(|message| message.role == Role::System);
    late.map_or(Ok(()), |message| Err(Invalid::LateSystemPrompt { id: message.id }))
}

fn details_are_of_their_speaker(session: &SessionDocument) -> Result<(), Invalid> {
    let found = session.history.iter().find_map(|message| Some((message, message.flaw()?)));
    found.map_or(Ok(()), |(message, what)| Err(Invalid::Details { id: message.id, role: message.role, what }))
}

fn inputs_are_sound(session: &SessionDocument) -> Result<(), Invalid> {
    Ok(session.inputs.as_ref().map_or(Ok(()), TemplateInputs::check)?)
}

fn unloaded_messages_have_no_cells(session: &SessionDocument) -> Result<(), Invalid> {
    let has_cells = |message: &&Message| {
        message.status == KvStatus::Unloaded && (message.span.is_some() || message.tokens.is_some())
    };
    session.history.iter().find(has_cells).map_or(Ok(()), |message| {
        let (size, start) = message.span.map_or((-1, -1), |span| (span.size.into(), span.start.into()));
        Err(Invalid::Span { id: message.id, size, start, status: -1 })
    })
}

fn messages_follow_each_other(session: &SessionDocument) -> Result<(), Invalid> {
    let mut expected = 0;
    for message in &session.history {
        let Some(span) = message.span else { continue };
        if u64::from(span.start) != expected {
            return Err(Invalid::Gap { id: message.id, start: span.start.into(), expected });
        }
        expected = span.end();
    }
    if expected > u64::from(i32::MAX.unsigned_abs()) {
        return Err(Invalid::TooLong { positions: expected });
    }
    Ok(())
}

/// A picture takes positions without having tokens.
fn tokens_have_positions(session: &SessionDocument) -> Result<(), Invalid> {
    let any_tokens = session.history.iter().any(|message| message.tokens.is_some());
    for message in &session.history {
        let id = message.id;
        let positions = message.span.map_or(0, |span| u64::from(span.size));
        let Some(tokens) = &message.tokens else {
            if any_tokens && positions > 0 {
                return Err(Invalid::MissingTokens { id });
            }
            continue;
        };
        let tokens = tokens.len() as u64;
        let fits = if message.media.is_empty() { tokens == positions } else { tokens <= positions };
        if !fits {
            return Err(Invalid::TokenCount { id, tokens, positions });
        }
    }
    Ok(())
}

fn tokens_are_in_the_vocabulary(session: &SessionDocument) -> Result<(), Invalid> {
    let n_vocab = session.canary.as_ref().map_or(u32::MAX, |canary| canary.n_vocab);
    for message in &session.history {
        let stray = message.tokens.iter().flatten().find(|token| !in_vocabulary(**token, n_vocab));
        if let Some(Token(token)) = stray {
            return Err(Invalid::NoSuchToken { id: message.id, token: *token });
        }
    }
    Ok(())
}

fn in_vocabulary(token: Token, n_vocab: u32) -> bool {
    u32::try_from(token.0).is_ok_and(|id| id < n_vocab)
}

fn the_canary_is_of_the_last_token(session: &SessionDocument) -> Result<(), Invalid> {
    let Some(canary) = &session.canary else { return Ok(()) };
    let refuse = |reason: String| Err(Invalid::Canary { reason });
    let Some(last) = session.tokens().as_deref().and_then(<[Token]>::last).copied() else {
        return refuse("the session has no tokens".to_owned());
    };
    if canary.token != last {
        return refuse(format!("it is of token {}, and the last token is {last}", canary.token));
    }
    let position = session.positions().saturating_sub(1);
    if u64::from(canary.position.0) != position {
        return refuse(format!("it is at position {}, and the last position is {position}", canary.position));
    }
    logits_are_sound(canary).map_or(Ok(()), |reason| refuse(reason.to_owned()))
}

fn logits_are_sound(canary: &Canary) -> Option<&'static str> {
    let mut seen = HashSet::new();
    let ordered = canary.top_k.is_sorted_by(|a, b| (b.logit, a.token) < (a.logit, b.token));
    let checks = [
        (canary.top_k.is_empty(), "it has no logits"),
        (canary.top_k.iter().any(|top| !top.logit.is_finite()), "a logit is not finite"),
        (!canary.logsumexp.is_finite(), "the sum of its logits is not finite"),
        (
            canary.top_k.iter().any(|top| !in_vocabulary(top.token, canary.n_vocab)),
            "a token is not in the vocabulary",
        ),
        (!canary.top_k.iter().all(|top| seen.insert(top.token)), "a token occurs twice"),
        (!ordered, "its logits are not in order"),
    ];
    checks.into_iter().find_map(|(wrong, reason)| wrong.then_some(reason))
}

fn the_image_ends_before_the_last_token(session: &SessionDocument) -> Result<(), Invalid> {
    let Some(image) = &session.image else { return Ok(()) };
    let reason = if session.canary.is_none() {
        Some("there is no canary to prove it".to_owned())
    } else if let Some(passport) = &session.passport {
        match image {
            ImageReference::Cells(image) => {
                let layout = passport.layout.as_deref();
                let other = (layout != Some(image.layout.as_str())).then(|| {
                    format!("it has layout {}, and the passport {}", image.layout, layout.unwrap_or("none"))
                });
                other.or_else(|| cells_do_not_fit(image, session.positions()))
            }
            ImageReference::Opaque(image) => pieces_do_not_fit(image),
        }
    } else {
        Some("there is no passport that says what it means".to_owned())
    };
    reason.map_or(Ok(()), |reason| Err(Invalid::Image { reason }))
}

fn cells_do_not_fit(image: &CellImage, positions: u64) -> Option<String> {
    let covered = i64::from(image.last_position()) + 1;
    let wanted = i64::try_from(positions).unwrap_or(i64::MAX).saturating_sub(1);
    if covered != wanted {
        return Some(format!("it ends at position {covered}, and the last token is at position {wanted}"));
    }
    if image.sections.len() != image.shape.sections.len() {
        return Some("it has another number of sections than its shape".to_owned());
    }
    let bytes = image.sections.iter().flat_map(|section| &section.chunks).map(|chunk| chunk.bytes);
    if sum(bytes) != Some(image.bytes) {
        return Some("its chunks have another length together".to_owned());
    }
    image.sections.iter().find_map(section_does_not_fit).map(str::to_owned)
}

fn section_does_not_fit(section: &SectionImage) -> Option<&'static str> {
    let mut next = 0_u64;
    for chunk in &section.chunks {
        if u64::from(chunk.first_cell) != next {
            return Some("its chunks do not follow each other");
        }
        next += u64::from(chunk.cells);
    }
    (next != u64::from(section.cells)).then_some("its chunks have another number of cells together")
}

fn pieces_do_not_fit(image: &OpaqueImage) -> Option<String> {
    let bytes = image.chunks.iter().map(|chunk| chunk.bytes);
    (sum(bytes) != Some(image.bytes)).then(|| "its pieces have another length together".to_owned())
}

fn sum(mut bytes: impl Iterator<Item = u64>) -> Option<u64> {
    bytes.try_fold(0_u64, u64::checked_add)
}
