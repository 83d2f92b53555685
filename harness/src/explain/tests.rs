//! Every word that the command can answer with is explained, and every command that shows one is a command.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use intact_format::passport::Axis;
use intact_format::route::{RefusalCode, Route};
use intact_judge::FindingKind;
use intact_matrix::config::Config;

use super::{Entry, Kind, catalogue, chapter, find};
use crate::command;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::verdict::Verdict;

fn config() -> Config {
    Config::built_in().expect("the built-in configuration")
}

fn names(kind: Kind) -> BTreeSet<String> {
    catalogue(&config()).into_iter().filter(|entry| entry.kind == kind).map(|entry| entry.name).collect()
}

fn all(names: impl IntoIterator<Item = impl ToString>) -> BTreeSet<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

#[test]
fn every_word_of_every_table_has_one_entry() {
    assert_eq!(names(Kind::Verdict), all(Verdict::ALL.map(Verdict::name)));
    // 2 is that of a command line that cannot be read.
    assert_eq!(names(Kind::Exit), all(Exit::ALL.map(Exit::code).into_iter().chain([2])));
    assert_eq!(names(Kind::Finding), all(FindingKind::ALL.map(FindingKind::name)));
    assert_eq!(names(Kind::Route), all(Route::ALL.map(Route::as_str)));
    assert_eq!(names(Kind::Refusal), all(RefusalCode::all().map(RefusalCode::as_str)));
    assert_eq!(names(Kind::PassportAxis), all(Axis::all().map(Axis::name)));
    assert_eq!(names(Kind::Fault), all(Fault::all().map(Fault::name)));
    let entries = catalogue(&config());
    let told: BTreeSet<_> = entries.iter().map(|entry| (entry.kind, &entry.name)).collect();
    assert_eq!(told.len(), entries.len(), "no entry is there twice");
}

#[test]
fn every_entry_says_what_it_is_and_what_to_do() {
    for entry in catalogue(&config()) {
        let Entry { kind, name, meaning, next, .. } = &entry;
        assert!(!meaning.is_empty() && !meaning.ends_with('.'), "{kind} {name}: {meaning:?}");
        assert!(!next.is_empty() && !next.ends_with('.'), "{kind} {name}: {next:?}");
        // What shows that a command line is wrong is none.
        let needs_example = !matches!(kind, Kind::Code | Kind::Fault) && name != "2";
        assert!(!needs_example || entry.example.is_some(), "{kind} {name} has no command that shows it");
    }
}

/// The words of a command line, as a shell would split those that stand in the catalogue.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("there is one").push(other),
        }
    }
    words
}

#[test]
fn what_shows_a_word_is_a_command_whose_filter_selects_something() {
    let config = config();
    let values: BTreeSet<String> = config
        .axes
        .iter()
        .flat_map(|axis| axis.values.iter().map(|value| format!("{}({})", axis.name, value.get_ref())))
        .collect();
    for entry in catalogue(&config) {
        let Some(example) = &entry.example else { continue };
        let words = words(example);
        if let Err(error) = command::parses(&words) {
            panic!("{}: {example}\n{error}", entry.name);
        }
        let Some(at) = words.iter().position(|word| word == "-E") else { continue };
        if matches!(entry.name.as_str(), "4" | "94") {
            continue;
        }
        for predicate in words[at + 1].split(" & ").filter(|predicate| !predicate.starts_with("subject(")) {
            assert!(values.contains(predicate), "{}: {predicate} selects nothing", entry.name);
        }
    }
}

/// Codes are literals where they are given: whoever adds one finds this test.
#[test]
fn every_code_in_the_sources_has_an_entry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let known: BTreeSet<String> = catalogue(&config()).into_iter().map(|entry| entry.name).collect();
    let mut found = BTreeSet::new();
    let mut look = |file: &Path, before: &[&str]| {
        let text = fs::read_to_string(file).expect("a source file");
        for start in before {
            for rest in text.split(start).skip(1) {
                let code = rest.split('"').next().unwrap_or_default();
                if !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
                    found.insert(code.to_owned());
                }
            }
        }
    };
    for file in sources(&root.join("harness/worker/src")) {
        look(&file, &["refused(\"", "refused(\n            \"", "code: \""]);
    }
    look(&root.join("engine/src/error.rs"), &["=> \"", "{\n                \""]);
    look(&root.join("harness/judge/src/judge.rs"), &["Some(\"", "pub const UNEXPLAINED: &str = \""]);
    assert!(found.len() > 25, "the search finds what it is for: {found:?}");
    let missing: Vec<_> = found.difference(&known).collect();
    assert!(missing.is_empty(), "without an entry in explain/advice.toml: {missing:?}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_misspelt_word_finds_the_one_that_was_meant() {
    let catalogue = catalogue(&config());
    for (word, hint) in
        [("corupt", "did you mean `corrupt`?"), ("xyzzy", "`intact explain` lists every word")]
    {
        let unknown = find(&catalogue, word).expect_err("it is none");
        assert_eq!(unknown.hint(), hint);
    }
    let of_two_kinds = find(&catalogue, "not-run").expect("known");
    assert_eq!(
        of_two_kinds.iter().map(|entry| entry.kind).collect::<Vec<_>>(),
        [Kind::Verdict, Kind::Finding]
    );
}

#[test]
fn the_chapter_of_the_guide_is_what_the_command_knows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference.md");
    let written = fs::read_to_string(&path).unwrap_or_default();
    let made = chapter(&catalogue(&config()));
    assert!(written == made, "write it anew: intact explain --reference >docs/src/reference.md");
}
