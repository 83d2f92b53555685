//! What the subcommands say and do.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::desk::{Desk, chunks, session_file};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A store in a folder with sessions of these names.
fn store(folder: &Path, sessions: &[&str]) -> Desk {
    let desk = Desk::at(folder.join("store").to_str().expect("UTF-8"));
    for session in sessions {
        let file = session_file(folder, session, "hello", &chunks(3, session, 5000));
        let said = desk.run(["import".as_ref(), file.as_os_str()]);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    desk
}

#[test]
fn sessions_are_listed_measured_checked_and_taken_out() {
    let folder = folder();
    let desk = store(folder.path(), &["ada", "größe"]);
    let listed = desk.run(["ls"]).out;
    for part in ["session", "ada", "größe", "KiB"] {
        assert!(listed.contains(part), "{part} in {listed}");
    }
    let rows = desk.json(["ls"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
    assert_eq!(rows[0]["save"], 1);

    let statistics = desk.json(["stats"]);
    assert_eq!((&statistics["sessions"], &statistics["shared_payloads"]), (&2.into(), &3.into()));
    assert_eq!(desk.run(["verify"]).code, Some(0));
    let exported = desk.export("größe", folder.path());
    assert_eq!(exported.chunks, chunks(3, "größe", 5000));
}

#[test]
fn a_session_of_the_same_id_is_replaced_only_when_told_to() {
    let folder = folder();
    let desk = store(folder.path(), &["ada"]);
    let file = session_file(folder.path(), "ada", "hello again", &chunks(3, "new", 5000));
    let said = desk.run(["import".as_ref(), file.as_os_str()]);
    assert_eq!(said.code, Some(96));
    assert!(said.err.contains("--replace"), "{}", said.err);
    let saved = desk.json(["import".as_ref(), "--replace".as_ref(), file.as_os_str()]);
    assert_eq!((&saved[0]["save"], &saved[0]["shared_bytes"]), (&2.into(), &15_000.into()));
    assert_eq!(desk.export("ada", folder.path()).said, "hello again");
}

#[test]
fn pruning_says_what_it_would_do_and_garbage_collection_gives_the_space_back() {
    let folder = folder();
    let desk = store(folder.path(), &["one", "two", "three"]);
    let before = desk.json(["stats"]);
    let dry = desk.json(["prune", "--keep", "1", "--dry-run"]);
    assert_eq!(dry["removed"].as_array().map(Vec::len), Some(2));
    assert_eq!(desk.json(["stats"]), before, "a dry run changes nothing");

    let pruned = desk.json(["prune", "--keep", "1"]);
    assert_eq!(pruned["freed_bytes"], dry["freed_bytes"]);
    assert_eq!(desk.json(["ls"]).as_array().map(Vec::len), Some(1));
    let young = desk.run(["gc"]).out;
    assert!(young.contains("--grace 0s"), "{young}");
    let collected = desk.json(["gc", "--grace", "0s"]);
    assert_eq!(collected["removed_bytes"], pruned["freed_bytes"]);
    assert_eq!(desk.run(["verify"]).code, Some(0));
}

#[test]
fn damage_is_named_and_gives_the_exit_code_of_a_failed_gate() {
    let folder = folder();
    let desk = store(folder.path(), &["ada"]);
    let shared = intact_format::image::ChunkId::of(&[1; 5000]).to_string();
    let file = folder.path().join("store/chunks").join(&shared[..2]).join(&shared);
    fs::write(&file, [2; 5000]).expect("damaged");
    let said = desk.run(["verify"]);
    assert_eq!(said.code, Some(100));
    assert!(said.out.contains(&shared) && said.out.contains("broken   ada"), "{}", said.out);
    let to = folder.path().join("out.json");
    let said = desk.run(["export".as_ref(), "ada".as_ref(), "--to".as_ref(), to.as_os_str()]);
    assert_eq!(said.code, Some(96));
    assert!(said.err.contains("--repair"), "{}", said.err);
}

#[test]
fn whoever_names_no_store_or_a_wrong_one_is_told_what_to_do() {
    let folder = folder();
    let empty = folder.path().to_str().expect("UTF-8");
    let cases = [
        (Desk::at(""), vec!["ls"], "INTACT_STORE"),
        (Desk::at("ftp://example.com/x"), vec!["ls"], "s3://bucket/path"),
        (Desk::at(empty), vec!["ls"], "there is no store"),
        (store(folder.path(), &["ada"]), vec!["export", "adda"], "intact store ls"),
        (store(folder.path(), &[]), vec!["import", "missing.json"], "missing.json"),
    ];
    for (desk, arguments, hint) in cases {
        let said = desk.run(&arguments);
        assert_eq!(said.code, Some(96), "{arguments:?}: {}", said.err);
        // Lines are wrapped.
        let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(err.contains(hint), "{arguments:?}: {}", said.err);
    }
    let desk = Desk::at(empty);
    for arguments in [vec!["prune"], vec!["prune", "--older-than", "soon"], vec!["gc", "--grace", "1 month"]]
    {
        assert_eq!(desk.run(&arguments).code, Some(2), "{arguments:?}");
    }
}
