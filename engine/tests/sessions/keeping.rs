//! Sessions that save themselves: after a turn, when they are closed, when another one needs the room; plain and sealed.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use intact_engine::{AutoSave, AutoSavePolicy, CancelToken, EngineError, Generation, OpenedSession};
use intact_format::place::{Folder, Shelf};
use intact_format::route::{RefusalCode, Route};
use intact_seal::{Compression, Keys, Lock, SealOptions, SealedShelf};

use crate::support::{FAMILIES, engine};

const TEXT: &str = "My name is Ada, and I write notes on engines.";

fn reply() -> Generation {
    Generation::default().forced("Then let us begin with the first note.")
}

fn send<S: Shelf>(chats: &mut AutoSave<S>, id: &str) {
    let turn = chats.send(id, TEXT, &reply(), &mut |_| {}).expect("a reply");
    if let Some(saved) = turn.saved {
        saved.expect("saved");
    }
}

fn restored(opened: OpenedSession) -> intact_engine::Receipt {
    match opened {
        OpenedSession::Restored(receipt) => *receipt,
        other => panic!("{other:?}"),
    }
}

fn later() -> AutoSavePolicy {
    AutoSavePolicy::default().each_turn(false)
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| {
        entries
            .filter(|e| e.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|x| x == "json")))
            .count()
    })
}

#[test]
fn a_chat_goes_on_after_a_restart_without_a_word_of_saving() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().expect("a folder");
        let mut chats = AutoSave::new(engine(family), Folder::new(folder.path()));
        send(&mut chats, "ada");
        let tokens = chats.engine().session("ada").expect("live").timeline().tokens().len();
        // As good as a kill: nothing is saved on the way out that was not saved before.
        std::mem::forget(chats);

        let mut chats = AutoSave::new(engine(family), Folder::new(folder.path()));
        let receipt = restored(chats.open("ada").expect("opened"));
        assert_eq!((receipt.route, receipt.tokens_evaluated), (Route::Direct, 1), "{family}");
        assert_eq!(chats.engine().session("ada").expect("live").timeline().tokens().len(), tokens);
        assert!(matches!(chats.open("bob").expect("opened"), OpenedSession::Started));
    }
}

#[test]
fn a_session_is_saved_when_it_is_closed_or_everything_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chats = AutoSave::with_policy(engine("llama"), Folder::new(folder.path()), later());
    send(&mut chats, "ada");
    send(&mut chats, "bob");
    assert_eq!(files(folder.path()), 0);
    chats.close("ada").expect("closed");
    assert_eq!(files(folder.path()), 1);
    chats.close("ada").expect("closing twice is fine");
    drop(chats);
    assert_eq!(files(folder.path()), 2);
}

#[test]
fn the_session_used_longest_ago_makes_room_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = later().most_live(NonZeroUsize::new(2).expect("two"));
    let mut chats = AutoSave::with_policy(engine("llama"), Folder::new(folder.path()), policy);
    for id in ["ada", "bob", "ada", "cid"] {
        send(&mut chats, id);
    }
    let live: Vec<_> = chats.engine().sessions().map(|session| session.id().to_string()).collect();
    assert_eq!(live, ["ada", "cid"]);
    assert_eq!(restored(chats.open("bob").expect("opened")).route, Route::Direct);
}

#[test]
fn a_failed_save_takes_neither_the_reply_nor_the_session_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocked = folder.path().join("chats");
    let mut chats = AutoSave::new(engine("llama"), Folder::new(&blocked));
    chats.open("ada").expect("started");
    fs::write(&blocked, "a file where the folder should be").expect("written");
    let turn = chats.send("ada", TEXT, &reply(), &mut |_| {}).expect("a reply");
    let error = turn.saved.expect("tried").expect_err("there is no folder");
    assert!(error.to_string().contains("chats"), "{error}");
    fs::remove_file(&blocked).expect("removed");
    chats.save_all().expect("the next save tries again");
    assert_eq!(files(&blocked), 1);
}

#[test]
fn another_session_under_the_same_name_is_not_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chats = AutoSave::new(engine("llama"), Folder::new(folder.path()));
    send(&mut chats, "ada");
    chats.close("ada").expect("closed");
    for extension in ["json", "kv"] {
        let name = |id: &str| folder.path().join(format!("{id}.{extension}"));
        fs::rename(name("ada"), name("bob")).expect("renamed");
    }
    let refused = chats.open("bob").expect_err("it is ada's");
    assert!(matches!(refused, EngineError::OtherSession { .. }), "{refused}");
    assert_eq!(chats.engine().sessions().count(), 0);
}

