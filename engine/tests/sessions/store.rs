//! Sessions in a store: the engine takes it for a place like any other.

use intact_engine::{AutoSave, Generation, LoadOptions, OpenedSession, SaveOptions, StartOptions};
use intact_format::route::{LoadPolicy, Route};
use intact_format::session_id::SessionId;
use intact_store::{Collection, Expected, SessionStore, StoreShelf};

use crate::support::{FAMILIES, TURNS, converse, engine, say, score, start, uninterrupted};

fn store() -> SessionStore {
    SessionStore::create("memory:").expect("a store")
}

fn id(text: &str) -> SessionId {
    SessionId::new(text).expect("an id")
}

#[test]
fn a_session_comes_back_from_a_store_bit_by_bit() {
    let store = store();
    for model in FAMILIES {
        let mut writer = engine(model);
        converse(&mut writer, model);
        let mut sink = store.sink(id(model), Expected::Absent);
        writer.save_to(model, &mut sink, &SaveOptions::default()).expect("saved");
        let mut reader = engine(model);
        let mut source = store.source(id(model));
        let receipt = reader.load_from(&mut source, &LoadOptions::default()).expect("loaded").receipt;
        assert_eq!(receipt.route, Route::Direct, "{model}: {receipt:?}");
        assert!(score(&mut reader, model) == uninterrupted(model), "{model}");
    }
    assert_eq!(store.sessions().expect("listed").len(), FAMILIES.len());
    assert!(store.verify(false, &intact_store::plain).expect("verified").is_sound());
}

#[test]
fn a_save_after_every_turn_stores_what_the_turn_added() {
    let store = store();
    let mut writer = engine("llama");
    start(&mut writer, "chat");
    let mut expected = Expected::Absent;
    let mut stored = Vec::new();
    for turn in TURNS.into_iter().cycle().take(9) {
        say(&mut writer, "chat", turn);
        let mut sink = store.sink(id("chat"), expected);
        writer.save_to("chat", &mut sink, &SaveOptions::default()).expect("saved");
        let saved = sink.saved().expect("committed");
        expected = Expected::At(saved.generation);
        stored.push(saved);
    }
    let last = stored.last().expect("nine saves");
    assert_eq!(last.generation.0, 9);
    assert!(last.shared_bytes > 2 * last.new_bytes, "{last:?}");
    store.collect(Collection { grace: std::time::Duration::ZERO, dry_run: false }).expect("collected");
    let mut reader = engine("llama");
    let strict = LoadOptions::default().policy(LoadPolicy::STRICT);
    reader.load_from(&mut store.source(id("chat")), &strict).expect("loaded");
    assert!(score(&mut reader, "chat") == score(&mut writer, "chat"));
}

#[test]
fn sessions_over_one_system_prompt_share_its_chunks() {
    let store = store();
    let mut writer = engine("llama");
    for (number, turn) in TURNS.into_iter().enumerate() {
        let name = format!("chat {number}");
        let options = StartOptions::default()
            .id(name.clone())
            .system_prompt("You are a patient guide who knows every museum. ".repeat(16));
        writer.start(options).expect("started");
        say(&mut writer, &name, turn);
        let mut sink = store.sink(id(&name), Expected::Absent);
        writer.save_to(&name, &mut sink, &SaveOptions::default()).expect("saved");
    }
    let statistics = store.statistics().expect("measured");
    assert!(statistics.shared_payloads >= 2, "{statistics:?}");
    assert!(statistics.payload_bytes < statistics.session_bytes * 3 / 4, "{statistics:?}");
}

#[test]
fn two_engines_that_keep_one_session_in_a_store_do_not_lose_each_others_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = || {
        let store = SessionStore::create(folder.path().to_str().expect("UTF-8")).expect("a store");
        AutoSave::new(engine("llama"), StoreShelf::new(store))
    };
    let say = |chats: &mut AutoSave<StoreShelf>, (question, answer): (&str, &str)| {
        let forced = Generation::default().forced(answer.to_owned());
        let turn = chats.send("ada", question, &forced, &mut |_| {}).expect("a reply");
        turn.saved.expect("saved after each turn").map_err(|error| error.to_string())
    };
    let [mut one, mut other] = [keeper(), keeper()];
    say(&mut one, TURNS[0]).expect("it is new");
    assert!(matches!(other.open("ada").expect("there"), OpenedSession::Restored(_)));
    say(&mut one, TURNS[1]).expect("its own");
    let refused = say(&mut other, TURNS[2]).expect_err("a turn of the other would be lost");
    assert!(refused.contains("`ada`") && refused.contains("somebody else"), "{refused}");
    let messages = |chats: &AutoSave<StoreShelf>| {
        let messages = chats.engine().session("ada").expect("live").chat().messages().to_vec();
        messages.into_iter().map(|message| message.content).collect::<Vec<_>>()
    };
    assert!(messages(&other).iter().any(|said| said == TURNS[2].0), "it goes on, unsaved");
    let mut after = keeper();
    after.open("ada").expect("there");
    assert_eq!(messages(&after), messages(&one));
}
