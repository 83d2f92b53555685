//! From each version to the next and back, one step at a time. Every step says what the older version does not hold.

use std::path::Path;

use super::{
    DocumentV1_0, DocumentV1_1, DocumentV2_0, DocumentV2_1, DocumentV2_2, version_1_0, version_1_1,
    version_2_0, version_2_2,
};
use crate::manifest::Manifest;
use crate::message::{Role, Speaker};
use crate::version::FormatVersion;

/// 1.0 to 1.1: no message has tokens, and nothing is known of the model.
pub(super) fn to_1_1(document: DocumentV1_0, notes: &mut Vec<String>) -> DocumentV1_1 {
    note(notes, "format 1.0 keeps no token ids: the messages have to be tokenized again");
    note(notes, "format 1.0 does not say which model, release or preset the session was saved with");
    DocumentV1_1 {
        format_version: FormatVersion::V1_1,
        session_id: document.session_id,
        manifest: None,
        history: document
            .history
            .into_iter()
            .map(|entry| version_1_1::HistoryEntry {
                id: entry.id,
                role: entry.role,
                content: entry.content,
                media: entry.media,
                kv_size: entry.kv_size,
                kv_start_position: entry.kv_start_position,
                kv_status: entry.kv_status,
                token_ids: None,
            })
            .collect(),
    }
}

/// 1.1 to 2.0: no passport, parameters, canary or image.
pub(super) fn to_2_0(document: DocumentV1_1, notes: &mut Vec<String>) -> DocumentV2_0 {
    note(notes, "formats 1.x keep no KV image: the session has to be evaluated again");
    note(notes, "formats 1.x keep no parameters: those of the preset or the defaults apply");
    note(notes, "formats 1.x keep no canary: nothing proves that the model here says what it said");
    DocumentV2_0 {
        format_version: FormatVersion::V2_0,
        digest: None,
        session_id: document.session_id,
        saved_at: document.manifest.as_ref().map(|manifest| manifest.saved_at),
        history: document
            .history
            .into_iter()
            .map(|entry| version_2_0::HistoryEntry {
                id: entry.id,
                role: entry.role,
                content: entry.content,
                media: entry.media.into_iter().map(newer_media).collect(),
                kv_size: entry.kv_size,
                kv_start_position: entry.kv_start_position,
                kv_status: entry.kv_status,
                token_ids: entry.token_ids,
            })
            .collect(),
        manifest: document.manifest,
        parameters: None,
        sampler: None,
        passport: None,
        canary: None,
        image: None,
    }
}

/// 2.0 to 2.1: how far the model was from itself is not known, and measured again where it matters.
pub(super) fn to_2_1(document: DocumentV2_0) -> DocumentV2_1 {
    DocumentV2_1 {
        format_version: FormatVersion::V2_1,
        digest: None,
        session_id: document.session_id,
        saved_at: document.saved_at,
        history: document.history,
        manifest: document.manifest,
        parameters: document.parameters,
        sampler: document.sampler,
        passport: document.passport,
        canary: document.canary,
        noise: None,
        image: document.image,
    }
}

/// 2.1 to 2.2: nobody called a tool, and what the template was given is not known.
pub(super) fn to_2_2(document: DocumentV2_1) -> DocumentV2_2 {
    DocumentV2_2 {
        format_version: FormatVersion::V2_2,
        digest: None,
        session_id: document.session_id,
        saved_at: document.saved_at,
        history: document
            .history
            .into_iter()
            .map(|entry| version_2_2::HistoryEntry {
                id: entry.id,
                role: entry.role.into(),
                name: None,
                reasoning: None,
                content: Some(entry.content),
                tool_calls: Vec::new(),
                tool_call_id: None,
                media: entry.media,
                kv_size: entry.kv_size,
                kv_start_position: entry.kv_start_position,
                kv_status: entry.kv_status,
                token_ids: entry.token_ids,
            })
            .collect(),
        template_inputs: None,
        manifest: document.manifest,
        parameters: document.parameters,
        sampler: document.sampler,
        passport: document.passport,
        canary: document.canary,
        noise: document.noise,
        image: document.image,
    }
}

