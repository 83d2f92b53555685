//! A corpus in a folder: what is added stays, and what is damaged is found.

use std::collections::BTreeMap;
use std::fs;

use super::{CORPUS_VERSION, CorpusError, Model, READER_TEXT, Reading, Shelf, State, Written};

fn written(release: &str) -> Written {
    let state = State {
        writer: "llama.cpp".into(),
        release: release.into(),
        container: "sequence-file".into(),
        kv: "f16".into(),
        model: Model { id: "llama".into(), architecture: "llama".into(), seed: 1, sha256: "00".repeat(32) },
        tokens: vec![1, 2, 3],
        continuation: vec![4, 5],
        files: BTreeMap::new(),
        readers: BTreeMap::new(),
    };
    Written { state, bytes: b"state".to_vec(), logits: vec![0; 24], n_ctx: 256 }
}

#[test]
fn a_corpus_is_only_added_to_and_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shelf = Shelf::open(folder.path()).expect("an empty one");
    let name = shelf.add(written("b1")).expect("added");
    assert_eq!(name, "llama.cpp/b1/llama/f16/sequence-file");
    assert!(matches!(shelf.add(written("b1")), Err(CorpusError::There { .. })));
    shelf.add(written("b2")).expect("another release");
    shelf.note(&name, "b2", Reading::Refuses).expect("noted");
    let again = Shelf::open(folder.path()).expect("read back");
    assert_eq!(again.corpus, shelf.corpus);
    assert_eq!((again.corpus.version, again.corpus.states.len()), (CORPUS_VERSION, 2));
    assert_eq!(again.corpus.states[&name].readers["b2"], Reading::Refuses);
    let case = fs::read_to_string(folder.path().join(&name).join("case.txt")).expect("a case");
    assert_eq!(case, "kv f16 n_ctx 256\ntokens 3 1 2 3\ncontinuation 2 4 5\n");
    assert_eq!(fs::read_to_string(folder.path().join("reader.c")).expect("a program"), READER_TEXT);
    assert!(READER_TEXT.lines().count() <= 150);
    assert_eq!(READER_TEXT.matches("#include \"").count(), 1, "llama.h alone");
    assert_eq!(again.faults(), [""; 0]);
}

#[test]
fn what_is_damaged_missing_or_foreign_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shelf = Shelf::open(folder.path()).expect("an empty one");
    let name = shelf.add(written("b1")).expect("added");
    let at = |file: &str| folder.path().join(&name).join(file);
    fs::write(at("state.bin"), "other").expect("written");
    fs::remove_file(at("case.txt")).expect("removed");
    fs::write(at("more"), "").expect("written");
    let faults = shelf.faults();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].contains("case.txt") && faults[1].contains("more is not in the index"), "{faults:?}");
    assert!(faults[2].ends_with("state.bin is not what it was"), "{faults:?}");
    fs::write(folder.path().join("index.json"), "{}").expect("written");
    assert!(matches!(Shelf::open(folder.path()), Err(CorpusError::Malformed { .. })));
}

/// A folder that an index names is below the corpus, whatever it says.
#[test]
fn an_index_leads_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shelf = Shelf::open(folder.path()).expect("an empty one");
    shelf.add(written("b1")).expect("added");
    let path = folder.path().join("index.json");
    let text = fs::read_to_string(&path).expect("an index");
    let text = text.replace("\"llama.cpp/b1/llama/f16/sequence-file\"", "\"../../elsewhere\"");
    fs::write(&path, &text).expect("written");
    assert!(matches!(Shelf::open(folder.path()), Err(CorpusError::Malformed { .. })));
    let text = text.replace("\"../../elsewhere\"", "\"llama.cpp/../llama/f16/sequence-file\"");
    let text = text.replace("\"release\": \"b1\"", "\"release\": \"..\"");
    fs::write(&path, &text).expect("written");
    assert!(matches!(Shelf::open(folder.path()), Err(CorpusError::Malformed { .. })));
}
