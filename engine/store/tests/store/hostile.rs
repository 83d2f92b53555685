//! A store that somebody else can write to: nothing in it leads elsewhere, makes a reader wait, or speaks for the rest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use intact_format::image::Chunk;
use intact_store::{Collection, Expected, Retention, SessionStore, StoreError, plain};
use tempfile::TempDir;

use crate::desk::{chunk, document, draft, folder, id, load};

/// What is wrong with a head, and how its text becomes so.
type Change = (&'static str, fn(&str) -> String);

/// Removes all that no session needs, however young.
const ALL: Collection = Collection { grace: Duration::ZERO, dry_run: false };

/// A store with these sessions, each of which has a chunk of its own and one that all have.
fn store_of(sessions: &[&str]) -> (TempDir, SessionStore) {
    let root = tempfile::tempdir().expect("a folder");
    let store = folder(root.path());
    for session in sessions {
        save(&store, session, Expected::Absent).expect("saved");
    }
    (root, store)
}

fn save(store: &SessionStore, session: &str, expected: Expected) -> Result<(), StoreError> {
    let document = document(session, "hello");
    let own = Chunk::new(session.as_bytes().to_vec());
    store.save(&draft(session, &document, &[chunk(7, 1000), own]), expected).map(drop)
}

fn folders(of: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).expect("a folder");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

/// The folder of the only session of a store.
fn session_folder(root: &Path) -> PathBuf {
    folders(root.join("sessions")).pop().expect("a session")
}

fn head(root: &Path, number: u64) -> PathBuf {
    session_folder(root).join(format!("{number:012}.json"))
}

/// Every file below, and what is in it.
fn contents(of: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in folders(of.to_owned()) {
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(path).expect("read")));
        }
    }
    found
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

#[test]
fn garbage_collection_removes_nothing_behind_a_link() {
    let (other, _) = store_of(&["theirs"]);
    let before = contents(other.path());
    let (root, store) = store_of(&["ours"]);
    for theirs in folders(other.path().join("chunks")) {
        let ours = root.path().join("chunks").join(theirs.file_name().expect("a name"));
        if !ours.exists() {
            symlink(&theirs, ours).expect("a link");
        }
    }
    let collected = store.collect(ALL).expect("the rest is collected");
    assert_eq!(collected.removed, 0);
    assert_eq!(contents(other.path()), before);
    assert!(folder(other.path()).verify(false, &plain).expect("read").is_sound());
}

#[test]
fn pruning_removes_nothing_behind_a_link() {
    let (other, _) = store_of(&["theirs"]);
    let before = contents(other.path());
    let (root, store) = store_of(&["ours"]);
    let theirs = session_folder(other.path());
    symlink(&theirs, root.path().join("sessions").join(theirs.file_name().expect("a name"))).expect("a link");
    let nothing = Retention { sessions: Some(0), ..Retention::default() };
    let pruned = store.prune(&nothing, false).expect("the rest is pruned");
    assert_eq!(pruned.removed.iter().map(|entry| entry.session.as_str()).collect::<Vec<_>>(), ["ours"]);
    assert_eq!(contents(other.path()), before);
}

#[test]
fn a_session_behind_a_link_is_neither_loaded_nor_saved_to_and_keeps_its_chunks() {
    let (root, store) = store_of(&["chat", "other"]);
    let elsewhere = tempfile::tempdir().expect("a folder");
    for session in folders(root.path().join("sessions")) {
        let moved = elsewhere.path().join(session.file_name().expect("a name"));
        fs::rename(&session, &moved).expect("moved");
        symlink(&moved, &session).expect("a link");
    }
    let before = contents(elsewhere.path());
    assert!(store.session(&id("chat")).is_err());
    let error = save(&store, "chat", Expected::Anything).expect_err("it would be written elsewhere");
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert!(store.sessions().expect("a list").is_empty());
    // Whose chunks these are cannot be seen.
    let error = store.collect(ALL).expect_err("a session may be behind it").to_string();
    assert!(error.contains("sessions/") && error.contains("symbolic link"), "{error}");
    assert_eq!(contents(elsewhere.path()), before);
    assert!(contents(&root.path().join("chunks")).len() >= 4);
}

