//! A digest proves that a document is what was written. These are documents that should never have been written: their
//! digest is right, and their fields contradict each other.

use intact_format::canary::TopLogit;
use intact_format::image::ImageReference;
use intact_format::message::{KvSpan, KvStatus, Message, Role};
use intact_format::route::RefusalCode;
use intact_format::session::{self, DocumentV2_2, SessionDocument, WriteError};
use intact_format::token::{Position, Token};
use intact_format::version::FormatVersion;

use crate::sample;

/// One contradiction: what it is, how to bring it about, and what the refusal says.
type Contradiction = (&'static str, fn(&mut SessionDocument), &'static str);

const CONTRADICTIONS: [Contradiction; 25] = [
    ("two messages of one id", |s| s.history[3].id = 1, "two messages have the id 1"),
    (
        "a second system prompt",
        |s| s.history[2].role = Role::System,
        "message 2 is a system prompt and not the first message",
    ),
    (
        "an unloaded message with cells",
        |s| s.history[1].status = KvStatus::Unloaded,
        "message 1 has KVSize 29, KVStartPosition 23 and KVStatus -1, which no message has",
    ),
    (
        "a gap between messages",
        |s| s.history[2].span.as_mut().unwrap().start += 1,
        "message 2 starts at position 53 and the messages before it end at 52",
    ),
    (
        "messages that overlap",
        |s| s.history[1].span.as_mut().unwrap().start -= 1,
        "message 1 starts at position 22 and the messages before it end at 23",
    ),
    (
        "a session that does not start at 0",
        |s| s.history.iter_mut().for_each(|m| m.span.as_mut().unwrap().start += 7),
        "message 0 starts at position 7 and the messages before it end at 0",
    ),
    (
        "more positions than tokens",
        |s| s.history[3].span.as_mut().unwrap().size += 1,
        "message 3 has 37 tokens at 38 positions",
    ),
    (
        "more tokens than positions",
        |s| s.history[3].tokens.as_mut().unwrap().push(Token(1)),
        "message 3 has 38 tokens at 37 positions",
    ),
    ("tokens without positions", |s| s.history[3].span = None, "message 3 has 37 tokens at 0 positions"),
    (
        "positions without tokens",
        |s| s.history[2].tokens = None,
        "message 2 is in the KV cache without tokens, and others have theirs",
    ),
    (
        "a negative token",
        |s| s.history[0].tokens.as_mut().unwrap()[0] = Token(-1),
        "message 0 has the token -1, which is not in the vocabulary",
    ),
    (
        "a token beyond the vocabulary",
        |s| s.history[0].tokens.as_mut().unwrap()[0] = Token(260),
        "message 0 has the token 260, which is not in the vocabulary",
    ),
    (
        "more positions than a context can have",
        |s| {
            s.image = None;
            s.canary = None;
            let mut endless = Message::new(9, Role::User, "");
            endless.media = s.history[1].media.clone();
            endless.span = Some(KvSpan { start: u32::try_from(s.positions()).unwrap(), size: u32::MAX });
            endless.tokens = Some(vec![]);
            s.history.push(endless);
        },
        "the messages have 4294967454 positions together, more than a context can have",
    ),
    (
        "a canary of another token",
        |s| *s.history[3].tokens.as_mut().unwrap().last_mut().unwrap() = Token(65),
        "the canary does not fit: it is of token 63, and the last token is 65",
    ),
    (
        "a canary at another position",
        |s| s.canary.as_mut().unwrap().position = Position(5),
        "the canary does not fit: it is at position 5, and the last position is 158",
    ),
    (
        "a canary of a session without tokens",
        |s| s.history.clear(),
        "the canary does not fit: the session has no tokens",
    ),
    (
        "a canary without logits",
        |s| s.canary.as_mut().unwrap().top_k.clear(),
        "the canary does not fit: it has no logits",
    ),
    (
        "logits out of order",
        |s| s.canary.as_mut().unwrap().top_k.swap(0, 9),
        "the canary does not fit: its logits are not in order",
    ),
    (
        "a logit twice",
        |s| {
            let top_k = &mut s.canary.as_mut().unwrap().top_k;
            top_k.push(TopLogit { logit: -99.0, ..top_k[0] });
        },
        "the canary does not fit: a token occurs twice",
    ),
    (
        "a logit of no token",
        |s| s.canary.as_mut().unwrap().top_k.push(TopLogit { token: Token(260), logit: -99.0 }),
        "the canary does not fit: a token is not in the vocabulary",
    ),
    (
        "an image that is too long",
        |s| s.image = Some(sample::image(159)),
        "the KV image does not fit: it ends at position 159, and the last token is at position 158",
    ),
    (
        "an image that is too short",
        |s| s.image = Some(sample::image(157)),
        "the KV image does not fit: it ends at position 157, and the last token is at position 158",
    ),
    (
        "an image that nothing proves",
        |s| s.canary = None,
        "the KV image does not fit: there is no canary to prove it",
    ),
    (
        "an image that means nothing",
        |s| s.passport = None,
        "the KV image does not fit: there is no passport that says what it means",
    ),
    (
        "an image in another layout than the passport's",
        |s| s.passport.as_mut().unwrap().layout = Some("b8619".to_owned()),
        "the KV image does not fit: it has layout 0.6.0, and the passport b8619",
    ),
];

