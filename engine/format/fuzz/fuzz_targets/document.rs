//! Any bytes as a session document: what is read is written, and read as the same session.
#![no_main]

use intact_format::session::{read, write};
use intact_format::version::FormatVersion;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(found) = read(bytes, FormatVersion::CURRENT) {
        let written = write(&found.document, FormatVersion::CURRENT).expect("what is read is written");
        let again = read(&written.bytes, FormatVersion::CURRENT).expect("what is written is read");
        assert_eq!(again.document, found.document);
    }
});
