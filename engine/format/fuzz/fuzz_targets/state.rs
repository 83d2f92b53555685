//! Any bytes as a state of any layout: what parses is written as the same bytes.
#![no_main]

use intact_format::layout::{Container, LAYOUTS, encode, identify, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (layout, blob, bytes) = input;
    let layout = &LAYOUTS[usize::from(layout) % LAYOUTS.len()];
    let container = if blob { Container::Blob } else { Container::File };
    if let Ok(shape) = identify(bytes, layout, container) {
        let state = parse(bytes, layout, &shape, container).expect("the shape was found by parsing");
        assert_eq!(encode(&state, layout, container).expect("what parses is written"), bytes);
    }
});
