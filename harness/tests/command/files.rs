//! `inspect`, `verify` and `check` on files: good, damaged, missing.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::image::sidecar::SidecarWriter;
use intact_format::image::{Chunk, Durable};
use intact_format::message::{Message, Role};
use intact_format::session::{self, SessionDocument};
use intact_format::version::FormatVersion;
use tempfile::TempDir;

use super::cli::{Said, intact};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn on(command: &str, file: &Path) -> Said {
    intact([command, file.to_str().expect("UTF-8")])
}

/// A session file in a format that needs no KV image.
fn session_file(folder: &TempDir, version: FormatVersion) -> PathBuf {
    let mut document = SessionDocument::new("my-chat".parse().expect("an id"));
    document.history.push(Message::new(0, Role::User, "Is this \u{1b}[31mred\u{1b}[0m?"));
    let written = session::write(&document, version).expect("written");
    let path = folder.path().join("my-chat.json");
    fs::write(&path, written.bytes).expect("saved");
    path
}

/// An image file of two chunks.
fn image_file(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("my-chat.kv");
    let mut writer = SidecarWriter::open(&path, Durable::default()).expect("opened");
    let chunks = [Chunk::new(vec![1_u8; 3000]), Chunk::new(vec![2_u8; 500])];
    writer.append(&chunks).expect("appended");
    path
}

/// A sequence file of llama.cpp: two tokens, and a state of one cell in one layer.
fn sequence_file(folder: &TempDir) -> PathBuf {
    const WORDS: [u32; 22] =
        [0x6767_7371, 4, 2, 7, 8, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 4, 0, 0x3c00, 1, 4, 0, 0x3c00];
    let path = folder.path().join("slot.bin");
    fs::write(&path, WORDS.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()).expect("saved");
    path
}

#[test]
fn a_session_file_is_shown_as_a_table_and_as_json() {
    let folder = folder();
    for version in FormatVersion::ALL {
        let file = session_file(&folder, version);
        let shown = on("inspect", &file);
        assert_eq!(shown.code, 0, "{}", shown.err);
        for part in ["my-chat", &format!("format {version}"), "user", "red"] {
            assert!(shown.out.contains(part), "{part} in {}", shown.out);
        }
        assert!(!shown.out.contains('\u{1b}'), "escape sequences of a file do not reach the terminal");

        let json = intact(["inspect", "--json", file.to_str().expect("UTF-8")]);
        let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(json["kind"], "session");
        assert_eq!(json["format"], version.to_string());
        assert_eq!(json["messages"][0]["role"], "user");
        assert_eq!(on("verify", &file).code, 0);
    }
}

#[test]
fn an_edited_session_file_is_damaged() {
    let folder = folder();
    let file = session_file(&folder, FormatVersion::V2_0);
    let text = fs::read_to_string(&file).expect("text");
    fs::write(&file, text.replace("my-chat", "my-chut")).expect("edited");
    let said = on("verify", &file);
    assert_eq!(said.code, 100);
    assert!(said.out.starts_with("damaged") && said.out.contains("digest"), "{}", said.out);
    let said = on("inspect", &file);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("digest"), "{}", said.err);
}

#[test]
fn an_image_is_whole_until_a_bit_is_flipped() {
    let folder = folder();
    let file = image_file(&folder);
    let shown = on("inspect", &file);
    assert!(shown.out.contains("KV image") && shown.out.contains("3000"), "{}", shown.out);
    assert_eq!(on("verify", &file).code, 0);

    let mut bytes = fs::read(&file).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("flipped");
    let said = on("verify", &file);
    assert_eq!(said.code, 100);
    assert!(said.out.contains("damaged"), "{}", said.out);
}

