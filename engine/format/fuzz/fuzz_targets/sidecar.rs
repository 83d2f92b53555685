//! Any bytes as a sidecar: chunks that are read have the hash that they are named by, also after a save.
#![no_main]

use intact_format::image::sidecar::{Sidecar, SidecarWriter, verify};
use intact_format::image::{Chunk, ChunkId, Durable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.kv");
    std::fs::write(&path, bytes).expect("a file");
    let _ = verify(&path, None);
    if let Ok(mut writer) = SidecarWriter::open(&path, Durable::default()) {
        let chunk = Chunk::new(&b"a chunk"[..]);
        writer.append(std::slice::from_ref(&chunk)).expect("room for a chunk");
        drop(writer);
        let mut sidecar = Sidecar::open(&path).expect("what was written is a sidecar");
        for frame in sidecar.frames().to_vec() {
            if let Ok(read) = sidecar.read(frame.id) {
                assert_eq!(ChunkId::of(read.payload()), frame.id);
            }
        }
    }
});
