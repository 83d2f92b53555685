//! Starting, sending, cancelling, cleaning up and closing.

use intact_engine::{CancelToken, Generation, StartOptions};
use intact_format::message::{KvStatus, Role};
use intact_format::parameters::CacheCleanupStrategy;

use crate::desk::{Desk, code, short};

#[test]
fn a_chat_starts_under_its_own_or_a_generated_id_and_becomes_current() {
    let mut desk = Desk::new();
    let own = desk.start("own");
    assert_eq!(own, "own");
    let generated = desk.engine.start(StartOptions::default()).expect("a session");
    assert!(!generated.as_str().is_empty() && generated.as_str() != "own");
    assert_eq!(desk.engine.current(), Some(&generated));
    assert_eq!(code(desk.engine.start(StartOptions::default().id("own"))), "session-exists");
}

#[test]
fn a_message_without_any_session_starts_one() {
    let mut desk = Desk::new();
    desk.engine.send("Hello!", &short(), &mut |_| ()).expect("a reply");
    assert_eq!(desk.engine.sessions().count(), 1);
    assert!(desk.engine.current().is_some());
}

#[test]
fn a_message_to_a_named_session_leaves_the_current_one_current() {
    let mut desk = Desk::new();
    desk.start("first");
    desk.start("second");
    desk.say("first", "Hello!");
    assert_eq!(desk.engine.current().map(intact_format::session_id::SessionId::as_str), Some("second"));
    assert_eq!(desk.said("second").len(), 1);
}

#[test]
fn a_message_to_an_unknown_session_is_session_not_found() {
    let mut desk = Desk::new();
    assert_eq!(code(desk.engine.send_to("nobody", "Hello!", &short(), &mut |_| ())), "session-not-found");
}

#[test]
fn a_reply_is_streamed_piece_by_piece() {
    let mut desk = Desk::new();
    let id = desk.start("streamed");
    let mut pieces = Vec::new();
    let reply = desk
        .engine
        .send_to(&id, "Hello!", &short(), &mut |piece| pieces.push(piece.to_owned()))
        .expect("a reply");
    assert_eq!(pieces.concat(), reply.text);
    assert_eq!(desk.said(&id).last(), Some(&(Role::Assistant, reply.text)));
}

#[test]
fn a_cancelled_reply_is_dropped_and_the_users_message_stays() {
    let mut desk = Desk::new();
    let id = desk.chat("cancelled");
    let before = desk.said(&id);
    let cancel = CancelToken::new();
    let generation = Generation::default().cancel(cancel.clone()).max_tokens(64);
    let outcome = desk.engine.send_to(&id, "A long story, please.", &generation, &mut |_| cancel.cancel());
    assert_eq!(code(outcome), "cancelled");
    let after = desk.said(&id);
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()..], [(Role::User, "A long story, please.".to_owned())]);
    desk.say(&id, "Never mind.");
}

#[test]
fn a_session_with_a_cancelled_reply_can_be_saved_and_loaded() {
    let mut desk = Desk::new();
    let id = desk.chat("stopped");
    let cancel = CancelToken::new();
    cancel.cancel();
    let generation = Generation::default().cancel(cancel);
    desk.engine.send_to(&id, "A long story, please.", &generation, &mut |_| ()).expect_err("cancelled");
    let path = desk.save(&id, "stopped.json");
    let mut reader = Desk::new();
    reader.load(&path);
    assert_eq!(reader.said(&id), desk.said(&id));
    assert_eq!(reader.say(&id, "Never mind.").text, desk.say(&id, "Never mind.").text);
}

#[test]
fn a_forced_clean_up_without_a_session_is_refused() {
    let mut desk = Desk::new();
    assert_eq!(code(desk.engine.clean_up(CacheCleanupStrategy::FORCED_DEFAULT)), "no-current-session");
}

#[test]
fn a_forced_clean_up_keeps_the_system_prompt_by_default() {
    assert_eq!(CacheCleanupStrategy::FORCED_DEFAULT, CacheCleanupStrategy::KeepSystemPromptOnly);
    let mut desk = Desk::new();
    let id = desk.chat("cleaned");
    let unloaded = desk.engine.clean_up(CacheCleanupStrategy::FORCED_DEFAULT).expect("a clean-up");
    assert_eq!(unloaded, 4);
    let loaded: Vec<_> =
        desk.messages(&id).into_iter().map(|message| message.status == KvStatus::Loaded).collect();
    assert_eq!(loaded, [true, false, false, false, false]);
}

#[test]
fn every_strategy_leaves_a_session_that_answers_saves_and_loads() {
    for strategy in CacheCleanupStrategy::ALL {
        let mut desk = Desk::new();
        let id = desk.chat("strategies");
        desk.engine.clean_up(strategy).expect("a clean-up");
        desk.say(&id, "And now?");
        let path = desk.save(&id, "strategies.json");
        let mut reader = Desk::new();
        reader.load(&path);
        assert_eq!(reader.said(&id), desk.said(&id), "{strategy:?}");
        assert_eq!(reader.score(&id), desk.score(&id), "{strategy:?}");
    }
}

#[test]
fn a_full_context_is_cleaned_up_by_the_sessions_strategy() {
    let mut desk = Desk::new();
    let id = desk.start("overflowing");
    let unloaded: usize =
        (0..16).map(|turn| desk.say(&id, &format!("Turn {turn}: tell me more about it.")).unloaded).sum();
    assert!(unloaded > 0);
    let messages = desk.messages(&id);
    assert_eq!(messages[0].status, KvStatus::Loaded, "the system prompt stays");
    assert!(messages.iter().any(|message| message.status == KvStatus::Unloaded));
    assert_eq!(messages.len(), 1 + 2 * 16, "what was said is not forgotten");
}

#[test]
fn a_closed_session_is_not_there_any_more() {
    let mut desk = Desk::new();
    let id = desk.chat("closed");
    desk.engine.close(&id).expect("closed");
    assert!(desk.engine.current().is_none());
    assert_eq!(code(desk.engine.close(&id)), "session-not-found");
}

#[test]
fn live_sessions_over_one_model_do_not_touch_each_other() {
    let mut both = Desk::new();
    both.start("one");
    both.start("two");
    for text in ["Plan a trip to Madrid in May.", "Three museums worth visiting?"] {
        both.say("one", text);
        both.say("two", "Something else altogether.");
    }
    let mut alone = Desk::new();
    alone.chat("one");
    assert_eq!(both.tokens("one"), alone.tokens("one"));
    assert_eq!(both.score("one"), alone.score("one"));
}
