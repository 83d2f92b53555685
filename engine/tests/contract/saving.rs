//! Saving a session.

use std::fs;

use intact_engine::{SaveOptions, sidecar_path};
use intact_format::message::KvStatus;
use intact_format::version::FormatVersion;
use serde_json::Value;

use crate::desk::{Desk, code, json};

#[test]
fn a_session_is_saved_to_the_path_that_is_given() {
    let mut desk = Desk::new();
    let id = desk.chat("session-42");
    fs::create_dir(desk.path("backups")).expect("a folder");
    let path = desk.path("backups/user-42-conv-1.json");
    let saved = desk.engine.save(&id, &SaveOptions::to(&path)).expect("a save");
    assert_eq!(saved.path, path);
    assert!(path.is_file());
}

#[test]
fn saving_blocks_until_the_file_is_written() {
    let mut desk = Desk::new();
    let id = desk.chat("blocking");
    let path = desk.path("blocking.json");
    let saved = desk.engine.save(&id, &SaveOptions::to(&path)).expect("a save");
    let on_disk: u64 = saved.files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
    assert!(on_disk >= saved.bytes, "{on_disk} of {} bytes", saved.bytes);
    desk.load(&path);
}

#[test]
fn unknown_session_on_save_is_session_not_found() {
    let mut desk = Desk::new();
    let outcome = desk.engine.save("nobody", &SaveOptions::to(desk.path("nobody.json")));
    assert_eq!(code(outcome), "session-not-found");
    assert!(!desk.path("nobody.json").exists());
}

#[test]
fn the_file_is_json_with_the_session_id_and_the_full_chat_history() {
    let mut desk = Desk::new();
    let id = desk.chat("history");
    for format in FormatVersion::ALL {
        let path = desk.save_as(&id, &format!("history-{format}.json"), format);
        let document = json(&path);
        assert_eq!(document["SessionId"], "history", "{format}");
        let saved: Vec<_> = entries(&document)
            .map(|entry| {
                (entry["Role"].as_str().unwrap().to_owned(), entry["Content"].as_str().unwrap().to_owned())
            })
            .collect();
        let live: Vec<_> =
            desk.said(&id).into_iter().map(|(role, content)| (role.as_str().to_owned(), content)).collect();
        assert_eq!(saved, live, "{format}");
    }
}

#[test]
fn every_message_has_media_metadata_kv_size_kv_start_position_and_kv_status() {
    let mut desk = Desk::new();
    let id = desk.chat("positions");
    let messages = desk.messages(&id);
    for format in FormatVersion::ALL {
        let document = json(&desk.save_as(&id, &format!("positions-{format}.json"), format));
        for (entry, message) in entries(&document).zip(&messages) {
            let span = message.span.expect("a span");
            assert!(entry["Media"].is_array(), "{format}");
            assert_eq!(entry["KVSize"], span.size, "{format}");
            assert_eq!(entry["KVStartPosition"], span.start, "{format}");
            assert_eq!(entry["KVStatus"], 1, "{format}");
        }
    }
}

#[test]
fn the_positions_of_the_messages_tile_the_whole_session() {
    let mut desk = Desk::new();
    let id = desk.chat("tiles");
    let mut end = 0;
    for message in desk.messages(&id) {
        assert_eq!(message.status, KvStatus::Loaded);
        let span = message.span.expect("a span");
        assert_eq!(u64::from(span.start), end);
        end = span.end();
    }
    assert_eq!(end, desk.tokens(&id).len() as u64);
}

#[test]
fn the_saved_json_is_plain_text_that_shows_what_was_said() {
    let mut desk = Desk::new();
    let id = desk.chat("plain");
    let path = desk.save(&id, "plain.json");
    let text = fs::read_to_string(path).expect("UTF-8");
    for said in ["Be brief.", "Plan a trip to Madrid in May.", "Three museums worth visiting?"] {
        assert!(text.contains(said), "{said}");
    }
}

#[test]
fn the_session_goes_on_after_it_was_saved_as_if_it_had_not_been() {
    let mut saved = Desk::new();
    let id = saved.chat("goes-on");
    saved.save(&id, "goes-on.json");
    let mut unsaved = Desk::new();
    unsaved.chat("goes-on");
    assert_eq!(saved.say(&id, "And then?").text, unsaved.say(&id, "And then?").text);
    assert_eq!(saved.score(&id), unsaved.score(&id));
}

/// "No incremental save. Each call writes the whole session": that limit is lifted.
#[test]
fn a_second_save_writes_only_what_is_new() {
    let mut desk = Desk::new();
    let id = desk.start("long");
    for turn in 0..6 {
        desk.say(&id, &format!("{turn}: {}", "Tell me more about the museums of Madrid. ".repeat(2)));
    }
    let path = desk.path("long.json");
    let whole = desk.engine.save(&id, &SaveOptions::to(&path)).expect("a save");
    assert!(desk.tokens(&id).len() > 300, "{} tokens", desk.tokens(&id).len());
    desk.say(&id, "More.");
    let next = desk.engine.save(&id, &SaveOptions::to(&path)).expect("a save");
    assert!(next.bytes < whole.bytes, "{} bytes after {}", next.bytes, whole.bytes);
    desk.load(&path);
}

#[test]
fn the_kv_image_lies_beside_the_session_file_from_format_2_0_on() {
    let mut desk = Desk::new();
    let id = desk.chat("image");
    for format in FormatVersion::ALL {
        let path = desk.save_as(&id, &format!("image-{}-{}.json", format.major, format.minor), format);
        assert_eq!(sidecar_path(&path).is_file(), format >= FormatVersion::V2_0, "{format}");
    }
}

fn entries(document: &Value) -> impl Iterator<Item = &Value> {
    document["History"].as_array().expect("a history").iter()
}
