//! What is written is what is read, in every version and across versions.

use intact_format::message::{Details, Speaker};
use intact_format::passport::Axis;
use intact_format::route::{Refusal, RefusalCode};
use intact_format::session::{self, DocumentV2_2, ReadError, SessionDocument, WriteError};
use intact_format::version::FormatVersion;
use proptest::prelude::*;

use crate::sample;

fn written(session: &SessionDocument, version: FormatVersion) -> Vec<u8> {
    session::write(session, version).expect("a sound session").bytes
}

fn read(bytes: &[u8]) -> session::Read {
    session::read(bytes, FormatVersion::CURRENT).expect("what was written")
}

/// Sessions of texts, and of chats with tools and reasoning.
fn sessions() -> impl Strategy<Value = SessionDocument> {
    prop_oneof![sample::sessions(), sample::whole_chats()]
}

proptest! {
    #[test]
    fn a_version_back_gives_the_session_without_what_is_new(session in sessions()) {
        let mut older = SessionDocument { inputs: None, ..session.clone() };
        for (at, message) in older.history.iter_mut().enumerate() {
            message.role = Speaker::closest(message.role, at == 0).into();
            message.details = Details::default();
        }
        prop_assert_eq!(&read(&written(&session, FormatVersion::V2_1)).document, &older);
        let older = SessionDocument { noise: None, ..older };
        prop_assert_eq!(read(&written(&session, FormatVersion::V2_0)).document, older);
    }

    #[test]
    fn a_session_of_texts_has_the_version_that_it_always_had(session in sample::sessions()) {
        prop_assert_eq!(session.version(), FormatVersion::V2_1);
        let back = read(&written(&session, session.version()));
        prop_assert_eq!((back.written_as, &back.document), (FormatVersion::V2_1, &session));
    }

    #[test]
    fn a_session_is_written_as_what_holds_all_of_it(session in sessions()) {
        let version = session.version();
        let result = session::write(&session, version).unwrap();
        prop_assert_eq!(result.notes, Vec::<String>::new());
        prop_assert_eq!(read(&result.bytes).document, session.clone());
        if version == FormatVersion::V2_2 {
            let lower = read(&written(&session, FormatVersion::V2_1)).document;
            prop_assert_ne!(lower, session);
        }
    }

    #[test]
    fn the_newest_version_gives_back_the_very_session(session in sessions()) {
        let back = read(&written(&session, FormatVersion::CURRENT));
        prop_assert_eq!(back.written_as, FormatVersion::CURRENT);
        prop_assert_eq!(back.notes, Vec::<String>::new());
        prop_assert_eq!(back.document, session);
    }

    #[test]
    fn the_newest_version_is_the_sealed_document_as_compact_json(session in sessions()) {
        let bytes = written(&session, FormatVersion::CURRENT);
        let sealed = DocumentV2_2::of(&session).sealed().unwrap();
        prop_assert_eq!(bytes.strip_suffix(b"\n"), Some(&*serde_json::to_vec(&sealed).unwrap()));
    }

    #[test]
    fn an_older_version_keeps_the_history_and_is_stable(session in sessions()) {
        for version in [FormatVersion::V1_0, FormatVersion::V1_1] {
            let bytes = written(&session, version);
            let back = read(&bytes);
            prop_assert_eq!(back.written_as, version);
            prop_assert!(!back.notes.is_empty());
            prop_assert_eq!(back.document.history.len(), session.history.len());
            for (at, (back, message)) in back.document.history.iter().zip(&session.history).enumerate() {
                let role = Speaker::closest(message.role, at == 0).into();
                prop_assert_eq!((back.id, back.role, &back.content), (message.id, role, &message.content));
                prop_assert_eq!((back.span, back.status), (message.span, message.status));
                let tokens = if version == FormatVersion::V1_0 { &None } else { &message.tokens };
                prop_assert_eq!(&back.tokens, tokens);
            }
            prop_assert_eq!(written(&back.document, version), bytes, "written again as {}", version);
        }
    }

    #[test]
    fn a_migrated_session_can_be_written_as_the_newest(session in sessions()) {
        for version in FormatVersion::ALL {
            let migrated = read(&written(&session, version)).document;
            prop_assert_eq!(&read(&written(&migrated, FormatVersion::CURRENT)).document, &migrated);
        }
    }

    #[test]
    fn an_older_reader_refuses_every_newer_file(session in sessions()) {
        for file in FormatVersion::ALL {
            for reader in FormatVersion::ALL.into_iter().filter(|reader| *reader < file) {
                let refused = session::read(&written(&session, file), reader).unwrap_err();
                prop_assert_eq!(refused.code(), RefusalCode::FormatTooNew);
                let named = matches!(refused, ReadError::TooNew(error) if error.found == file && error.newest == reader);
                prop_assert!(named, "{} by a reader of {}", file, reader);
            }
        }
    }
}