/// 2.2 to 2.1. The tokens of messages stay, so that the session is the same until its template is needed again.
pub(super) fn back_to_2_1(document: DocumentV2_2, notes: &mut Vec<String>) -> DocumentV2_1 {
    let any = |has: fn(&version_2_2::HistoryEntry) -> bool| document.history.iter().any(has);
    let inputs = document.template_inputs.as_ref();
    let dropped = [
        (any(|entry| !entry.tool_calls.is_empty()), "the tool calls"),
        (any(|entry| entry.tool_call_id.is_some()), "the ids of the tool calls that messages answer"),
        (any(|entry| entry.reasoning.is_some()), "the reasoning"),
        (any(|entry| entry.name.is_some()), "the names of speakers"),
        (inputs.is_some_and(|inputs| inputs.tools.is_some()), "the tools"),
        (inputs.is_some_and(|inputs| inputs.arguments.is_some()), "the arguments of the chat template"),
        (inputs.is_some_and(|inputs| inputs.date.is_some()), "the day on which the chat is rendered"),
    ];
    for (_, what) in dropped.into_iter().filter(|(there, _)| *there) {
        note(notes, &format!("formats up to 2.1 cannot hold {what}: left out"));
    }
    let changed = [
        (any(|entry| entry.content.is_none()), "messages without content: they have an empty one"),
        (
            any(|entry| entry.role == Role::Developer),
            "the role developer: it is system, or user where it comes later",
        ),
        (any(|entry| entry.role == Role::Tool), "the role tool: it is user"),
    ];
    for (_, what) in changed.into_iter().filter(|(there, _)| *there) {
        note(notes, &format!("formats up to 2.1 cannot hold {what}"));
    }
    DocumentV2_1 {
        format_version: FormatVersion::V2_1,
        digest: None,
        session_id: document.session_id,
        saved_at: document.saved_at,
        history: document
            .history
            .into_iter()
            .enumerate()
            .map(|(at, entry)| version_2_0::HistoryEntry {
                id: entry.id,
                role: Speaker::closest(entry.role, at == 0),
                content: entry.content.unwrap_or_default(),
                media: entry.media,
                kv_size: entry.kv_size,
                kv_start_position: entry.kv_start_position,
                kv_status: entry.kv_status,
                token_ids: entry.token_ids,
            })
            .collect(),
        manifest: document.manifest,
        parameters: document.parameters,
        sampler: document.sampler,
        passport: document.passport,
        canary: document.canary,
        noise: document.noise,
        image: document.image,
    }
}

/// 2.1 to 2.0.
pub(super) fn back_to_2_0(document: DocumentV2_1, notes: &mut Vec<String>) -> DocumentV2_0 {
    if document.noise.is_some() {
        note(notes, "formats up to 2.0 cannot hold the model's measured noise: left out");
    }
    DocumentV2_0 {
        format_version: FormatVersion::V2_0,
        digest: None,
        session_id: document.session_id,
        saved_at: document.saved_at,
        history: document.history,
        manifest: document.manifest,
        parameters: document.parameters,
        sampler: document.sampler,
        passport: document.passport,
        canary: document.canary,
        image: document.image,
    }
}

/// 2.0 to 1.1. A manifest that the session does not have is made of its passport.
pub(super) fn back_to_1_1(document: DocumentV2_0, notes: &mut Vec<String>) -> DocumentV1_1 {
    let dropped = [
        (document.image.is_some(), "the KV image"),
        (document.canary.is_some(), "the canary"),
        (document.parameters.is_some(), "the parameters"),
        (document.sampler.is_some(), "the sampler's seed"),
        (document.passport.is_some(), "the passport, except for what the manifest has"),
        (
            document.history.iter().flat_map(|entry| &entry.media).any(|media| media.digest.is_some()),
            "the digests of media",
        ),
        (
            document.saved_at.is_some() && document.manifest.is_none() && document.passport.is_none(),
            "the time of the save",
        ),
    ];
    for (_, what) in dropped.into_iter().filter(|(there, _)| *there) {
        note(notes, &format!("formats 1.x cannot hold {what}: left out"));
    }
    let file = format!("{}.json", document.session_id);
    let of_passport = document.passport.as_ref().map(|passport| Manifest::of(passport, Path::new(&file)));
    DocumentV1_1 {
        format_version: FormatVersion::V1_1,
        session_id: document.session_id,
        manifest: document.manifest.or(of_passport),
        history: document
            .history
            .into_iter()
            .map(|entry| version_1_1::HistoryEntry {
                id: entry.id,
                role: entry.role,
                content: entry.content,
                media: entry.media.into_iter().map(older_media).collect(),
                kv_size: entry.kv_size,
                kv_start_position: entry.kv_start_position,
                kv_status: entry.kv_status,
                token_ids: entry.token_ids,
            })
            .collect(),
    }
}

/// 1.1 to 1.0.
pub(super) fn back_to_1_0(document: DocumentV1_1, notes: &mut Vec<String>) -> DocumentV1_0 {
    if document.manifest.is_some() {
        note(notes, "format 1.0 cannot hold the manifest: left out; it can be written as a file of its own");
    }
    if document.history.iter().any(|entry| entry.token_ids.is_some()) {
        note(notes, "format 1.0 cannot hold token ids: left out");
    }
    DocumentV1_0 {
        format_version: FormatVersion::V1_0,
        session_id: document.session_id,
        history: document
            .history
            .into_iter()
            .map(|entry| version_1_0::HistoryEntry {
                id: entry.id,
                role: entry.role,
                content: entry.content,
                media: entry.media,
                kv_size: entry.kv_size,
                kv_start_position: entry.kv_start_position,
                kv_status: entry.kv_status,
            })
            .collect(),
    }
}

fn newer_media(media: version_1_0::Media) -> version_2_0::Media {
    version_2_0::Media {
        digest: None,
        size: None,
        format: media.format,
        mime_type: media.mime_type,
        width: media.width,
        height: media.height,
        description: media.description,
        file_name: media.file_name,
    }
}

fn older_media(media: version_2_0::Media) -> version_1_0::Media {
    version_1_0::Media {
        format: media.format,
        mime_type: media.mime_type,
        width: media.width,
        height: media.height,
        description: media.description,
        file_name: media.file_name,
    }
}

fn note(notes: &mut Vec<String>, text: &str) {
    notes.push(text.to_owned());
}