#[test]
fn a_sequence_file_of_llama_cpp_shows_its_head_and_a_cut_one_is_damaged() {
    let folder = folder();
    let file = sequence_file(&folder);
    let shown = on("inspect", &file);
    for part in ["GGSQ", "version 4", "2: 7 8"] {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    assert_eq!(on("verify", &file).code, 0);
    let bytes = fs::read(&file).expect("bytes");
    fs::write(&file, &bytes[..bytes.len() - 2]).expect("cut");
    assert_eq!(on("verify", &file).code, 100);
}

#[test]
fn a_file_that_is_missing_or_empty_is_told_plainly() {
    let folder = folder();
    let missing = folder.path().join("gone.json");
    for command in ["inspect", "verify"] {
        let said = on(command, &missing);
        assert_eq!(said.code, 96, "{}", said.err);
        assert!(
            said.err.contains("gone.json cannot be read") && said.err.contains("check the path"),
            "{}",
            said.err
        );
        assert!(said.out.is_empty());
    }
    let empty = folder.path().join("empty.json");
    fs::write(&empty, "").expect("saved");
    assert_eq!(on("inspect", &empty).code, 96);
    assert_eq!(on("verify", &empty).code, 100);
}

#[test]
fn check_says_what_is_missing_before_it_starts_anything() {
    let folder = folder();
    let file = session_file(&folder, FormatVersion::V1_0);
    let file = file.to_str().expect("UTF-8");
    let said = intact(["check", file, "--model", "no-such-model.gguf"]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("there is no model file no-such-model.gguf"), "{}", said.err);
    let said = intact(["check", "gone.json", "--model", file]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("gone.json cannot be read"), "{}", said.err);
    let said = intact(["check", file, "--model", file, "--worker", "./no-such-worker"]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("there is no worker ./no-such-worker"), "{}", said.err);
}

#[test]
fn a_report_needs_the_results_of_a_run() {
    let folder = folder();
    let said = on("report", folder.path());
    assert_eq!(said.code, 96);
    assert!(said.err.contains("results.json"), "{}", said.err);
}

#[test]
fn the_golden_files_of_every_format_are_shown_and_whole() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden");
    for version in FormatVersion::ALL {
        let file = golden.join(format!("session-{version}.json"));
        let shown = on("inspect", &file);
        assert_eq!(shown.code, 0, "{}", shown.err);
        assert!(shown.out.contains(&format!("format {version}")), "{}", shown.out);
        let verified = on("verify", &file);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    }
    let image = on("inspect", &golden.join("session-2.0.kv"));
    assert!(image.out.contains("KV image"), "{}{}", image.out, image.err);
}

#[test]
fn check_names_what_is_no_session_file_and_the_command_for_it() {
    let folder = folder();
    let model = folder.path().join("model.gguf");
    fs::write(&model, b"GGUF\x03\0\0\0").expect("written");
    for (file, told) in [
        (sequence_file(&folder), "intact adopt"),
        (image_file(&folder), "give the session file, which is beside it"),
        (model.clone(), "the model goes after --model"),
    ] {
        let said = intact(["check".as_ref(), file.as_os_str(), "--model".as_ref(), model.as_os_str()]);
        assert_eq!(said.code, 96, "{}", said.err);
        let err = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(err.contains("not a session file") && err.contains(told), "{told}: {}", said.err);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_in_the_place_of_a_file_is_named_and_not_waited_for() {
    let folder = folder();
    let session = session_file(&folder, FormatVersion::CURRENT);
    let (pipe, session) = (folder.path().join("pipe"), session.display().to_string());
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    fs::create_dir(folder.path().join("run")).expect("made");
    for file in ["run/results.json", "run/run.json"] {
        fs::copy(&session, folder.path().join(file)).expect("copied");
    }
    fs::remove_file(folder.path().join("run/results.json")).expect("removed");
    fs::hard_link(&pipe, folder.path().join("run/results.json")).expect("a pipe by another name");
    let run = folder.path().join("run").display().to_string();
    let out = folder.path().join("out.json").display().to_string();
    for (special, kind) in [(pipe.display().to_string(), "named pipe"), ("/dev/zero".to_owned(), "device")] {
        for command in [
            vec!["report", &special],
            vec!["compat", &run],
            vec!["run", "--previous", &special, "--list"],
            vec!["run", "--expectations", &special, "--list"],
            vec!["run", "--config", &special, "--list"],
            vec!["check", &session, "--tag", "b8783", "--table", &special],
            vec!["adopt", &special, "--model", &special, "--out", &out],
            vec!["adopt", &session, "--history", &special, "--model", &special, "--out", &out],
            vec!["noise", "--from", &special],
            vec!["inspect", &special],
            vec!["verify", &special],
        ] {
            let said = intact(command.iter().map(|word| word.as_ref() as &std::ffi::OsStr));
            assert_ne!(said.code, 0, "{command:?}: {}", said.out);
            let told = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
            // Its folder has the pipe in it.
            let what = if command[0] == "compat" { "named pipe" } else { kind };
            assert!(told.contains(what), "{command:?}: {told}");
        }
    }
}
