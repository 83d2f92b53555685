//! Chunks on their way to a place: while the next one is read from the model's memory, earlier ones are hashed on all
//! cores and written, in order. No more of them are in memory at once than that takes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use intact_format::image::{Chunk, ChunkId};
use intact_format::place::{PlaceError, SessionSink};

use crate::buffers;

/// Bytes that may be under way at once, unless a few chunks take more.
const UNDER_WAY: usize = 64 << 20;
/// Chunks under way that keep every stage busy.
const FEWEST: usize = 3;
/// Threads that hash, at most.
const HASHERS: usize = 8;

/// A state whose chunk starts behind its first `skipped` bytes.
pub(super) struct Payload<'c> {
    pub(super) bytes: Cow<'c, [u8]>,
    pub(super) skipped: usize,
}

/// What a place was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Id and length of every chunk, in order.
    pub(super) chunks: Vec<(ChunkId, u64)>,
    /// Bytes that the place wrote.
    pub(super) written: u64,
}

/// Makes `count` chunks with `make`, which is given a buffer to use again, and puts them into a place.
pub(super) fn put_all<'c, E: From<PlaceError>>(
    count: usize,
    sink: &mut dyn SessionSink,
    mut make: impl FnMut(usize, Vec<u8>) -> Result<Payload<'c>, E>,
) -> Result<Given, E> {
    let hashers = thread::available_parallelism().map_or(1, usize::from).min(HASHERS).min(count);
    thread::scope(|scope| {
        let (made, to_hash) = mpsc::channel();
        let to_hash = Arc::new(Mutex::new(to_hash));
        let (named, to_write) = mpsc::channel();
        let (used, again) = mpsc::channel();
        let writer = scope.spawn(move || write(sink, &to_write, &used));
        for _ in 0..hashers {
            let (to_hash, named) = (Arc::clone(&to_hash), named.clone());
            scope.spawn(move || hash(&to_hash, &named));
        }
        drop((to_hash, named));

        let mut under_way = 0;
        let mut room = FEWEST;
        for at in 0..count {
            let buffer = match again.try_recv() {
                Ok(buffer) => buffer,
                Err(_) if under_way < room => {
                    under_way += 1;
                    buffers::take()
                }
                Err(_) => {
                    // Without an answer the place has failed, which the writer will say.
                    let Ok(buffer) = again.recv() else { break };
                    buffer
                }
            };
            let payload = make(at, buffer)?;
            // Few buffers, used again and again, stay in the processor's caches.
            room = (UNDER_WAY / payload.bytes.len().max(1)).clamp(FEWEST, hashers + 2);
            if made.send((at, payload)).is_err() {
                break;
            }
        }
        drop(made);
        let given = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        again.try_iter().for_each(buffers::keep);
        Ok(given)
    })
}

fn hash<'c>(payloads: &Mutex<Receiver<(usize, Payload<'c>)>>, named: &Sender<(usize, Chunk<'c>)>) {
    loop {
        let next = payloads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((at, Payload { bytes, skipped })) = next else { return };
        if named.send((at, Chunk::behind(skipped, bytes))).is_err() {
            return;
        }
    }
}

fn write(
    sink: &mut dyn SessionSink,
    chunks: &Receiver<(usize, Chunk<'_>)>,
    used: &Sender<Vec<u8>>,
) -> Result<Given, PlaceError> {
    let mut given = Given::default();
    let mut waiting = BTreeMap::new();
    for (at, chunk) in chunks {
        waiting.insert(at, chunk);
        while let Some(chunk) = waiting.remove(&given.chunks.len()) {
            given.written += sink.put(&chunk)?;
            given.chunks.push(chunk.entry());
            // The last buffers are not used again.
            let _ = used.send(chunk.into_buffer().unwrap_or_default());
        }
    }
    Ok(given)
}
