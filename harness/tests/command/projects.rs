//! The files that a project begins with, and what it is without them.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::cli::{Said, said};

fn intact(folder: &Path, words: &[&str]) -> Said {
    let search = std::env::var("PATH").expect("a search path");
    let own = Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
    for variable in ["CI", "INTACT_PROFILE", "INTACT_WORKER"] {
        command.env_remove(variable);
    }
    let output = command
        .args(words)
        .current_dir(folder)
        .env("PATH", format!("{}:{search}", own.display()))
        .env("NO_COLOR", "1")
        .env("INTACT_HOME", folder.join("home"))
        .output();
    said(&output.expect("the command runs"))
}

#[test]
fn the_example_runs_in_a_folder_that_was_not_there_and_says_how() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = intact(folder.path(), &["init", "--example", "new/guide"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.ends_with("Next: cd new/guide, then intact plan, then intact run\n"), "{}", made.out);
    let ran = intact(&folder.path().join("new/guide"), &["run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(!ran.err.contains("nothing is excused"), "{}", ran.err);
}

#[test]
fn a_configuration_without_expectations_excuses_nothing_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(intact(folder.path(), &["init", "--example"]).code, 0);
    fs::remove_file(folder.path().join("expectations.toml")).expect("removed");
    let ran = intact(folder.path(), &["run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let note = "note: there is no expectations.toml beside intact.toml, so nothing is excused";
    assert_eq!(ran.err.matches(note).count(), 1, "{}", ran.err);
}

#[test]
fn completions_ask_for_plans_cells_and_models() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(intact(folder.path(), &["init"]).code, 0);
    assert_eq!(intact(folder.path(), &["words", "plans"]).out, "nightly\npr\n");
    assert_eq!(intact(folder.path(), &["words", "cells"]).out, "", "nothing was run");
    let models = intact(folder.path(), &["words", "models"]).out;
    assert!(models.lines().any(|line| line == "id:llama"), "{models}");
    for (kind, word) in [("releases", "0.6.0"), ("explained", "recomputed")] {
        let words = intact(folder.path(), &["words", kind]).out;
        assert!(words.lines().any(|line| line == word), "{word} in {words}");
    }
    fs::write(folder.path().join("intact.toml"), "broken = [").expect("written");
    let broken = intact(folder.path(), &["words", "plans"]);
    assert_eq!((broken.code, broken.out.as_str(), broken.err.as_str()), (0, "", ""));
    for (shell, asks) in [("bash", 2), ("zsh", 2), ("fish", 4)] {
        let script = intact(folder.path(), &["completions", shell]).out;
        let asked = script.matches("intact words").count();
        assert!(asked >= asks, "{shell} asks {asked} times");
    }
}

/// What bash offers behind these words, with the command's own completions.
#[test]
fn bash_offers_the_plans_that_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(intact(folder.path(), &["init"]).code, 0);
    let script = intact(folder.path(), &["completions", "bash"]).out;
    fs::write(folder.path().join("completions"), script).expect("written");
    let own = Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
    let search = [own.as_os_str(), OsStr::new("/usr/bin"), OsStr::new("/bin")].join(OsStr::new(":"));
    let asked = "source ./completions; COMP_WORDS=(intact run --plan ni); COMP_CWORD=3; _intact_asking intact ni --plan; \
                 echo \"${COMPREPLY[@]}\"; COMP_WORDS=(intact rep); COMP_CWORD=1; _intact_asking intact rep intact; \
                 echo \"${COMPREPLY[@]}\"; COMP_WORDS=(intact run ''); COMP_CWORD=2; _intact_asking intact '' run; \
                 echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["--norc", "-c", asked])
        .current_dir(folder.path())
        .env("PATH", search)
        .output();
    let offered = said(&output.expect("bash runs"));
    let sorted = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words.sort();
        words.join(" ")
    };
    let lines: Vec<String> = offered.out.lines().map(sorted).collect();
    assert_eq!(lines, ["nightly", "report repro", "nightly pr"], "{}", offered.err);
}