#[test]
fn no_chunk_is_written_through_a_link() {
    let (root, store) = store_of(&["chat"]);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let fresh = chunk(200, 50);
    let name = &fresh.id().to_string()[..2];
    let _ = fs::remove_dir_all(root.path().join("chunks").join(name));
    symlink(elsewhere.path(), root.path().join("chunks").join(name)).expect("a link");
    let document = document("new", "hello");
    let error = store.save(&draft("new", &document, &[fresh]), Expected::Absent).expect_err("not there");
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert!(folders(elsewhere.path().to_owned()).is_empty());
}

#[test]
fn links_loops_pipes_and_strange_names_among_the_chunks_stop_nothing() {
    let (root, store) = store_of(&["chat"]);
    let chunks = root.path().join("chunks");
    symlink("loop", chunks.join("loop")).expect("a link");
    symlink(&chunks, chunks.join("up")).expect("a link");
    fs::write(chunks.join("two\nlines"), "x").expect("written");
    fs::create_dir(chunks.join("fo\u{1b}lder")).expect("made");
    fs::write(chunks.join("fo\u{1b}lder/x"), "x").expect("written");
    fifo(&chunks.join("pipe"));
    assert_eq!(store.sessions().expect("a list").len(), 1);
    assert_eq!(store.statistics().expect("figures").sessions, 1);
    store.collect(ALL).expect("collected");
    assert!(store.verify(false, &plain).expect("verified").is_sound());
    assert_eq!(load(&store, "chat").1.len(), 2);
    assert!(chunks.join("two\nlines").exists(), "what is not the store's stays");
}

#[test]
fn a_pipe_or_a_link_in_the_place_of_a_chunk_or_a_head_is_not_waited_for() {
    for kind in ["pipe", "link"] {
        let (root, store) = store_of(&["chat", "other"]);
        let shared = chunk(7, 1000).id().to_string();
        let path = root.path().join("chunks").join(&shared[..2]).join(&shared);
        let put = |path: &Path| {
            let aside = root.path().join("aside");
            fs::rename(path, &aside).expect("moved");
            if kind == "pipe" { fifo(path) } else { symlink(&aside, path).expect("a link") }
        };
        put(&path);
        let opened = store.session(&id("chat")).expect("opened");
        assert!(store.chunks(&opened, &[chunk(7, 1000).id()]).is_err(), "{kind}");
        let found = store.verify(false, &plain).expect("verified");
        assert_eq!(found.broken.len(), 2, "{kind}: {found:?}");
        put(&head(root.path(), 1));
        assert_eq!(store.sessions().expect("a list").len(), 1, "{kind}");
    }
}

#[test]
fn a_file_that_is_longer_than_its_head_says_is_not_read() {
    let (root, store) = store_of(&["chat"]);
    let shared = chunk(7, 1000).id().to_string();
    let path = root.path().join("chunks").join(&shared[..2]).join(&shared);
    let sparse = |path: &Path| {
        fs::OpenOptions::new().write(true).open(path).expect("open").set_len(1 << 40).expect("a sparse file");
    };
    sparse(&path);
    let opened = store.session(&id("chat")).expect("opened");
    let error = store.chunks(&opened, &[chunk(7, 1000).id()]).expect_err("too long").to_string();
    assert!(error.contains("1000") && error.contains(&(1_u64 << 40).to_string()), "{error}");
    sparse(&head(root.path(), 1));
    let error = store.session(&id("chat")).expect_err("too long").to_string();
    assert!(error.contains("000000000001.json"), "{error}");
    assert!(store.sessions().expect("the rest").is_empty());
}

