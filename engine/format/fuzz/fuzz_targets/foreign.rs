//! Any bytes as a state file of llama.cpp.
#![no_main]

use intact_format::adoption::{Holding, apart};
use intact_format::foreign::ForeignFile;
use intact_format::transcode::HeadSizes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = ForeignFile::read(bytes) {
        let _ = file.fits();
    }
    let heads = HeadSizes { full: [64; 2], window: [64; 2] };
    if let Ok(holding) = Holding::of(bytes, &heads) {
        for reading in &holding.readings {
            let _ = reading.extent();
            let _ = apart(&reading.state, &reading.state);
        }
    }
});
