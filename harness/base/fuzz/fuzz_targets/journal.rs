//! Any bytes as a journal: it is read or a line of it is named, and what is appended comes behind the last whole line.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "the file is one of its own")]

use std::fs;

use intact_base::journal::{Journal, JournalError};
use libfuzzer_sys::fuzz_target;

type Words = Journal<Option<Vec<String>>>;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    fs::write(&path, bytes).expect("written");
    let before = Words::read(&path);
    let value = Some(vec!["last".to_owned()]);
    Words::open(&path).and_then(|mut journal| journal.append(&value)).expect("appended");
    let kept = fs::read(&path).expect("read");
    let kept = kept.strip_suffix(b"[\"last\"]\n").expect("what was appended is the end");
    assert!(bytes.starts_with(kept), "whole lines stay as they are");
    match (before, Words::read(&path)) {
        (Ok(mut values), Ok(after)) => {
            values.push(value);
            assert_eq!(values, after);
        }
        (Err(JournalError::Malformed { line, .. }), Err(JournalError::Malformed { line: again, .. })) => {
            assert_eq!(line, again);
        }
        (before, after) => panic!("{before:?} became {after:?}"),
    }
});
