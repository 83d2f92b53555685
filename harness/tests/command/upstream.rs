//! `upstream` and `lint-state`: real neighbouring releases on each side of every known change, and names that are none.

use std::fs;
use std::path::Path;
use std::process::Command;

#[cfg(target_os = "linux")]
use super::cli::loaded_worker;
use super::cli::{Said, said};

fn intact(home: &Path, words: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(words)
        .env("INTACT_HOME", home)
        .env("NO_COLOR", "1")
        .output();
    said(&output.expect("the command runs"))
}

#[test]
fn what_is_no_library_is_named_with_what_to_do() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty");
    let tree = folder.path().join("tree");
    fs::create_dir_all(&empty).expect("a folder");
    fs::create_dir_all(tree.join("include")).expect("a folder");
    fs::write(tree.join("include/llama.h"), "").expect("written");
    for command in ["upstream", "lint-state"] {
        for (named, told) in [
            (empty.to_str().expect("UTF-8"), "holds no libllama"),
            (tree.to_str().expect("UTF-8"), "cmake -S"),
            ("b839O", "did you mean `b8390`?"),
        ] {
            let said = intact(home.path(), &[command, named, named]);
            assert_eq!(said.code, 96, "{command} {named}: {}{}", said.out, said.err);
            assert!(said.err.contains(told), "{command} {named}: {}", said.err);
        }
    }
}

/// What is in a folder is tried under its own name, and not that of the copy that it is tried with.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_no_library_is_named_as_it_was_given() {
    assert!(loaded_worker().is_file());
    let home = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("libllama.so");
    fs::write(&file, "no library").expect("written");
    let named = folder.path().to_str().expect("UTF-8");
    for command in ["upstream", "lint-state"] {
        let said = intact(home.path(), &[command, named, named]);
        assert_eq!(said.code, 96, "{command}: {}{}", said.out, said.err);
        assert!(said.err.contains(named) && !said.err.contains("intact-plain-"), "{command}: {}", said.err);
        let said = intact(home.path(), &[command, file.to_str().expect("UTF-8"), named]);
        assert_eq!(said.code, 96, "{command}: {}{}", said.out, said.err);
        assert!(said.err.contains("libllama.so is a file"), "{command}: {}", said.err);
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs libraries that `intact tags fetch` brings: the step `releases` of ci/test runs it"]
fn one_library_under_two_names_is_one_and_that_is_written_down_too() {
    assert!(loaded_worker().is_file());
    let home = intact_harness::tags::default_home().expect("a home");
    let home = home.parent().expect("its folder");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("comment.md");
    let file = file.to_str().expect("UTF-8");
    let said = intact(home, &["upstream", "0.5.0", "v0.5.0", "--markdown", file]);
    assert_eq!((said.code, said.out.contains("are one library")), (0, true), "{}{}", said.out, said.err);
    let written = fs::read_to_string(file).expect("written");
    assert!(written.starts_with("# What this does to saved sessions\n\n**Nothing changed"), "{written}");
    let said = intact(home, &["lint-state", "0.5.0", "v0.5.0"]);
    assert_eq!(said.out, "Nothing changed: 0.5.0 and v0.5.0 are one library.\n", "{}", said.err);
}

/// Neighbouring releases that node-llama-cpp carries, how linting them ends, and what is said.
#[cfg(target_os = "linux")]
const PAIRS: [(&str, &str, i32, &str); 12] = [
    ("b5590", "b5640", 0, "Nothing that llama.cpp saves changed"),
    ("b5640", "b6122", 100, "the number of streams: from now on"),
    ("b6122", "b6133", 0, "Nothing that llama.cpp saves changed"),
    ("b6301", "b6431", 0, "Nothing that llama.cpp saves changed"),
    ("b6431", "b6673", 0, "computed a little differently"),
    ("b7324", "b7347", 0, "Nothing that llama.cpp saves changed"),
    ("b8095", "b8121", 0, "Nothing that llama.cpp saves changed"),
    ("b8121", "b8179", 100, "(logits, embeddings, outputs) is 1176 bytes less"),
    ("b8179", "b8352", 100, "cells carry their position in two dimensions from now on"),
    ("b8390", "b9842", 100, "quantized K and V are in another rotation, and nothing in the state says so"),
    ("b8390", "b9842", 100, "a magic word before raw states: from now on"),
    ("b10361", "0.4.0", 0, "version 3, which was 2"),
];

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs libraries that `intact tags fetch` brings: the step `releases` of ci/test runs it"]
fn each_known_change_is_told_as_what_it_is_and_nothing_else_is() {
    assert!(loaded_worker().is_file());
    let home = intact_harness::tags::default_home().expect("a home");
    let home = home.parent().expect("its folder");
    for (base, head, code, told) in PAIRS {
        let said = intact(home, &["lint-state", base, head]);
        assert_eq!(said.code, code, "{base} {head}: {}{}", said.out, said.err);
        assert!(said.out.contains(told), "{base} {head}: {}", said.out);
    }
}