#[test]
fn a_live_session_outlives_the_opening_of_a_copy_under_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chats = AutoSave::with_policy(engine("llama"), Folder::new(folder.path()), later());
    send(&mut chats, "bob");
    chats.save("bob").expect("saved");
    send(&mut chats, "bob");
    let tokens = chats.engine().session("bob").expect("live").timeline().tokens().to_vec();
    for extension in ["json", "kv"] {
        let name = |id: &str| folder.path().join(format!("{id}.{extension}"));
        fs::copy(name("bob"), name("ada")).expect("copied");
    }
    let refused = chats.open("ada").expect_err("it is bob's");
    assert!(matches!(refused, EngineError::OtherSession { .. }), "{refused}");
    let live = chats.engine().session("bob").expect("still live");
    assert_eq!(live.timeline().tokens(), tokens, "with the turn that is not saved yet");
}

#[test]
fn a_cancelled_turn_is_saved_with_its_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chats = AutoSave::new(engine("llama"), Folder::new(folder.path()));
    send(&mut chats, "ada");
    let cancel = CancelToken::new();
    cancel.cancel();
    let stopped = reply().cancel(cancel);
    let cancelled = chats.send("ada", "Are you there?", &stopped, &mut |_| {});
    assert!(matches!(cancelled, Err(EngineError::Cancelled { .. })), "{cancelled:?}");
    // As if the process was killed.
    std::mem::forget(chats);
    let mut chats = AutoSave::new(engine("llama"), Folder::new(folder.path()));
    restored(chats.open("ada").expect("opened"));
    let messages = chats.engine().session("ada").expect("live").chat().messages();
    assert_eq!(messages.last().map(|message| message.content.as_str()), Some("Are you there?"));
}

#[test]
fn sealed_sessions_come_back_for_whoever_has_the_key_alone() {
    let lock = Lock::passphrase("correct horse").expect("a passphrase");
    let options = SealOptions { lock: Some(lock), compression: Compression::Zstd, ..SealOptions::default() };
    let keys = |passphrase: &str| Keys::default().with_passphrase(passphrase).expect("a passphrase");
    let folder = tempfile::tempdir().expect("a folder");
    let shelf = |passphrase| SealedShelf::new(Folder::new(folder.path()), options.clone(), keys(passphrase));
    for family in ["llama", "gemma3", "mamba2"] {
        let mut chats = AutoSave::new(engine(family), shelf("correct horse"));
        send(&mut chats, family);
        send(&mut chats, family);
        drop(chats);
        for entry in fs::read_dir(folder.path()).expect("a folder") {
            let bytes = fs::read(entry.expect("a file").path()).expect("read");
            // Words that every document has, and random bytes by no chance.
            for word in ["SessionId", "TokenIds", "Content\":"] {
                assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
            }
        }

        let mut chats = AutoSave::new(engine(family), shelf("correct horse"));
        let receipt = restored(chats.open(family).expect("opened"));
        assert_eq!((receipt.route, receipt.tokens_evaluated), (Route::Direct, 1), "{family}");

        let mut chats = AutoSave::new(engine(family), shelf("battery staple"));
        let refused = chats.open(family).expect_err("another passphrase");
        assert_eq!(refused.code(), Some(RefusalCode::KeyWrong.as_str()), "{refused}");

        let mut chats = AutoSave::new(engine(family), Folder::new(folder.path()));
        let refused = chats.open(family).expect_err("no passphrase");
        assert_eq!(refused.code(), Some(RefusalCode::KeyMissing.as_str()), "{refused}");
    }
}

#[test]
fn a_plain_session_on_a_sealed_shelf_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chats = AutoSave::new(engine("llama"), Folder::new(folder.path()));
    send(&mut chats, "ada");
    drop(chats);
    let lock = Lock::passphrase("correct horse").expect("a passphrase");
    let options = SealOptions { lock: Some(lock), ..SealOptions::default() };
    let keys = Keys::default().with_passphrase("correct horse").expect("a passphrase");
    let mut chats =
        AutoSave::new(engine("llama"), SealedShelf::new(Folder::new(folder.path()), options, keys));
    let refused = chats.open("ada").expect_err("its encryption was removed, or it never had one");
    assert_eq!(refused.code(), Some(RefusalCode::NotSealed.as_str()), "{refused}");
}
