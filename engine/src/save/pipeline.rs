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
    make: impl FnMut(usize, Vec<u8>) -> Result<Payload<'c>, E>,
) -> Result<Given, E> {
    put_named(count, sink, make, Chunk::behind)
}

/// The same, with another way to name chunks.
fn put_named<'c, E: From<PlaceError>>(
    count: usize,
    sink: &mut dyn SessionSink,
    mut make: impl FnMut(usize, Vec<u8>) -> Result<Payload<'c>, E>,
    name: impl Fn(usize, Cow<'c, [u8]>) -> Chunk<'c> + Copy + Send,
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
            scope.spawn(move || hash(&to_hash, &named, name));
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

/// What a hasher hands on: a chunk and its number, or none when it panicked.
type Named<'c> = Option<(usize, Chunk<'c>)>;

/// Tells the writer of a panic: it would wait for a chunk that never comes, and everybody else for the writer.
struct Alarm<'s, 'c>(&'s Sender<Named<'c>>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Without a writer nobody waits.
            let _ = self.0.send(None);
        }
    }
}

fn hash<'c>(
    payloads: &Mutex<Receiver<(usize, Payload<'c>)>>,
    named: &Sender<Named<'c>>,
    name: impl Fn(usize, Cow<'c, [u8]>) -> Chunk<'c>,
) {
    let _alarm = Alarm(named);
    loop {
        let next = payloads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((at, Payload { bytes, skipped })) = next else { return };
        if named.send(Some((at, name(skipped, bytes)))).is_err() {
            return;
        }
    }
}

fn write(
    sink: &mut dyn SessionSink,
    chunks: &Receiver<Named<'_>>,
    used: &Sender<Vec<u8>>,
) -> Result<Given, PlaceError> {
    let mut given = Given::default();
    let mut waiting = BTreeMap::new();
    // After a panic nothing is finished: the panic goes on when all threads have ended.
    while let Ok(Some((at, chunk))) = chunks.recv() {
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use intact_format::place::Memory;

    use super::*;

    /// Runs it on another thread; fails when it has not ended after a while.
    fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, ended) = mpsc::channel();
        thread::spawn(move || done.send(work()));
        ended.recv_timeout(Duration::from_secs(60)).expect("it hangs")
    }

    fn payload(at: usize) -> Result<Payload<'static>, PlaceError> {
        Ok(Payload { bytes: vec![u8::try_from(at % 251).unwrap_or(0); 1000].into(), skipped: 0 })
    }

    #[test]
    fn chunks_arrive_in_order() {
        let given = ends(|| put_all(40, &mut Memory::default(), |at, _| payload(at)));
        let expected: Vec<_> =
            (0..40).map(|at| Chunk::new(payload(at).expect("one").bytes).entry()).collect();
        assert_eq!(given.expect("given").chunks, expected);
    }

    #[test]
    fn a_hasher_that_panics_ends_the_save_with_its_panic_and_leaves_nobody_waiting() {
        for bad in [0, 1, 20, 39] {
            let outcome = ends(move || {
                let name = move |skipped, bytes: Cow<'static, [u8]>| {
                    assert!(usize::from(bytes[0]) != bad, "a panic that this test wants");
                    Chunk::behind(skipped, bytes)
                };
                catch_unwind(AssertUnwindSafe(|| {
                    put_named(40, &mut Memory::default(), |at, _| payload(at), name).map(|given| given.chunks)
                }))
                .is_err()
            });
            assert!(outcome, "the panic at {bad} goes on");
        }
    }
}
