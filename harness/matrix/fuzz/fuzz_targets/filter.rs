//! Any text as a filter: it is one or it is refused, and what it is read as is written as the same filter.
#![no_main]

use intact_matrix::filter::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(filter) = text.parse::<Filter>() {
        let written = filter.to_string();
        assert_eq!(written.parse::<Filter>().map(|again| again.to_string()), Ok(written));
    }
});
