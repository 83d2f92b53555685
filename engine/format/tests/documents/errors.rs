//! What whoever prints an error with its causes gets to read: each thing once.

use std::fs;
use std::path::Path;

/// The crates that are published.
const CRATES: [&str; 5] = ["../kv", "../format", "../store", "../seal", ".."];

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The texts of errors that say what their cause says, and name that as their source all the same.
fn told_twice(source: &str) -> Vec<String> {
    let attributes = source.match_indices("#[error(").filter_map(|(at, _)| {
        let (text, rest) = source[at..].split_once(")]\n")?;
        let item = rest.lines().take(2).collect::<String>();
        let positional = text.contains("{0") && (item.contains("#[from]") || item.contains("#[source]"));
        (text.contains("{source") || positional).then(|| text.to_owned())
    });
    attributes.collect()
}

#[test]
fn an_error_whose_text_says_its_cause_does_not_name_it_as_its_source_too() {
    let named = "#[error(\"cut: {source}\")]\nCut { source: io::Error },";
    let made = "#[error(\"cut: {0}\")]\nCut(#[from] io::Error),";
    let kept = "#[error(\"cut: {0}\")]\nCut(io::Error),\n#[error(transparent)]\nOther(#[from] Other),";
    assert_eq!([named, made, kept].map(|source| told_twice(source).len()), [1, 1, 0]);

    let mut read = Vec::new();
    for name in CRATES {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("src"), &mut read);
    }
    let twice: Vec<String> = read.iter().flat_map(|source| told_twice(source)).collect();
    assert!(read.len() > 100 && twice.is_empty(), "{twice:#?}");
}