#[test]
fn a_newer_file_is_refused_for_its_version_whatever_else_is_in_it() {
    for version in ["2.3", "3.0", "1.2"] {
        let newer = format!(r#"{{"Novelty":[1,2,3],"FormatVersion":"{version}","SessionId":7}}"#);
        let refused = session::read(newer.as_bytes(), FormatVersion::CURRENT).unwrap_err();
        assert_eq!(refused.code(), RefusalCode::FormatTooNew, "{refused}");
        assert!(refused.to_string().contains(version), "{refused}");
        let refusal = Refusal::from(refused);
        assert_eq!(refusal.axes[0].axis, Axis::Format);
        assert!(refusal.message.ends_with(RefusalCode::FormatTooNew.next_step()), "{refusal}");
    }
}

#[test]
fn an_unknown_field_is_refused_in_every_version() {
    for version in FormatVersion::ALL {
        let text = String::from_utf8(written(&sample::session_of(version), version)).unwrap();
        let more = [r#"{"Tools""#, r#"{"Id":"call_1"#].into_iter().filter(|_| version >= FormatVersion::V2_2);
        for place in [r#"{"FormatVersion""#, r#"{"Id":0"#].into_iter().chain(more) {
            let grown = text.replacen(place, &format!("{}{}", r#"{"Novelty":1,"#, &place[1..]), 1);
            assert_ne!(grown, text);
            let refused = session::read(grown.as_bytes(), FormatVersion::CURRENT).unwrap_err();
            assert!(matches!(refused, ReadError::Malformed { .. }), "{version}: {refused}");
            assert!(refused.to_string().contains("Novelty"), "{version}: {refused}");
        }
    }
}

#[test]
fn a_version_that_never_was_is_not_a_session() {
    let refused = session::read(br#"{"FormatVersion":"0.9"}"#, FormatVersion::CURRENT).unwrap_err();
    assert_eq!(refused.code(), RefusalCode::NotASessionFile);
    insta::assert_snapshot!(refused, @"there is no session format 0.9; the formats are 1.0, 1.1, 2.0, 2.1, 2.2");
}

#[test]
fn what_an_older_version_cannot_hold_is_said() {
    let notes = |version| session::write(&sample::session(), version).unwrap().notes.join("\n");
    assert_eq!((notes(FormatVersion::V2_2), notes(FormatVersion::V2_1)), (String::new(), String::new()));
    let of_whole_chat = session::write(&sample::whole_chat(), FormatVersion::V2_1).unwrap().notes;
    insta::assert_snapshot!(of_whole_chat.join("\n"), @r"
    formats up to 2.1 cannot hold the tool calls: left out
    formats up to 2.1 cannot hold the ids of the tool calls that messages answer: left out
    formats up to 2.1 cannot hold the reasoning: left out
    formats up to 2.1 cannot hold the names of speakers: left out
    formats up to 2.1 cannot hold the tools: left out
    formats up to 2.1 cannot hold the arguments of the chat template: left out
    formats up to 2.1 cannot hold the day on which the chat is rendered: left out
    formats up to 2.1 cannot hold messages without content: they have an empty one
    formats up to 2.1 cannot hold the role developer: it is system, or user where it comes later
    formats up to 2.1 cannot hold the role tool: it is user
    ");
    insta::assert_snapshot!(
        notes(FormatVersion::V2_0),
        @"formats up to 2.0 cannot hold the model's measured noise: left out"
    );
    insta::assert_snapshot!(notes(FormatVersion::V1_1), @r"
    formats up to 2.0 cannot hold the model's measured noise: left out
    formats 1.x cannot hold the KV image: left out
    formats 1.x cannot hold the canary: left out
    formats 1.x cannot hold the parameters: left out
    formats 1.x cannot hold the sampler's seed: left out
    formats 1.x cannot hold the passport, except for what the manifest has: left out
    formats 1.x cannot hold the digests of media: left out
    ");
    insta::assert_snapshot!(notes(FormatVersion::V1_0), @r"
    formats up to 2.0 cannot hold the model's measured noise: left out
    formats 1.x cannot hold the KV image: left out
    formats 1.x cannot hold the canary: left out
    formats 1.x cannot hold the parameters: left out
    formats 1.x cannot hold the sampler's seed: left out
    formats 1.x cannot hold the passport, except for what the manifest has: left out
    formats 1.x cannot hold the digests of media: left out
    format 1.0 cannot hold the manifest: left out; it can be written as a file of its own
    format 1.0 cannot hold token ids: left out
    ");
}

#[test]
fn what_an_older_file_does_not_hold_is_said() {
    let notes = |version| read(&written(&sample::session(), version)).notes.join("\n");
    insta::assert_snapshot!(notes(FormatVersion::V1_0), @r"
    format 1.0 keeps no token ids: the messages have to be tokenized again
    format 1.0 does not say which model, release or preset the session was saved with
    formats 1.x keep no KV image: the session has to be evaluated again
    formats 1.x keep no parameters: those of the preset or the defaults apply
    formats 1.x keep no canary: nothing proves that the model here says what it said
    ");
}

#[test]
fn fields_that_the_seed_leaves_out_have_its_defaults() {
    let minimal =
        br#"{"FormatVersion":"1.0","SessionId":"s","History":[{"Id":1,"Role":"user","Content":"hi"}]}"#;
    let message = &read(minimal).document.history[0];
    assert_eq!((message.span, message.media.len()), (None, 0));
    let bytes = String::from_utf8(written(&read(minimal).document, FormatVersion::V1_0)).unwrap();
    assert!(bytes.contains(r#""KVSize":-1,"KVStartPosition":-1,"KVStatus":1"#), "{bytes}");
}

#[test]
fn a_number_that_json_cannot_say_is_not_written() {
    for number in [f32::NAN, f32::INFINITY] {
        let mut session = sample::session();
        session.parameters.as_mut().unwrap().sampler_parameters.temperature = number;
        let refused = session::write(&session, FormatVersion::CURRENT);
        assert!(matches!(refused, Err(WriteError::Unfaithful { .. })), "{refused:?}");
        // Formats 1.x have no numbers that could be so.
        assert!(session::write(&session, FormatVersion::V1_1).is_ok());
    }
}

#[test]
fn a_version_that_does_not_exist_is_not_written() {
    let refused = session::write(&sample::session(), FormatVersion::new(1, 2)).unwrap_err();
    insta::assert_snapshot!(refused, @"format 1.2 cannot be written; the formats are 1.0, 1.1, 2.0, 2.1, 2.2");
}
