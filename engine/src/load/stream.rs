//! Chunks on their way from a place: several threads read, hash and prepare them, and take the ones that are ready, in order.
//! No more of them are in memory at once than that takes.

use std::collections::BTreeMap;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvError, Sender, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use intact_format::image::{Chunk, ChunkId};
use intact_format::place::{PlaceError, SessionSource};
use intact_format::route::{Refusal, RefusalCode};

use crate::buffers;
use crate::llama::fit;

/// Bytes that may be under way at once, unless a few chunks take more.
const UNDER_WAY: usize = 64 << 20;
/// Chunks under way that keep every thread busy.
const FEWEST: usize = 3;
/// Threads, at most.
const THREADS: usize = 9;
/// How long a thread that has a core of its own looks again and again before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Reads the chunks with these ids and lengths. Each is put behind `prefix`, hashed, and given to `prepare`; what that makes
/// of it is given to `take`, one after the other in their order, which may give a buffer back to be used again. Both run on
/// any thread but this one.
pub(super) fn read_all<T: Send>(
    source: &dyn SessionSource,
    chunks: &[(ChunkId, u64)],
    prefix: &[u8],
    prepare: impl Fn(usize, Chunk<'static>) -> Result<T, Refusal> + Sync,
    take: impl FnMut(T) -> Result<Option<Vec<u8>>, Refusal> + Send,
) -> Result<(), Refusal> {
    let longest = chunks.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let longest = usize::try_from(longest).unwrap_or(usize::MAX).max(1);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(THREADS);
    // Few buffers, used again and again, stay in the processor's caches.
    let room = (UNDER_WAY / longest).clamp(FEWEST, (threads + 1).max(FEWEST)).min(chunks.len());
    let next = AtomicUsize::new(0);
    let (free, again) = mpsc::channel();
    for _ in 0..room {
        let _ = free.send(buffers::take());
    }
    let again = Mutex::new(again);
    let queue = Queue::new(take, free);
    let work = || {
        let _ending = Ending(&queue);
        loop {
            // A buffer first, then the next chunk: so the one that is taken next is always under way.
            let waiting = || again.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(buffer) = soon(|| waiting().try_recv(), || waiting().recv()) else { return };
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(id, bytes)) = chunks.get(at) else { return buffers::keep(buffer) };
            let prepared = read_one(source, id, bytes, prefix, buffer)
                .map_err(unreadable)
                .and_then(|chunk| prepare(at, chunk));
            if !queue.hand_over(at, prepared) {
                return;
            }
        }
    };
    // This thread sleeps: a scheduler may start the first of the others on its core, where they would wait for each other.
    thread::scope(|scope| {
        for _ in 0..threads.min(room) {
            scope.spawn(work);
        }
    });
    again.into_inner().unwrap_or_else(PoisonError::into_inner).try_iter().for_each(buffers::keep);
    queue.outcome()
}

/// Chunks that are ready, until it is their turn.
struct Queue<T, F>(Mutex<Turns<T, F>>);

struct Turns<T, F> {
    ready: BTreeMap<usize, Result<T, Refusal>>,
    /// The chunk that is taken next.
    turn: usize,
    /// What takes it, unless a thread is at it, or there was an error.
    take: Option<F>,
    error: Option<Refusal>,
    /// Where buffers go to be used again, as long as any thread wants one.
    free: Option<Sender<Vec<u8>>>,
}

impl<T, F: FnMut(T) -> Result<Option<Vec<u8>>, Refusal>> Queue<T, F> {
    fn new(take: F, free: Sender<Vec<u8>>) -> Self {
        let (ready, turn, error) = (BTreeMap::new(), 0, None);
        Self(Mutex::new(Turns { ready, turn, take: Some(take), error, free: Some(free) }))
    }

    /// Puts a chunk into the queue, and takes what is ready unless another thread does. `false` after an error.
    fn hand_over(&self, at: usize, prepared: Result<T, Refusal>) -> bool {
        let mut turns = self.turns();
        turns.ready.insert(at, prepared);
        while let Some(mut take) = turns.take.take() {
            let turn = turns.turn;
            let Some(prepared) = turns.ready.remove(&turn) else {
                turns.take = Some(take);
                break;
            };
            drop(turns);
            let taken = prepared.and_then(&mut take);
            turns = self.turns();
            match taken {
                Ok(buffer) => {
                    turns.turn += 1;
                    turns.take = Some(take);
                    let buffer = buffer.unwrap_or_default();
                    match &turns.free {
                        Some(free) => drop(free.send(buffer)),
                        None => buffers::keep(buffer),
                    }
                }
                Err(error) => turns.error = Some(error),
            }
        }
        turns.error.is_none()
    }