/// Those of chats with tools and reasoning.
const OF_WHOLE_CHATS: [Contradiction; 7] = [
    (
        "a user who calls tools",
        |s| s.history[5].details.tool_calls = s.history[6].details.tool_calls.clone(),
        "message 5 of the role user calls tools, which only the assistant does",
    ),
    (
        "a tool that thinks",
        |s| s.history[7].details.reasoning = Some(String::new()),
        "message 7 of the role tool has reasoning, which only the assistant has",
    ),
    (
        "a developer who answers a call",
        |s| s.history[4].details.tool_call_id = Some("call_1".to_owned()),
        "message 4 of the role developer answers a tool call, which only a tool does",
    ),
    (
        "a call without a name",
        |s| s.history[6].details.tool_calls[1].name.clear(),
        "message 6 of the role assistant calls a tool without a name",
    ),
    (
        "tools that are no list",
        |s| s.inputs.as_mut().unwrap().tools = Some("{}".to_owned()),
        "the tools are not a JSON array of objects: invalid type: map, expected a sequence at line 1 column 0",
    ),
    (
        "arguments that are no object",
        |s| s.inputs.as_mut().unwrap().arguments = Some("[]".to_owned()),
        "the arguments of the chat template are not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
    ),
    (
        "an argument in the place of the messages",
        |s| s.inputs.as_mut().unwrap().arguments = Some(r#"{"messages": []}"#.to_owned()),
        "an argument of the chat template cannot be called `messages`, which every template is given",
    ),
];

#[test]
fn a_contradiction_is_neither_written_nor_read() {
    let of_texts = CONTRADICTIONS.map(|contradiction| (sample::session(), contradiction));
    let of_whole_chats = OF_WHOLE_CHATS.map(|contradiction| (sample::whole_chat(), contradiction));
    for (mut session, (what, bring_about, message)) in of_texts.into_iter().chain(of_whole_chats) {
        bring_about(&mut session);

        let unwritten = session::write(&session, FormatVersion::CURRENT);
        let Err(WriteError::Invalid(contradiction)) = unwritten else { panic!("{what}: {unwritten:?}") };
        assert_eq!(contradiction.to_string(), message, "{what}");

        let sealed = DocumentV2_2::of(&session).sealed().unwrap();
        let unread =
            session::read(&serde_json::to_vec(&sealed).unwrap(), FormatVersion::CURRENT).unwrap_err();
        assert_eq!(unread.code(), RefusalCode::InvalidDocument, "{what}: {unread}");
        assert!(unread.to_string().ends_with(message), "{what}: {unread}");
    }
}

#[test]
fn an_image_whose_chunks_do_not_add_up_is_refused() {
    type Mutation = fn(&mut SessionDocument);
    let mutations: [(&str, Mutation); 4] = [
        ("a chunk is left out", |s| chunks(s).clear()),
        ("a chunk is longer", |s| chunks(s)[0].bytes += 1),
        ("a chunk has more cells", |s| chunks(s)[0].cells += 1),
        ("a chunk starts later", |s| chunks(s)[0].first_cell = u32::MAX),
    ];
    for (what, mutate) in mutations {
        let mut session = sample::session();
        mutate(&mut session);
        let refused = session.validate().unwrap_err().to_string();
        assert!(refused.starts_with("the KV image does not fit: its chunks"), "{what}: {refused}");
    }
}

fn chunks(session: &mut SessionDocument) -> &mut Vec<intact_format::image::ChunkReference> {
    match session.image.as_mut() {
        Some(ImageReference::Cells(image)) => &mut image.sections[0].chunks,
        other => panic!("an image of cells, not {other:?}"),
    }
}

#[test]
fn kv_fields_that_no_message_has_are_refused_in_every_version() {
    for fields in [
        r#""KVSize":-1,"KVStartPosition":0,"KVStatus":1"#,
        r#""KVSize":3,"KVStartPosition":-1,"KVStatus":1"#,
        r#""KVSize":-2,"KVStartPosition":-2,"KVStatus":1"#,
        r#""KVSize":4294967296,"KVStartPosition":0,"KVStatus":1"#,
        r#""KVSize":-1,"KVStartPosition":-1,"KVStatus":2"#,
        r#""KVSize":3,"KVStartPosition":0,"KVStatus":-1"#,
    ] {
        for (version, more) in [("1.0", ""), ("1.1", "")] {
            let text = format!(
                r#"{{"FormatVersion":"{version}","SessionId":"s","History":[
                    {{"Id":1,"Role":"user","Content":"hi","Media":[],{fields}{more}}}]}}"#
            );
            let refused = session::read(text.as_bytes(), FormatVersion::CURRENT).unwrap_err();
            assert_eq!(refused.code(), RefusalCode::InvalidDocument, "{version} {fields}: {refused}");
        }
    }
}

/// A file has no way to say it.
#[test]
fn a_text_of_a_message_that_says_nothing_is_not_written() {
    let mut session = sample::whole_chat();
    session.history[0].details.without_content = true;
    let refused = session.validate().unwrap_err().to_string();
    assert_eq!(refused, "message 0 of the role system says something and has no content");
}

#[test]
fn a_cancelled_reply_leaves_a_sound_session() {
    let mut session = sample::session();
    session.history.push(Message::new(9, Role::User, "never mind"));
    session.image = None;
    session.canary = None;
    assert_eq!(session.validate(), Ok(()));
    assert_eq!(session.tokens(), None, "the last message was never evaluated");
}
