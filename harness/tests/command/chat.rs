//! `chat` and `check` with a worker: conversations, saves and loads, and what does not end them.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::cli::{Said, fake_worker, line, said};

/// A folder with something that the fake worker takes for a model.
fn scene() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("model.gguf"), "weights").expect("written");
    folder
}

/// A worker in the folder that is the fake one, with these arguments.
#[cfg(unix)]
fn misbehaving(folder: &TempDir, arguments: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;

    let program = folder.path().join("misbehaving-worker");
    fs::write(&program, format!("#!/bin/sh\nexec '{}' {arguments}\n", fake_worker().display()))
        .expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    program
}

/// Runs a subcommand in the folder with that worker, and with these lines piped in.
pub(crate) fn with(folder: &TempDir, worker: &Path, arguments: &[&str], lines: &[&str]) -> Said {
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

/// The same in any folder, with any bytes piped in.
fn chat_in(folder: &Path, model: &Path, input: &[u8]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_intact"))
        .arg("chat")
        .arg("--model")
        .arg(model)
        .arg("--worker")
        .arg(fake_worker())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().expect("piped").write_all(input).expect("written");
    said(&child.wait_with_output().expect("ended"))
}

#[test]
fn a_line_that_is_not_text_is_left_out_and_the_talk_goes_on() {
    let folder = scene();
    let model = folder.path().join("model.gguf");
    let said = chat_in(folder.path(), &model, b"\xef\xbb\xbfHello\n\xff\xfe\nAgain\n/save\n");
    assert_eq!(said.code, 96, "{}", said.err);
    assert!(
        line(&said.err).contains("line 2 is not text in UTF-8") && said.err.contains("saved "),
        "{}",
        said.err
    );
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
}

#[test]
fn a_session_is_saved_over_its_own_file_and_over_no_other() {
    let folder = scene();
    let [old, model] = ["old.json", "model.gguf"].map(|name| folder.path().join(name));
    let first =
        with(&folder, fake_worker(), &["chat"], &["Hello", "/save old.json", "More", "/save old.json"]);
    assert_eq!(first.code, 0, "its own file: {}", first.err);
    let before = [&old, &model].map(|file| fs::read(file).expect("there"));

    let lines = [
        "Other",
        "/save old.json",
        "/save model.gguf",
        "/save --replace model.gguf",
        "/save chat.kv",
        "/save session.manifest.json",
        "/save mine.json",
        "/new",
        "Another",
        "/save mine.json",
    ];
    let other = with(&folder, fake_worker(), &["chat"], &lines);
    assert_eq!(other.code, 96, "{}", other.err);
    assert_eq!(other.err.matches("not saved: ").count(), 6, "{}", other.err);
    assert!(other.err.contains("/save --replace FILE"), "the flag is named: {}", other.err);
    assert_eq!(before, [&old, &model].map(|file| fs::read(file).expect("there")));
    assert!(!folder.path().join("chat.kv").exists());

    let forced =
        with(&folder, fake_worker(), &["chat"], &["Other", "/save --replace old.json", "/save old.json"]);
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert_ne!(fs::read(&old).expect("there"), before[0]);
    let loaded = with(&folder, fake_worker(), &["chat"], &["/load old.json", "Go on", "/save old.json"]);
    assert_eq!(loaded.code, 0, "what was loaded is its own: {}", loaded.err);
}

#[test]
fn a_save_without_a_name_goes_to_where_the_session_lies() {
    let folder = scene();
    let [one, chat] = ["one.json", "chat.json"].map(|name| folder.path().join(name));
    with(&folder, fake_worker(), &["chat"], &["Hello", "/save one.json", "Again", "/save"]);
    let saved = fs::read(&one).expect("there");
    assert!(!chat.exists(), "it was saved to one.json before");
    let loaded = with(&folder, fake_worker(), &["chat", "--load", "one.json"], &["Go on", "/save"]);
    assert_eq!(loaded.code, 0, "{}", loaded.err);
    assert!(fs::read(&one).expect("there") != saved && !chat.exists(), "it came from one.json");
    let anew = with(&folder, fake_worker(), &["chat"], &["/load one.json", "/new", "Other", "/save"]);
    assert_eq!(anew.code, 0, "{}", anew.err);
    assert!(chat.exists(), "a session that lies nowhere is saved under its name");
}

#[test]
fn what_somebody_else_has_saved_meanwhile_is_not_lost() {
    let folder = scene();
    with(&folder, fake_worker(), &["chat"], &["Hello", "/save"]);
    let mut slow = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(["chat", "--model", "model.gguf", "--load", "chat.json", "--worker"])
        .arg(fake_worker())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = slow.stdin.take().expect("piped");
    writeln!(stdin, "A slow turn").expect("written");
    // It has loaded when it answers.
    let mut answer = [0];
    slow.stdout.as_mut().expect("piped").read_exact(&mut answer).expect("an answer");
    let quick =
        with(&folder, fake_worker(), &["chat"], &["/load chat.json", "A quick turn", "/save chat.json"]);
    assert_eq!(quick.code, 0, "{}", quick.err);
    let saved = fs::read(folder.path().join("chat.json")).expect("there");
    writeln!(stdin, "/save chat.json").expect("written");
    drop(stdin);
    let slow = said(&slow.wait_with_output().expect("ended"));
    assert_eq!(slow.code, 96, "{}", slow.err);
    assert!(line(&slow.err).contains("somebody else has saved to it"), "{}", slow.err);
    assert_eq!(fs::read(folder.path().join("chat.json")).expect("there"), saved);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_the_worker_cannot_be_told_is_refused_and_the_worker_lives_on() {
    use std::os::unix::ffi::OsStrExt;

    let folder = scene();
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    fs::create_dir(&odd).expect("a folder");
    let said =
        chat_in(&odd, &folder.path().join("model.gguf"), b"Hello\n/save a.json\n/load a.json\nAgain\n");
    assert_eq!(said.code, 96, "{}", said.err);
    assert!(line(&said.err).contains("is not in UTF-8") && !said.err.contains("restarted"), "{}", said.err);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    assert_eq!(fs::read_dir(&odd).expect("a folder").count(), 0);
}

#[cfg(unix)]
#[test]
fn links_and_special_files_are_not_written_through() {
    let folder = scene();
    let path = folder.path();
    std::os::unix::fs::symlink("precious", path.join("r.json.tmp")).expect("a link");
    fs::write(path.join("precious"), "mine").expect("written");
    assert!(Command::new("mkfifo").arg(path.join("pipe.json")).status().expect("mkfifo").success());
    let lines = ["Hello", "/save r.json", "/save pipe.json", "/save --replace pipe.json", "/load pipe.json"];
    let said = with(&folder, fake_worker(), &["chat"], &lines);
    assert_eq!(said.code, 96, "{}", said.err);
    assert_eq!(line(&said.err).matches("it is a named pipe").count(), 3, "{}", said.err);
    assert_eq!(fs::read(path.join("precious")).expect("there"), b"mine");
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
fn what_a_worker_notes_of_a_turn_a_save_a_load_or_a_model_is_said_beside_the_talk() {
    let folder = scene();
    let notes = |said: &Said| said.err.lines().filter(|line| line.starts_with("note: ")).count();
    let brief = with(&folder, fake_worker(), &["chat"], &["Hello", "/save"]);
    assert_eq!((brief.code, notes(&brief)), (0, 0), "{}", brief.err);
    let full = ["chat", "--context", "16", "--control-tokens", "--load", "chat.json"];
    let full = with(&folder, fake_worker(), &full, &["And now?", "/save"]);
    assert!(full.err.contains("note: the toy has no control tokens to take"), "{}", full.err);
    assert_eq!(full.err.matches("more than its context has").count(), 2, "a turn and a save: {}", full.err);
    assert_eq!((full.code, notes(&full)), (0, 3), "{}{}", full.err, full.out);
}

#[cfg(unix)]
#[test]
fn what_a_worker_notes_of_a_load_is_said() {
    let folder = scene();
    with(&folder, fake_worker(), &["chat"], &["Hello", "/save"]);
    let again = misbehaving(&folder, "--misbehave recompute");
    let said = with(&folder, &again, &["chat"], &["/load chat.json"]);
    assert!(said.err.contains("note: the toy was asked to evaluate everything again"), "{}", said.err);
}

#[test]
fn errors_are_told_and_end_nothing() {
    let folder = scene();
    let lines =
        ["/nonsense", "/load", "/load gone.json", "/save", "/help", "Hello", "/save", "/quit", "never said"];
    let said = with(&folder, fake_worker(), &["chat"], &lines);
    assert_eq!(said.code, 96, "piped in, it ends with the worst that happened: {}", said.err);
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
    assert_eq!((said.code, saved()), (100, before), "{}", said.err);
    assert_eq!(
        line(&said.err).matches("was neither loaded nor saved here before").count(),
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
    let folder = scene();
    let dying = misbehaving(&folder, "--misbehave abort --at save");

    let said = with(&folder, &dying, &["chat"], &["Hello", "/save", "Hello again", "/quit"]);
    assert_eq!(said.code, 96, "{}", said.err);
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
