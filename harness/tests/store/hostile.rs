//! A store that somebody has tampered with: what is wrong is named, and the rest goes on.

use std::fs;
use std::path::{Path, PathBuf};

use super::desk::{Desk, chunks, session_file};

/// What is wrong with a head, and how its text becomes so.
type Change = (&'static str, fn(&str) -> String);

/// A store of two sessions, and the head of one of them.
fn store(folder: &Path) -> (Desk, PathBuf) {
    let store = folder.join("store");
    let desk = Desk::at(store.to_str().expect("UTF-8"));
    for session in ["ada", "bob"] {
        let file = session_file(folder, session, "hello", &chunks(2, session, 5000));
        assert_eq!(desk.run(["import".as_ref(), file.as_os_str()]).code, Some(0));
    }
    let mut sessions: Vec<_> = fs::read_dir(store.join("sessions"))
        .expect("a folder")
        .map(|entry| entry.expect("one").path())
        .collect();
    sessions.sort();
    (desk, sessions.swap_remove(0).join("000000000001.json"))
}

#[test]
fn one_bad_head_is_named_and_stops_nothing() {
    let changes: [Change; 2] = [
        ("more than", |text| text.replace("\"bytes\":5000", "\"bytes\":18446744073709551615")),
        ("damaged", |_| "nonsense".into()),
    ];
    for (why, change) in changes {
        let folder = tempfile::tempdir().expect("a folder");
        let (desk, head) = store(folder.path());
        fs::write(&head, change(&fs::read_to_string(&head).expect("a head"))).expect("written");
        for words in [&["ls"][..], &["stats"], &["prune", "--keep", "9"], &["gc", "--grace", "0s"]] {
            let said = desk.run(words);
            assert_eq!(said.code, Some(0), "{words:?}: {}", said.err);
            let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(err.contains("000000000001.json") && err.contains(why), "{words:?}: {err}");
        }
        let verified = desk.run(["verify"]);
        assert!(verified.code == Some(100) && verified.out.contains("000000000001.json"), "{}", verified.out);
        assert_eq!(desk.json(["ls"]).as_array().map(Vec::len), Some(1));
    }
}

#[cfg(unix)]
#[test]
fn what_is_behind_a_link_is_named_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (desk, head) = store(folder.path());
    let session = head.parent().expect("a folder");
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(session, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, session).expect("a link");
    let pruned = desk.run(["prune", "--keep", "0"]);
    assert!(pruned.code == Some(0) && pruned.err.contains("symbolic link"), "{}", pruned.err);
    let collected = desk.run(["gc", "--grace", "0s"]);
    assert!(collected.code == Some(96) && collected.err.contains("symbolic link"), "{}", collected.err);
    assert!(elsewhere.join("000000000001.json").exists());
}
