//! The mistakes that people make most, and what they are told: each names what is wrong and what to do, in one snapshot that can
//! be read from top to bottom.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::cli::{golden_session, said};

/// Words of a command line, and what must be among what is said.
type Mistake = (&'static str, &'static [&'static str], &'static str);

const MISTAKES: [Mistake; 23] = [
    ("a command that is misspelt", &["rnu"], "'run'"),
    ("a command inside another that is misspelt", &["models", "lsit"], "'list'"),
    ("an option that is misspelt", &["run", "--modle", "my.gguf"], "'--model'"),
    ("a plan that is misspelt", &["plan", "nightlly"], "`nightly`"),
    ("a plan to run that is misspelt", &["run", "nightlly"], "`nightly`"),
    ("a profile that is misspelt", &["run", "--profile", "nigtly"], "`nightly`"),
    ("a dimension that is misspelt", &["run", "-E", "modle(llama)"], "`model`"),
    ("a value that is misspelt", &["cd", "guide", "run", "-E", "model(smal)"], "`small`"),
    ("a filter that is not closed", &["run", "-E", "model(llama"], "expected `)`"),
    ("a filter of words alone", &["run", "-E", "llama"], "expected `(`"),
    ("a model that is not there", &["run", "--model", "missing.gguf"], "there is no model file missing.gguf"),
    ("the id of a model that is misspelt", &["run", "--model", "id:lama"], "llama"),
    ("a configuration that is not there", &["run", "--config", "missing.toml"], "missing.toml"),
    ("a key of the configuration that is misspelt", &["run", "--config", "wrong.toml"], "`plan`"),
    ("a session file that is not there", &["inspect", "missing.json"], "check the path"),
    ("something else in place of a session file", &["verify", "notes.txt"], "not a session file"),
    ("a llama.cpp release that is not known", &["check", "chat.json", "--tag", "b1"], "intact tags list"),
    ("nothing to check against", &["check", "chat.json"], "--model"),
    (
        "a system without its version",
        &["upgrade", "node-llama-cpp", "b8390", "--model", "notes.txt"],
        "node-llama-cpp@",
    ),
    (
        "the same version twice",
        &["upgrade", "b8390", "b8390", "--model", "notes.txt"],
        "both names mean the same version",
    ),
    ("a system that is not known", &["subjects", "add", "node-lama-cpp@3.22.1"], "`node-llama-cpp`"),
    ("a project that is there already", &["init"], "is there already"),
    ("a run that is not there", &["report", "missing"], "intact run --out"),
];

fn told(folder: &Path, words: &[&str]) -> (i32, String) {
    let (folder, words) = match words {
        ["cd", inside, words @ ..] => (folder.join(inside), words),
        words => (folder.to_owned(), words),
    };
    // The stand-in of the guide is found where the command is.
    let own = Path::new(env!("CARGO_BIN_EXE_intact")).parent().expect("a folder");
    let search = std::env::var("PATH").expect("a search path");
    let output = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(words)
        .current_dir(&folder)
        .env("PATH", format!("{}:{search}", own.display()))
        .env("NO_COLOR", "1")
        .env("INTACT_HOME", folder.join("home"))
        .env("INTACT_OFFLINE", "1")
        .output();
    let said = said(&output.expect("the command runs"));
    (said.code, said.out + &said.err)
}

#[test]
fn every_mistake_is_met_with_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    golden_session(path, "chat");
    fs::write(path.join("notes.txt"), "Some notes, and no model.\n").expect("written");
    fs::write(path.join("wrong.toml"), "version = 1\n\n[run]\nplam = \"pr\"\n").expect("written");
    assert_eq!(told(path, &["init"]).0, 0);
    assert_eq!(told(path, &["init", "--example", "guide"]).0, 0);
    let (mut all, mut wrong) = (String::new(), Vec::new());
    for (mistake, words, must) in MISTAKES {
        let (code, said) = told(path, words);
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let bare = said.contains("os error") && !said.contains("help: ");
        if [0, 101].contains(&code) || !line.contains(must) || said.contains("panicked") || bare {
            wrong.push(format!("{mistake}: {code}, {must:?} is to be said: {said}"));
        }
        let quoted = words
            .iter()
            .map(|word| if word.contains('(') { format!("'{word}'") } else { (*word).to_owned() });
        let _ = writeln!(
            all,
            "## {mistake}\n$ intact {}\n? {code}\n{said}",
            quoted.collect::<Vec<_>>().join(" ")
        );
    }
    assert!(!path.join("out").exists() && !path.join("guide/out").exists(), "nothing was written");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all = all.replace(&path.display().to_string(), "[HERE]");
    let all: Vec<&str> = all.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(all.join("\n"));
}
