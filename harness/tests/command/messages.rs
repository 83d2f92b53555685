//! Everything that is said when something goes wrong, in one list for whoever reads it as a stranger would:
//! `INTACT_MESSAGES=FILE cargo nextest run --workspace --test command messages` writes it. The sources are read, so that no message
//! is forgotten.

use std::fs;
use std::path::{Path, PathBuf};

/// What messages are told with: texts of errors, failures of commands, and what to do about them.
const MARKS: [&str; 4] = ["#[error(", "Failure::setup(", ".help(", ".also("];

/// Where the sources are, from this crate.
const ROOTS: [&str; 3] = ["../harness", "../engine", "../fixtures"];

/// What no message says, and what it would say instead.
const NEVER: [(&str, &str); 11] = [
    ("  ", "one space"),
    ("bit by bit", "bit for bit"),
    ("please", "nothing"),
    ("informations", "information"),
    ("is no run's", "is not the folder of a run"),
    ("is no library", "is not a library"),
    ("cargo build -p", "what an installed intact can do"),
    (" played", "run, or retried"),
    (" mend", "fix"),
    ("forth and back", "back and forth"),
    ("otherwise than", "differently from"),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["tests", "examples", "target", "fuzz"].iter().any(|skip| name == *skip);
        if path.is_dir() && !skipped {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            into.push(path);
        }
    }
}

/// The string that a text begins with, as the program has it.
fn literal(text: &str) -> Option<String> {
    let text = text.trim_start();
    let text = text.strip_prefix("format!(").unwrap_or(text).trim_start();
    let mut rest = text.strip_prefix('"')?.chars();
    let mut told = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(told),
            '\\' => match rest.next()? {
                '\n' => rest = rest.as_str().trim_start().chars(),
                'n' => told.push('\n'),
                other => told.push(other),
            },
            other => told.push(other),
        }
    }
}

/// Every message of a source, outside its tests.
fn messages(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod").next().unwrap_or_default();
    let mut found: Vec<(usize, String)> = Vec::new();
    for mark in MARKS {
        let places = source.match_indices(mark).map(|(at, _)| at + mark.len());
        found.extend(places.filter_map(|at| Some((at, literal(&source[at..])?))));
    }
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn every_message_is_in_one_list_and_none_says_what_none_should() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ROOTS.iter().for_each(|root| sources(&here.join(root), &mut files));
    files.sort();
    let (mut list, mut wrong, mut count) = (String::new(), Vec::new(), 0);
    for file in &files {
        let name = file.strip_prefix(here.join("..")).unwrap_or(file).display().to_string();
        let messages = messages(&fs::read_to_string(file).expect("a source"));
        for message in messages.iter().filter(|message| message.contains(' ')) {
            count += 1;
            list += &format!("{name}: {message}\n");
            let never = NEVER.iter().filter(|(words, _)| message.to_lowercase().contains(words));
            wrong.extend(never.map(|(words, better)| format!("{name}: {words:?} in {message:?}: {better}")));
            if message.trim() != message || message.ends_with('.') && !message.contains(". ") {
                wrong.push(format!("{name}: begins or ends as no part of a sentence does: {message:?}"));
            }
        }
    }
    assert!(count > 350, "{count} messages in {} sources", files.len());
    if let Some(file) = std::env::var_os("INTACT_MESSAGES") {
        fs::write(file, &list).expect("written");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_are_read_as_the_program_has_them() {
    let source = "#[error(\"a {b} \\\"c\\\" \\\n        d\")]\nlet x = Failure::setup(format!(\"e f\")).help(\n    \"g h\",\n);\n\
                  #[cfg(test)]\nmod tests { Failure::setup(\"no message\") }";
    assert_eq!(messages(source), ["a {b} \"c\" d", "e f", "g h"]);
}
