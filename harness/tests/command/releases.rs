//! `check --tag` and `migrate` on the golden files of releases.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::cli::{Said, intact};

/// A copy of a golden session file and its image.
fn golden(folder: &TempDir, release: &str, form: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/releases").join(release);
    for extension in ["json", "kv"] {
        let name = format!("{form}.{extension}");
        fs::copy(from.join(&name), folder.path().join(&name)).expect("copied");
    }
    folder.path().join(format!("{form}.json"))
}

fn run(arguments: &[&str], file: &Path) -> Said {
    let file = file.to_str().expect("UTF-8");
    intact(arguments.iter().copied().chain([file]))
}

#[test]
fn check_tells_what_a_release_would_do_with_a_file() {
    type Row = (&'static str, &'static str, &'static str, &'static [&'static str], i32, &'static str);
    // (writer, form, reader, further arguments, exit code, what is said)
    let table: [Row; 10] = [
        ("b8233", "f16", "b8233", &[], 0, "Route: direct"),
        ("b8233", "f16", "0.6.0", &[], 0, "Route: transcoded"),
        ("0.6.0", "f16", "b5686", &[], 0, "Route: transcoded"),
        ("b8233", "q8_0", "0.1.161", &[], 0, "rotation-k: the saved KV is stored in another basis"),
        ("b8783", "q8_0", "v0.6.0", &[], 0, "Route: transcoded"),
        ("b8233", "q8_0", "0.6.0", &["--policy", "lossless"], 0, "Route: transcoded"),
        ("b8233", "q8_0", "0.6.0", &["--policy", "strict"], 100, "will not load into 0.6.0 (layout-differs)"),
        ("b8233", "q8_0", "b8233", &["--policy", "strict"], 0, "Route: direct"),
        ("b8783", "f16-turned", "b9553", &[], 0, "Route: transcoded"),
        ("b8783", "f16", "b1", &[], 96, "no llama.cpp release is called `b1`"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (writer, form, reader, more, code, told) in table {
        let file = golden(&folder, writer, form);
        let said = run(&[&["check", "--tag", reader], more].concat(), &file);
        let text = said.out + &said.err;
        assert_eq!(said.code, code, "{form} of {writer} for {reader}: {text}");
        assert!(text.contains(told), "{told} in {text}");
    }
}

#[test]
fn check_notices_an_image_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = golden(&folder, "b8233", "f16");
    fs::remove_file(file.with_extension("kv")).expect("removed");
    let said = run(&["check", "--tag", "0.6.0"], &file);
    assert!(said.out.contains("Route: reprefilled"), "{}", said.out);
}

#[test]
fn a_migrated_file_is_direct_where_it_was_migrated_to_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for form in ["f16", "f16-turned", "q8_0", "q8_0-turned", "q4_0", "q8_0-windowed"] {
        let file = golden(&folder, "b8233", form);
        let said = run(&["migrate", "--to-tag", "0.6.0"], &file);
        assert_eq!(said.code, 0, "{form}: {}", said.err);
        let exact = said.out.contains("Every number of K and V is what it was.");
        assert_eq!(exact, form.starts_with("f16"), "{form}: {}", said.out);

        let migrated = folder.path().join(format!("{form}-0.6.0.json"));
        assert_eq!(run(&["verify"], &migrated).code, 0, "{form}");
        let check = run(&["check", "--tag", "0.6.0", "--policy", "strict"], &migrated);
        assert_eq!(check.code, 0, "{form}: {}", check.out);
        assert!(check.out.contains("b8233 to 0.6.0"), "the migration is told: {}", check.out);

        let again = run(&["migrate", "--to-tag", "0.6.0"], &file);
        assert_eq!(again.code, 96, "nothing is overwritten: {}", again.out);
        assert!(again.err.contains("is there already"), "{}", again.err);

        let back = folder.path().join(format!("{form}-back.json"));
        let out = back.to_str().expect("UTF-8");
        assert_eq!(run(&["migrate", "--to-tag", "b8233", "--out", out], &migrated).code, 0, "{form}");
        if exact {
            let images = [&file, &back].map(|file| fs::read(file.with_extension("kv")).expect("an image"));
            assert!(images[0] == images[1], "{form}: byte for byte what the release wrote");
        }
    }
}

#[test]
fn a_file_without_kv_has_nothing_to_migrate() {
    let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/session-1.1.json");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.json");
    let said = run(&["migrate", "--to-tag", "0.6.0", "--out", out.to_str().expect("UTF-8")], &session);
    assert_eq!(said.code, 100, "{}", said.err);
    assert!(said.err.contains("no passport"), "{}", said.err);
    assert!(!out.exists());
}
