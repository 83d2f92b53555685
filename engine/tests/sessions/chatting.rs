//! Chatting: turns, cancelling, overflow, several sessions.

use std::fs;

use intact_engine::{
    CancelToken, Engine, EngineError, Finish, Generation, Hooks, StartOptions, sidecar_path,
};
use intact_format::message::{KvStatus, Role};
use intact_format::parameters::{CacheCleanupStrategy, ContextParameters};
use intact_format::route::Route;

use crate::support::{
    TURNS, context, converse, engine, load, options, per_family, save, say, score, start, uninterrupted,
    with_context, with_parameters,
};

fn messages_tile_the_token_stream(model: &str) {
    let mut engine = engine(model);
    converse(&mut engine, "tiles");
    let session = engine.session("tiles").expect("live");
    let mut stream = Vec::new();
    for message in session.chat().messages() {
        let span = message.span.expect("a span");
        assert_eq!(span.start as usize, stream.len(), "{model}: {message:?}");
        stream.extend(message.tokens.clone().expect("tokens"));
        assert_eq!(span.end() as usize, stream.len(), "{model}: {message:?}");
    }
    assert_eq!(stream, session.timeline().tokens(), "{model}");
    assert!(session.timeline().is_pending(), "{model}: the last token waits for the next message");
}

per_family!(messages_tile_the_token_stream);

fn several_sessions_do_not_disturb_each_other(model: &str) {
    let mut engine = engine(model);
    start(&mut engine, "left");
    start(&mut engine, "right");
    for turn in TURNS {
        say(&mut engine, "left", turn);
        say(&mut engine, "right", (turn.1, turn.0));
    }
    assert!(score(&mut engine, "left") == uninterrupted(model), "{model}");
}

per_family!(several_sessions_do_not_disturb_each_other);

fn another_sequence_in_the_same_context_outlives_saves_loads_and_failures(model: &str) {
    for shared in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.json");
        let context = ContextParameters { n_seq_max: Some(4), kv_unified: Some(shared), ..context(1024) };
        let options =
            || options(model).context(context.clone()).hooks(Hooks { fragmented: true, ..Hooks::default() });
        let mut engine = Engine::create(options()).expect("an engine");
        let unharmed = |engine: &Engine| {
            let session = engine.session("it").expect("a session");
            session.timeline().context().neighbour_is_unharmed().expect("a state")
        };
        converse(&mut engine, "it");
        save(&mut engine, "it", &file);
        assert!(unharmed(&engine), "{model}, shared {shared}: saved");
        let live = score(&mut engine, "it");
        assert_eq!(load(&mut engine, &file).receipt.route, Route::Direct, "{model}, shared {shared}");
        assert!(unharmed(&engine), "{model}, shared {shared}: loaded");
        assert!(score(&mut engine, "it") == live, "{model}, shared {shared}");
        fs::write(sidecar_path(&file), b"nothing").expect("written");
        assert_eq!(load(&mut engine, &file).receipt.route, Route::Reprefilled, "{model}, shared {shared}");
        assert!(unharmed(&engine), "{model}, shared {shared}: evaluated again");
    }
}

per_family!(another_sequence_in_the_same_context_outlives_saves_loads_and_failures);

fn a_cancelled_reply_is_dropped_and_the_message_stays(model: &str) {
    let mut engine = engine(model);
    start(&mut engine, "cut");
    say(&mut engine, "cut", TURNS[0]);
    let cancel = CancelToken::new();
    let generation = Generation::default().forced("This will never be said in full.").cancel(cancel.clone());
    let mut heard = String::new();
    let stopped = engine.send_to("cut", "And tomorrow?", &generation, &mut |piece| {
        heard.push_str(piece);
        if heard.len() > 8 {
            cancel.cancel();
        }
    });
    assert!(matches!(stopped, Err(EngineError::Cancelled { .. })), "{model}: {stopped:?}");
    assert!(!heard.is_empty(), "{model}: the reply had begun");

    let session = engine.session("cut").expect("live");
    let last = session.chat().messages().last().expect("a message");
    assert_eq!((last.role, last.content.as_str()), (Role::User, "And tomorrow?"), "{model}");
    assert_eq!(session.timeline().tokens().len() as u64, last.span.expect("a span").end(), "{model}");

    say(&mut engine, "cut", ("Are you there?", "Yes."));
    assert_eq!(engine.session("cut").expect("live").chat().messages().len(), 6, "{model}");
}