/// A store of two sessions, in the head of one of which something else stands.
fn with_head(change: impl Fn(&str) -> String) -> (TempDir, SessionStore) {
    let (root, store) = store_of(&["chat", "other"]);
    let path = head(root.path(), 1);
    let text = fs::read_to_string(&path).expect("a head");
    let changed = change(&text);
    assert_ne!(text, changed);
    fs::write(path, changed).expect("written");
    (root, store)
}

#[test]
fn one_bad_head_stops_neither_lists_nor_figures_nor_pruning_nor_collection() {
    let changes: [Change; 5] = [
        ("absurd lengths", |text| text.replace("\"bytes\":1000", "\"bytes\":18446744073709551615")),
        ("lengths that add up to more than there is", |text| {
            text.replace("\"bytes\":", "\"bytes\":1000000000000000")
        }),
        ("nothing", |_| "{}".into()),
        ("another number", |text| text.replace("\"generation\":1", "\"generation\":7")),
        ("another session", |text| text.replace("\"session\":\"", "\"session\":\"not ")),
    ];
    for (what, change) in changes {
        let (root, store) = with_head(change);
        assert_eq!(store.sessions().expect(what).len(), 1, "{what}");
        assert_eq!(store.statistics().expect(what).sessions, 1, "{what}");
        let before = contents(&root.path().join("chunks")).len();
        store.collect(ALL).expect(what);
        assert_eq!(contents(&root.path().join("chunks")).len(), before, "{what}: its chunks are spared");
        assert!(!store.verify(false, &plain).expect(what).is_sound(), "{what}");
        let nothing = Retention { sessions: Some(0), ..Retention::default() };
        assert_eq!(store.prune(&nothing, false).expect(what).removed.len(), 1, "{what}");
        assert!(store.sessions().expect(what).is_empty(), "{what}");
    }
}

#[test]
fn an_announcement_that_cannot_be_read_stops_neither_saves_nor_collection() {
    for (folder, name) in
        [("intents", "00000000000000000000000000000007"), ("sweeps", "00000000000000000000000000000008")]
    {
        let (root, store) = store_of(&["chat"]);
        fs::create_dir_all(root.path().join(folder)).expect("made");
        fs::write(root.path().join(folder).join(name).with_extension("json"), b"{}").expect("written");
        save(&store, "chat", Expected::Anything).expect(folder);
        save(&store, "other", Expected::Absent).expect(folder);
        store.collect(ALL).expect(folder);
        assert!(store.verify(false, &plain).expect("verified").is_sound(), "{folder}");
        assert_eq!(load(&store, "chat").1.len(), 2, "{folder}");
    }
}

#[test]
fn a_head_whose_number_is_absurd_is_none() {
    let (root, store) = store_of(&["chat"]);
    let first = head(root.path(), 1);
    for number in [u64::MAX.to_string(), "1000000000000".into(), "000000000000".into()] {
        fs::copy(&first, first.with_file_name(format!("{number}.json"))).expect("copied");
    }
    assert_eq!(store.session(&id("chat")).expect("opened").generation.0, 1);
    save(&store, "chat", Expected::Anything).expect("the id can be used");
    assert_eq!(store.session(&id("chat")).expect("opened").generation.0, 2);
}

#[test]
fn a_head_of_the_greatest_number_is_named_as_what_is_wrong() {
    let (root, store) = store_of(&["chat"]);
    let text = fs::read_to_string(head(root.path(), 1)).expect("a head");
    let last = text.replace("\"generation\":1", "\"generation\":999999999999");
    fs::write(head(root.path(), 999_999_999_999), last).expect("written");
    let error = save(&store, "chat", Expected::Anything).expect_err("no number is left").to_string();
    assert!(error.contains("999999999999.json") && error.contains("chat"), "{error}");
    assert!(load(&store, "chat").1.len() == 2);
    let nothing = Retention { sessions: Some(0), ..Retention::default() };
    assert!(store.prune(&nothing, false).expect("the rest").removed.is_empty());
}
