//! Buffers that held chunks, kept for later saves and loads: to touch new memory for the first time takes longer than to
//! copy a chunk into it.

use std::sync::{Mutex, PoisonError};

/// Bytes that are kept at most, in the whole process.
const MOST_BYTES: usize = 16 << 20;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer with whatever it held last, or an empty one.
pub(crate) fn take() -> Vec<u8> {
    kept(Vec::pop).unwrap_or_default()
}

/// Keeps a buffer, unless there are enough.
pub(crate) fn keep(buffer: Vec<u8>) {
    kept(|kept| {
        let bytes = kept.iter().map(Vec::capacity).sum::<usize>();
        if buffer.capacity() > 0 && bytes + buffer.capacity() <= MOST_BYTES {
            kept.push(buffer);
        }
    });
}

fn kept<T>(with: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
    with(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}
