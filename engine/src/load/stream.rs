//! Chunks on their way from a place: several threads read, hash and prepare them, while the ones that are ready are taken
//! in order. No more of them are in memory at once than that takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use intact_format::image::{Chunk, ChunkId};
use intact_format::place::{PlaceError, SessionSource};
use intact_format::route::{Refusal, RefusalCode};

/// Bytes that may be under way at once, unless a few chunks take more.
const UNDER_WAY: usize = 64 << 20;
/// Chunks under way that keep every thread busy.
const FEWEST: usize = 3;
/// Threads that read, at most.
const READERS: usize = 8;

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
    let next = AtomicUsize::new(0);
    let (free, buffers) = mpsc::channel::<Vec<u8>>();
    let buffers = Mutex::new(buffers);
    let (done, ready) = mpsc::channel();
    let read = |buffer: Vec<u8>, at: usize| {
        let (id, bytes) = chunks[at];
        prepare(at, read_one(source, id, bytes, prefix, buffer).map_err(unreadable)?)
    };
    thread::scope(|scope| {
        for _ in 0..readers {
            let done = done.clone();
            let (buffers, next, read) = (&buffers, &next, &read);
            scope.spawn(move || {
                loop {
                    // A buffer first, then the next chunk: so the one that is taken next is always under way.
                    let buffer = buffers.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Ok(buffer) = buffer else { return };
                    if at >= chunks.len() || done.send((at, read(buffer, at))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        // The readers end when there are no more buffers.
        let free = free;
        for _ in 0..room {
            let _ = free.send(Vec::new());
        }
        let mut waiting = BTreeMap::new();
        let mut taken = 0;
        while taken < chunks.len() {
            let Ok((at, prepared)) = ready.recv() else { break };
            waiting.insert(at, prepared);
            while let Some(prepared) = waiting.remove(&taken) {
                let _ = free.send(take(prepared?)?.unwrap_or_default());
                taken += 1;
            }
        }
        Ok(())
    })
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