    fn outcome(self) -> Result<(), Refusal> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).error.map_or(Ok(()), Err)
    }
}

impl<T, F> Queue<T, F> {
    fn turns(&self) -> MutexGuard<'_, Turns<T, F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that ends, for whatever reason: there is nothing left to read, so that no other one has to wait for a buffer.
struct Ending<'q, T, F>(&'q Queue<T, F>);

impl<T, F> Drop for Ending<'_, T, F> {
    fn drop(&mut self) {
        self.0.turns().free = None;
    }
}

/// What a channel gives, which is expected within microseconds: a thread that sleeps takes longer to wake up than that.
fn soon<T>(
    mut attempt: impl FnMut() -> Result<T, TryRecvError>,
    wait: impl FnOnce() -> Result<T, RecvError>,
) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
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
    fit(&mut buffer, length);
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

#[cfg(test)]
mod tests {
    use intact_format::image::ImageReference;
    use intact_format::place::{Memory, SessionSink};

    use super::*;

    /// A place with chunks of different lengths, and what to ask of it.
    fn chunks(count: u8) -> (Memory, Vec<(ChunkId, u64)>) {
        let mut place = Memory::default();
        let payloads = (0..count).map(|at| vec![at; 1 + usize::from(at) * 37 % 1000]);
        let chunks: Vec<_> = payloads.map(Chunk::new).collect();
        let entries: Vec<_> = chunks.iter().map(Chunk::entry).collect();
        for chunk in &chunks {
            place.put(chunk).expect("a chunk in memory");
        }
        place.locate(&ImageReference::opaque(entries.clone(), "a test")).expect("all chunks");
        (place, entries)
    }

    #[test]
    fn chunks_are_taken_in_their_order_one_at_a_time_behind_the_prefix() {
        let (place, wanted) = chunks(200);
        let mut taken = Vec::new();
        let take = |(at, bytes): (usize, Vec<u8>)| {
            taken.push((at, bytes.clone()));
            Ok(Some(bytes))
        };
        read_all(&place, &wanted, b"prefix", |at, chunk| Ok((at, chunk.into_bytes())), take).expect("all");
        assert_eq!(taken.len(), 200);
        for (at, (number, bytes)) in taken.iter().enumerate() {
            assert_eq!((*number, &bytes[..6]), (at, b"prefix".as_slice()));
            assert_eq!(ChunkId::of(&bytes[6..]), wanted[at].0, "chunk {at}");
        }
    }

    #[test]
    fn the_first_damaged_chunk_is_the_error_and_nothing_behind_it_is_taken() {
        let (mut place, wanted) = chunks(100);
        for damaged in [40, 41, 90] {
            place.chunks.get_mut(&wanted[damaged].0).expect("it is there")[0] ^= 1;
        }
        let mut taken = 0;
        let take = |_| {
            taken += 1;
            Ok(None)
        };
        let refusal = read_all(&place, &wanted, &[], |_, chunk| Ok(chunk), take).expect_err("damage");
        assert_eq!((refusal.code, taken), (RefusalCode::ImageDamaged, 40));
        assert!(refusal.message.contains(&wanted[40].0.to_string()), "{}", refusal.message);
    }

    #[test]
    fn an_error_where_a_chunk_is_taken_ends_the_load_and_so_does_a_panic() {
        let (place, wanted) = chunks(100);
        let full = || Refusal::new(RefusalCode::EngineFailed, "full");
        let take = |at| if at == 3 { Err(full()) } else { Ok(None) };
        let refusal = read_all(&place, &wanted, &[], |at, _| Ok(at), take).expect_err("full");
        assert_eq!(refusal.code, RefusalCode::EngineFailed);
        let take = |at| if at == 3 { panic!("a defect") } else { Ok(None) };
        let panicking = || read_all(&place, &wanted, &[], |at, _| Ok(at), take);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
    }

    #[test]
    fn nothing_is_read_where_there_are_no_chunks() {
        let take = |_: usize| Ok(None);
        assert!(read_all(&Memory::default(), &[], &[], |at, _| Ok(at), take).is_ok());
    }
}
