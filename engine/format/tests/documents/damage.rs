//! Damaged files: an error or the very same session, never another one, never a panic.

use intact_format::route::RefusalCode;
use intact_format::session::{self, ReadError};
use intact_format::version::FormatVersion;
use proptest::prelude::*;

use crate::sample;

fn file() -> Vec<u8> {
    session::write(&sample::session(), FormatVersion::CURRENT).expect("a sound session").bytes
}

#[test]
fn every_truncation_is_refused() {
    let file = file();
    let content = file.len() - 1; // the last byte is a line end
    for length in 0..content {
        let refused = session::read(&file[..length], FormatVersion::CURRENT).unwrap_err();
        let code = if length == 0 { RefusalCode::NotASessionFile } else { RefusalCode::FileTruncated };
        assert_eq!(refused.code(), code, "{length} of {content} bytes: {refused}");
    }
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing() {
    let (file, session) = (file(), sample::session());
    let mut harmless = 0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(read) = session::read(&damaged, FormatVersion::CURRENT) {
                assert_eq!(read.document, session, "byte {at}, bit {bit}");
                harmless += 1;
            }
        }
    }
    // Upper-case digits of a chunk's hash, a line end that becomes a space: another spelling of the same session.
    assert!(harmless < file.len() / 20, "{harmless} of {} flips", file.len() * 8);
}

#[test]
fn a_document_in_another_layout_is_the_same_session_and_is_held_to_the_same_digest() {
    let value: serde_json::Value = serde_json::from_slice(&file()).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let read = session::read(pretty.as_bytes(), FormatVersion::CURRENT).unwrap();
    assert_eq!(read.document, sample::session());
    let refused = session::read(pretty.replace("Madrid", "Milano").as_bytes(), FormatVersion::CURRENT);
    assert_eq!(refused.unwrap_err().code(), RefusalCode::DigestMismatch);
}

#[test]
fn an_edited_session_is_refused_for_its_digest() {
    let text = String::from_utf8(file()).unwrap();
    for (from, to) in [
        ("Madrid", "Milano"),
        (r#""seed":42"#, r#""seed":43"#),
        ("[80,108", "[81,108"),
        (r#""scale":0.5"#, r#""scale":0.6"#),
    ] {
        assert!(text.contains(from), "{from}");
        let refused = session::read(text.replace(from, to).as_bytes(), FormatVersion::CURRENT).unwrap_err();
        assert_eq!(refused.code(), RefusalCode::DigestMismatch, "{from}: {refused}");
    }
}

#[test]
fn a_document_whose_digest_was_taken_out_is_refused() {
    let text = String::from_utf8(file()).unwrap();
    let (before, after) = text.split_once(r#""Digest":""#).unwrap();
    let stripped = format!("{before}{}", after.split_once(r#"","#).unwrap().1);
    let refused = session::read(stripped.as_bytes(), FormatVersion::CURRENT).unwrap_err();
    assert!(matches!(refused, ReadError::Unsealed), "{refused}");
    assert_eq!(refused.code(), RefusalCode::DigestMismatch);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let marked = [b"\xEF\xBB\xBF".as_slice(), &file()].concat();
    let read = session::read(&marked, FormatVersion::CURRENT).unwrap();
    assert_eq!(read, session::read(&file(), FormatVersion::CURRENT).unwrap());
}

#[test]
fn other_files_are_not_sessions() {
    let deep = "[".repeat(100_000);
    let table: [(&[u8], RefusalCode); 12] = [
        (b"", RefusalCode::NotASessionFile),
        (b"\0\0\0", RefusalCode::NotASessionFile),
        (b"qsgg\x04\0\0\0", RefusalCode::NotASessionFile),
        (b"[]", RefusalCode::NotASessionFile),
        (b"{}", RefusalCode::NotASessionFile),
        (b"null", RefusalCode::NotASessionFile),
        (b"{\"FormatVersion\":2}", RefusalCode::NotASessionFile),
        (b"{\"FormatVersion\":\"two\"}", RefusalCode::NotASessionFile),
        (b"{\"FormatVersion\":\"1.0\",\"FormatVersion\":\"1.0\"}", RefusalCode::NotASessionFile),
        (b"\xEF\xBB\xBF{}", RefusalCode::NotASessionFile),
        (b"\xFF\xFE{\0}\0", RefusalCode::NotASessionFile),
        (deep.as_bytes(), RefusalCode::NotASessionFile),
    ];
    for (bytes, code) in table {
        let refused = session::read(bytes, FormatVersion::CURRENT).unwrap_err();
        assert_eq!(refused.code(), code, "{}: {refused}", bytes[..bytes.len().min(40)].escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(session::read(&bytes, FormatVersion::CURRENT).is_err());
    }

    #[test]
    fn a_damaged_session_is_refused_or_the_same(
        session in sample::sessions(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..4),
    ) {
        let mut bytes = session::write(&session, FormatVersion::CURRENT).unwrap().bytes;
        for (at, edit, byte) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        if let Ok(read) = session::read(&bytes, FormatVersion::CURRENT) {
            prop_assert_eq!(read.document, session);
        }
    }
}
