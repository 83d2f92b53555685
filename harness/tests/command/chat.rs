//! `chat` and `check` with a worker: conversations, saves and loads, and what does not end them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::cli::{Said, fake_worker, said};

/// A folder with something that the fake worker takes for a model.
fn scene() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("model.gguf"), "weights").expect("written");
    folder
}

/// Runs a subcommand in the folder with that worker, and with these lines piped in.
fn with(folder: &TempDir, worker: &Path, arguments: &[&str], lines: &[&str]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(arguments)
        .args(["--model", "model.gguf", "--worker"])
        .arg(worker)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    // A command that ends at once reads none of them.
    lines.iter().for_each(|line| drop(writeln!(stdin, "{line}")));
    drop(stdin);
    said(&child.wait_with_output().expect("ended"))
}

#[test]
fn a_conversation_is_saved_and_loaded_and_goes_on() {
    let folder = scene();
    let first = with(&folder, fake_worker(), &["chat"], &["Hello", "/save", "/quit"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert_eq!(first.out.lines().count(), 1, "one reply, and nothing else on standard output: {}", first.out);
    assert!(first.err.contains("saved ") && folder.path().join("chat.json").is_file(), "{}", first.err);

    let second =
        with(&folder, fake_worker(), &["chat", "--session", "other"], &["/load chat.json", "And now?"]);
    assert_eq!(second.code, 0, "the end of input ends it too: {}", second.err);
    assert!(second.err.contains("loaded chat: direct (the saved KV is used as it is)"), "{}", second.err);
    assert_eq!(second.out.lines().count(), 1);
}

#[test]
fn errors_are_told_and_end_nothing() {
    let folder = scene();
    let lines =
        ["/nonsense", "/load", "/load gone.json", "/save", "/help", "Hello", "/save", "/quit", "never said"];
    let said = with(&folder, fake_worker(), &["chat"], &lines);
    assert_eq!(said.code, 0, "{}", said.err);
    for told in [
        "there is no command /nonsense",
        "load which file?",
        "not loaded: ",
        "not saved: ",
        "/new [ID]",
        "saved ",
    ] {
        assert!(said.err.contains(told), "{told} in {}", said.err);
    }
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
}

#[test]
fn without_a_person_a_session_that_is_not_loaded_ends_the_chat_with_what_check_would() {
    let folder = scene();
    with(&folder, fake_worker(), &["chat"], &["Hello", "/save"]);
    let saved = || fs::read(folder.path().join("chat.json")).expect("read");
    let before = saved();
    fs::write(folder.path().join("model.gguf"), "other weights").expect("written");
    let refused = with(&folder, fake_worker(), &["chat", "--load", "chat.json"], &["Hello?", "/save"]);
    let checked = with(&folder, fake_worker(), &["check", "chat.json"], &[]);
    assert_eq!((refused.code, checked.code), (100, 100), "{}", refused.err);
    assert!(refused.err.contains("not loaded: ") && refused.out.is_empty(), "{}{}", refused.out, refused.err);
    assert_eq!(saved(), before, "an empty session was put over it");
    let missing = with(&folder, fake_worker(), &["chat", "--load", "gone.json"], &["Hello?"]);
    assert_eq!((missing.code, missing.out.as_str()), (96, ""), "{}", missing.err);
}

#[test]
fn nothing_is_saved_over_a_file_that_could_not_be_loaded() {
    let folder = scene();
    with(&folder, fake_worker(), &["chat"], &["Hello", "/save"]);
    let saved = || fs::read(folder.path().join("chat.json")).expect("read");
    let before = saved();
    fs::write(folder.path().join("model.gguf"), "other weights").expect("written");
    let lines = ["/load chat.json", "Hello", "/save", "/save ./chat.json", "/save other.json"];
    let said = with(&folder, fake_worker(), &["chat"], &lines);
    assert_eq!((said.code, saved()), (0, before), "{}", said.err);
    assert_eq!(
        said.err.matches("could not be loaded, and this is another session").count(),
        2,
        "{}",
        said.err
    );
    assert!(folder.path().join("other.json").is_file(), "{}", said.err);

    fs::write(folder.path().join("model.gguf"), "weights").expect("written");
    let said = with(&folder, fake_worker(), &["chat"], &["/load chat.json", "And now?", "/save"]);
    assert!(said.err.contains("saved "), "what was loaded is saved where it was: {}", said.err);
}

#[cfg(unix)]
#[test]
fn a_worker_that_dies_is_replaced_and_the_chat_goes_on() {
    use std::os::unix::fs::PermissionsExt;

    let folder = scene();
    let dying = folder.path().join("dying-worker");
    let script = format!("#!/bin/sh\nexec '{}' --misbehave abort --at save\n", fake_worker().display());
    fs::write(&dying, script).expect("written");
    fs::set_permissions(&dying, fs::Permissions::from_mode(0o755)).expect("executable");

    let said = with(&folder, &dying, &["chat"], &["Hello", "/save", "Hello again", "/quit"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("the worker died during `save`"), "{}", said.err);
    assert!(said.err.contains("the worker was restarted"), "{}", said.err);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
}

#[test]
fn check_ends_with_what_a_load_would() {
    let folder = scene();
    with(&folder, fake_worker(), &["chat"], &["Hello", "/save"]);
    let said = with(&folder, fake_worker(), &["check", "chat.json"], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("This file will load here. Route: direct"), "{}", said.out);

    fs::write(folder.path().join("model.gguf"), "other weights").expect("written");
    let said = with(&folder, fake_worker(), &["check", "chat.json"], &[]);
    assert_eq!(said.code, 100, "{}{}", said.out, said.err);
    assert!(said.out.contains("This file will not load here ("), "{}", said.out);

    let said = with(&folder, fake_worker(), &["check", "chat.json", "--json"], &[]);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(json["refusal"]["code"].is_string(), "{json}");
}
