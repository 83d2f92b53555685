//! Any bytes as a state file of llama.cpp.
#![no_main]

use intact_format::foreign::ForeignFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = ForeignFile::read(bytes) {
        let _ = file.fits();
    }
});
