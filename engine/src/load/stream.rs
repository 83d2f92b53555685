//! Chunks on their way from a place: several threads read, hash and prepare them, while the ones that are ready are taken
//! in order. No more of them are in memory at once than that takes.

use std::collections::BTreeMap;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvError, TryRecvError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use intact_format::image::{Chunk, ChunkId};
use intact_format::place::{PlaceError, SessionSource};
use intact_format::route::{Refusal, RefusalCode};

use crate::buffers;

/// Bytes that may be under way at once, unless a few chunks take more.
const UNDER_WAY: usize = 64 << 20;
/// Chunks under way that keep every thread busy.
const FEWEST: usize = 3;
/// Threads that read, at most.
const READERS: usize = 8;
/// How long a thread that has a core of its own looks again and again before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Reads the chunks with these ids and lengths. Each is put behind `prefix`, hashed, and given to `prepare`, on any thread;
/// what that makes of it is given to `take`, in order, which may give a buffer back to be used again.
pub(super) fn read_all<T: Send>(
    source: &dyn SessionSource,
    chunks: &[(ChunkId, u64)],
    prefix: &[u8],
    prepare: impl Fn(usize, Chunk<'static>) -> Result<T, Refusal> + Sync,
    mut take: impl FnMut(T) -> Result<Option<Vec<u8>>, Refusal>,
) -> Result<(), Refusal> {
    let longest = chunks.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let longest = usize::try_from(longest).unwrap_or(usize::MAX).max(1);
    // One core is left to the thread that takes.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let readers = cores.saturating_sub(1).clamp(1, READERS);
    // Few buffers, used again and again, stay in the processor's caches.
    let room = (UNDER_WAY / longest).clamp(FEWEST, readers + 2).min(chunks.len());
    let readers = readers.min(room);
    let patience = if cores > readers { PATIENCE } else { Duration::ZERO };
    let next = AtomicUsize::new(0);
    let (free, again) = mpsc::channel::<Vec<u8>>();
    let again = Mutex::new(again);
    let (done, ready) = mpsc::channel();
    let read = |buffer: Vec<u8>, at: usize| {
        let (id, bytes) = chunks[at];
        prepare(at, read_one(source, id, bytes, prefix, buffer).map_err(unreadable)?)
    };
    let taken = thread::scope(|scope| {
        for _ in 0..readers {
            let done = done.clone();
            let (again, next, read) = (&again, &next, &read);
            scope.spawn(move || {
                loop {
                    // A buffer first, then the next chunk: so the one that is taken next is always under way.
                    let waiting = || again.lock().unwrap_or_else(PoisonError::into_inner);
                    let buffer = soon(patience, || waiting().try_recv(), || waiting().recv());
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(buffer) = buffer else { return };
                    if at >= chunks.len() {
                        buffers::keep(buffer);
                        return;
                    }
                    if done.send((at, read(buffer, at))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        // The readers end when there are no more buffers.
        let free = free;
        for _ in 0..room {
            let _ = free.send(buffers::take());
        }
        let mut waiting = BTreeMap::new();
        let mut taken = 0;
        while taken < chunks.len() {
            let Some((at, prepared)) = soon(patience, || ready.try_recv(), || ready.recv()) else { break };
            waiting.insert(at, prepared);
            while let Some(prepared) = waiting.remove(&taken) {
                let _ = free.send(take(prepared?)?.unwrap_or_default());
                taken += 1;
            }
        }
        Ok(())
    });
    again.into_inner().unwrap_or_else(PoisonError::into_inner).try_iter().for_each(buffers::keep);
    taken
}

/// What a channel gives, which is expected within microseconds: a thread that sleeps takes longer to wake up than that.
fn soon<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T, TryRecvError>,
    wait: impl FnOnce() -> Result<T, RecvError>,
) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < patience {
        match attempt() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => hint::spin_loop(),
        }
    }
    wait().ok()
}

fn read_one(
    source: &dyn SessionSource,
    id: ChunkId,
    bytes: u64,
    prefix: &[u8],
    mut buffer: Vec<u8>,
) -> Result<Chunk<'static>, PlaceError> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(prefix.len());
    if buffer.capacity() < length {
        // Fresh zeroed pages cost nothing until they are written.
        buffer = vec![0; length];
    }
    buffer.resize(length, 0);
    buffer[..prefix.len()].copy_from_slice(prefix);
    let chunk = if let Some(parts) = source.parts() {
        Chunk::read_behind(prefix.len(), buffer, |from, part| parts.read_part(id, from, part))?
    } else {
        source.read(id, &mut buffer[prefix.len()..])?;
        Chunk::behind(prefix.len(), buffer)
    };
    chunk.named(id).map_err(|error| PlaceError::new(Some(RefusalCode::ImageDamaged), error))
}

/// A chunk that a place did not give, or gave wrong.
pub(super) fn unreadable(error: PlaceError) -> Refusal {
    Refusal::new(error.code.unwrap_or(RefusalCode::ImageDamaged), error)
}
