//! Any bytes as a bundle: chunks that are read have the hash that they are named by.
#![no_main]

use intact_format::place::{SessionSource, read_chunk};
use intact_seal::BundleSource;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.intact");
    std::fs::write(&path, bytes).expect("a file");
    let Ok(mut source) = BundleSource::open(&path) else { return };
    let _ = source.document();
    let image = source.image();
    source.locate(&image).expect("what it lists is there");
    for (id, length) in image.distinct_chunks() {
        let _ = read_chunk(&source, id, length);
    }
});
