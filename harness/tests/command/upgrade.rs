//! `intact upgrade` from its command line to its exit code, over stand-ins for installed systems and for workers of releases: no
//! network, and no llama.cpp.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::cli::{Said, fake_worker, said};

/// A home with systems in it: a name with its version, and what is wrong with it.
fn home(systems: &[(&str, &str, &str)]) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    for (name, version, misbehaviour) in systems {
        let folder = home.path().join("subjects").join(name).join(version);
        fs::create_dir_all(&folder).expect("a folder");
        let command = [fake_worker().to_str().expect("UTF-8"), "--misbehave", misbehaviour];
        fs::write(folder.join("subject.toml"), format!("version = 1\ncommand = {command:?}\n"))
            .expect("written");
    }
    home
}

/// Puts a worker of a release in its place: sessions come back by it, and the state files of llama.cpp itself do not.
fn with_release(home: &Path, tag: &str) {
    let folder = home.join("tags").join(tag);
    fs::create_dir_all(&folder).expect("a folder");
    let script = format!(
        "#!/bin/sh\nwrong=nothing\nfor word; do [ \"$word\" = blind ] && wrong=garbage; done\n\
         exec '{}' --misbehave \"$wrong\"\n",
        fake_worker().display()
    );
    let worker = folder.join("intact-worker");
    fs::write(&worker, script).expect("written");
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).expect("executable");
}

fn upgrade(home: &TempDir, from: &str, to: &str) -> Said {
    fs::write(home.path().join("toy.gguf"), "a toy").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(["upgrade", from, to, "--model", "toy.gguf"])
        .current_dir(home.path())
        .env("INTACT_HOME", home.path())
        .env("NO_COLOR", "1")
        .output();
    said(&output.expect("the command runs"))
}

#[test]
fn sessions_that_survive_both_ways_are_a_yes_and_the_cells_are_in_a_report() {
    let home = home(&[("chat", "1.0.0", "nothing"), ("chat", "2.0.0", "nothing")]);
    let told = upgrade(&home, "chat@1.0.0", "chat@2.0.0");
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("Can I upgrade, chat@1.0.0 -> chat@2.0.0? Yes."), "{}", told.out);
    for kv in ["f16", "q8_0", "q4_0"] {
        assert!(told.out.contains(&format!("{kv:6} sessions survive")), "{}", told.out);
    }
    assert!(home.path().join("upgrade/report.html").is_file());
}

#[test]
fn a_version_that_takes_nothing_in_is_a_no_with_what_to_do() {
    let home = home(&[("chat", "1.0.0", "nothing"), ("chat", "2.0.0", "fail")]);
    let told = upgrade(&home, "chat@1.0.0", "chat@2.0.0");
    assert_eq!(told.code, 100, "{}{}", told.out, told.err);
    assert!(told.out.contains("chat@2.0.0? No."), "{}", told.out);
    assert!(told.out.contains("sessions are lost, and the program says so"), "{}", told.out);
    assert!(told.out.contains("intact adopt STATE --model toy.gguf"), "{}", told.out);
    assert!(told.out.contains("Note: chat@2.0.0 does not get back what it saved itself"), "{}", told.out);
}

#[test]
fn state_files_of_two_releases_are_told_apart_from_sessions_of_intact() {
    let home = home(&[]);
    for tag in ["b8390", "b9842"] {
        with_release(home.path(), tag);
    }
    let told = upgrade(&home, "b8390", "b9842");
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let (sessions, files) = told.out.split_once("These were sessions that intact saved").expect("both");
    assert!(sessions.contains("b8390 -> b9842? Yes."), "{sessions}");
    assert!(files.contains("b8390-files -> b9842-files? No."), "{files}");
}

#[test]
fn a_release_without_a_worker_is_named_with_how_to_get_it() {
    let told = upgrade(&home(&[]), "b8390", "b9842");
    assert_eq!(told.code, 96, "{}", told.err);
    assert!(
        told.err.contains("intact tags fetch b8390") || told.err.contains("intact tags build b8390"),
        "{}",
        told.err
    );
}