per_family!(a_cancelled_reply_is_dropped_and_the_message_stays);

#[test]
fn a_message_that_fails_leaves_the_session_as_it_was() {
    let mut engine = with_context("llama", context(256));
    start(&mut engine, "full");
    say(&mut engine, "full", ("Hi.", "Ho."));
    let expected = {
        let mut other = with_context("llama", context(256));
        start(&mut other, "full");
        say(&mut other, "full", ("Hi.", "Ho."));
        score(&mut other, "full")
    };
    let too_long = "word ".repeat(200);
    let refused = engine.send_to("full", &too_long, &Generation::default(), &mut |_| {});
    assert_eq!(refused.expect_err("too long").code(), Some("context-too-small"));
    assert_eq!(engine.session("full").expect("live").chat().messages().len(), 3);
    assert!(score(&mut engine, "full") == expected);
}

#[test]
fn a_full_context_makes_room_by_the_strategy_of_the_session() {
    for strategy in CacheCleanupStrategy::ALL {
        let mut engine = with_parameters("llama", |parameters| {
            parameters.chat_parameters.cache_cleanup_strategy = strategy;
        });
        start(&mut engine, "long");
        let mut unloaded = 0;
        for turn in TURNS.into_iter().cycle().take(24) {
            let generation = Generation::default().forced(turn.1);
            unloaded += engine.send_to("long", turn.0, &generation, &mut |_| {}).expect("said").unloaded;
        }
        let session = engine.session("long").expect("live");
        assert!(unloaded > 0, "{strategy:?}");
        assert!(session.timeline().tokens().len() <= 1024, "{strategy:?}");
        let messages = session.chat().messages();
        assert_eq!(messages.len(), 49, "{strategy:?}: the history keeps what left the context");
        assert_eq!(messages[0].status, KvStatus::Loaded, "{strategy:?}: the system prompt stays");
        assert_eq!(
            messages.iter().filter(|m| m.status == KvStatus::Unloaded).count(),
            unloaded,
            "{strategy:?}"
        );
    }
}

#[test]
fn a_forced_clean_up_leaves_the_session_as_if_only_the_rest_had_been_said() {
    let mut cleaned = engine("llama");
    converse(&mut cleaned, "tidy");
    assert_eq!(cleaned.clean_up(CacheCleanupStrategy::KeepSystemPromptOnly).expect("cleaned"), 6);
    say(&mut cleaned, "tidy", TURNS[1]);
    let mut fresh = engine("llama");
    start(&mut fresh, "tidy");
    say(&mut fresh, "tidy", TURNS[1]);
    assert_eq!(
        cleaned.session("tidy").expect("live").timeline().tokens(),
        fresh.session("tidy").expect("live").timeline().tokens()
    );
    assert!(score(&mut cleaned, "tidy") == score(&mut fresh, "tidy"));
}

#[test]
fn a_reply_ends_at_the_most_tokens_allowed() {
    let mut engine = engine("llama");
    let generation = Generation::default().max_tokens(5);
    let reply = engine.send("Hello", &generation, &mut |_| {}).expect("a reply");
    assert!(matches!(reply.finish, Finish::MaxTokens | Finish::EndOfTurn), "{reply:?}");
    assert!(reply.tokens_evaluated > 0);
}

#[test]
fn ids_are_given_or_generated_and_never_taken_twice() {
    let mut engine = engine("llama");
    let generated = engine.start(StartOptions::default()).expect("started");
    assert_eq!(engine.current(), Some(&generated));
    start(&mut engine, "mine");
    assert_eq!(engine.current().map(AsRef::as_ref), Some("mine"));
    let again = engine.start(StartOptions::default().id("mine"));
    assert_eq!(again.expect_err("taken").code(), Some("session-exists"));
    for bad in ["", "a/b", "..", "trailing "] {
        let refused = engine.start(StartOptions::default().id(bad));
        assert_eq!(refused.expect_err("no id").code(), Some("invalid-session-id"), "{bad:?}");
    }
    engine.close("mine").expect("closed");
    assert_eq!(engine.current(), None);
    assert_eq!(engine.close("mine").expect_err("gone").code(), Some("session-not-found"));
}
