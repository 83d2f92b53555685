//! Sealed sessions in a store: put in with their key, kept, checked and taken out without it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::desk::{Desk, chunks, session_file};

const PASSPHRASE: &str = "correct horse";

struct Scene {
    folder: TempDir,
    desk: Desk,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let desk = Desk::at(folder.path().join("store").to_str().expect("UTF-8"));
        Self { folder, desk }
    }

    /// The store for somebody who has this passphrase.
    fn with(&self, passphrase: &str) -> Desk {
        self.desk.clone().with("INTACT_PASSPHRASE", passphrase)
    }

    /// A plain session file and a sealed one.
    fn files(&self, session: &str) -> (PathBuf, PathBuf) {
        let plain = session_file(self.folder.path(), session, "a secret", &chunks(2, session, 5000));
        let sealed = self.folder.path().join(format!("{session}-sealed.json"));
        intact(&["seal".as_ref(), plain.as_os_str()]);
        (plain, sealed)
    }

    /// Everything that is in the store.
    fn bytes(&self) -> Vec<u8> {
        fn below(folder: &Path) -> Vec<u8> {
            let entries =
                fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
            entries
                .flat_map(|path| if path.is_dir() { below(&path) } else { fs::read(path).expect("read") })
                .collect()
        }
        below(&self.folder.path().join("store"))
    }
}

/// Runs `intact` with the passphrase.
fn intact(arguments: &[&OsStr]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    let output = command.args(arguments).env("INTACT_PASSPHRASE", PASSPHRASE).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn import(desk: &Desk, file: &Path, more: &[&str]) -> super::desk::Said {
    let words = ["import"].iter().chain(more).map(OsStr::new);
    desk.run(words.chain([file.as_os_str()]))
}

/// What was said, on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_sealed_session_goes_in_with_its_key_and_stays_sealed() {
    let scene = Scene::new();
    let (_, sealed) = scene.files("ada");
    let cases = [(scene.desk.clone(), "none was given"), (scene.with("battery staple"), "another one")];
    for (desk, why) in cases {
        let said = import(&desk, &sealed, &[]);
        let err = line(&said.err);
        assert!(said.code == Some(96) && err.contains(why) && err.contains("give the passphrase"), "{err}");
        assert!(!err.contains("staple"), "{err}");
    }
    let said = import(&scene.with(PASSPHRASE), &sealed, &[]);
    assert!(said.code == Some(0) && said.out.contains("saved as ada"), "{}", said.err);
    let stored = scene.bytes();
    for word in ["a secret", "History", PASSPHRASE] {
        assert!(!stored.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
}

#[test]
fn the_store_is_kept_without_a_key_and_checked_better_with_it() {
    let scene = Scene::new();
    for session in ["ada", "bob"] {
        let (_, sealed) = scene.files(session);
        assert_eq!(import(&scene.with(PASSPHRASE), &sealed, &[]).code, Some(0));
    }
    let rows = scene.desk.json(["ls"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
    assert!(rows[0]["saved_at"].is_string() && rows[0]["messages"].is_null(), "{rows}");
    assert_eq!(scene.desk.json(["stats"])["sessions"], 2);

    for desk in [scene.desk.clone(), scene.with("battery staple")] {
        let found = desk.json(["verify"]);
        assert_eq!((&found["sound"], &found["closed"]), (&true.into(), &["ada", "bob"].as_slice().into()));
    }
    let found = scene.with(PASSPHRASE).json(["verify", "--sealed"]);
    assert_eq!((&found["sound"], found["closed"].as_array().map(Vec::len)), (&true.into(), Some(0)));

    scene.desk.json(["prune", "--keep", "1"]);
    let collected = scene.desk.json(["gc", "--grace", "0s"]);
    assert!(collected["removed"].as_u64() > Some(2), "{collected}");
    assert_eq!(scene.with(PASSPHRASE).json(["verify"])["sessions"], 1);
}

#[test]
fn a_sealed_session_comes_out_as_it_went_in_and_needs_no_key_for_that() {
    let scene = Scene::new();
    let (plain, sealed) = scene.files("ada");
    import(&scene.with(PASSPHRASE), &sealed, &[]);
    for (name, desk) in [("keyless", scene.desk.clone()), ("keyed", scene.with(PASSPHRASE))] {
        let out = scene.folder.path().join(name).with_extension("json");
        let said = desk.run(["export".as_ref(), "ada".as_ref(), "--to".as_ref(), out.as_os_str()]);
        assert!(said.code == Some(0) && said.out.contains("sealed, written"), "{}", said.err);
        assert_eq!(fs::read(&out).expect("read"), fs::read(&sealed).expect("read"));
        intact(&["unseal".as_ref(), out.as_os_str()]);
        let opened = scene.folder.path().join(format!("{name}-plain.json"));
        for extension in ["json", "kv"] {
            let [one, other] = [&plain, &opened].map(|file| fs::read(file.with_extension(extension)));
            assert_eq!(one.expect("read").len(), other.expect("read").len(), "{name}");
        }
    }
    let said = scene.desk.run(["export".as_ref(), "ada".as_ref(), "--to".as_ref(), plain.as_os_str()]);
    assert!(said.code == Some(96) && line(&said.err).contains("not sealed"), "{}", said.err);
}

#[test]
fn a_session_whose_encryption_was_removed_is_refused_where_only_sealed_ones_are_accepted() {
    let scene = Scene::new();
    let (plain, _) = scene.files("ada");
    let said = import(&scene.with(PASSPHRASE), &plain, &["--sealed"]);
    assert!(said.code == Some(96) && line(&said.err).contains("its encryption was removed"), "{}", said.err);
    assert_eq!(import(&scene.desk, &plain, &[]).code, Some(0));
    let found = scene.desk.run(["verify", "--sealed"]);
    assert!(found.code == Some(100) && found.out.contains("broken   ada"), "{}", found.out);
    let out = scene.folder.path().join("out.json");
    let words = ["export".as_ref(), "ada".as_ref(), "--sealed".as_ref(), "--to".as_ref(), out.as_os_str()];
    let said = scene.desk.run(words);
    assert!(said.code == Some(96) && !out.exists(), "{}", said.err);
}
