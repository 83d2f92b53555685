//! What saving and loading take of memory, besides what llama.cpp has already.

use std::alloc::System;
use std::fs;

use cap::Cap;
use intact_benches::{Failure, Shape, Subject};
use intact_engine::LoadOptions;
use intact_format::kv_type::KvType;
use intact_format::route::Route;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;
/// What the chunks on their way may take.
const SOME_CHUNKS: usize = 64_000_000;

/// Runs something that may allocate so many bytes more than there are at the start; the process is aborted when it takes
/// more. llama.cpp's own allocations are not counted here.
fn within<T>(bytes: usize, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    MEMORY.set_limit(MEMORY.allocated() + bytes).map_err(|error| format!("{error:?}"))?;
    let result = run();
    MEMORY.set_limit(usize::MAX).map_err(|error| format!("{error:?}"))?;
    result
}

/// The same, and by how much the resident memory of the whole process was greater in between: llama.cpp's counts too.
fn resident<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Option<usize>), Failure> {
    let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = status("VmRSS:");
    let result = run()?;
    let peak = status("VmHWM:").zip(before).map(|(peak, before)| peak.saturating_sub(before));
    Ok((result, peak.filter(|_| reset)))
}

fn status(field: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix(field))?.trim().strip_suffix(" kB")?;
    kib.parse::<usize>().ok().map(|kib| kib << 10)
}

/// What the engine makes of a memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Parts of the sequence are read and written alone: some chunks are there at a time.
    InParts,
    /// States are read and written whole: one is there, and some chunks on their way.
    Whole,
    /// The same, and nothing is known of the state.
    Opaque,
}

const SESSIONS: [(&str, usize, Memory); 5] = [
    // Chunks as they are with the widest KV are a few megabytes too: see the number of tokens in each.
    ("kv-0.5b", 12_288, Memory::InParts),
    ("kv-70b", 512, Memory::InParts),
    ("kv-window", 8192, Memory::Whole),
    ("kv-hybrid", 8192, Memory::Whole),
    ("kv-0.5b", 12_288, Memory::Opaque),
];

/// One test, because the memory limit is of the whole process.
#[test]
fn a_save_or_a_load_takes_some_chunks_and_the_state_at_most_once() -> Result<(), Failure> {
    for (model, tokens, memory) in SESSIONS {
        let shape = Shape { model, kv: KvType::F16, tokens };
        let mut subject =
            if memory == Memory::Opaque { Subject::opaque(shape) } else { Subject::new(shape) }?;
        let state = subject.state()?.bytes().len();
        assert!(state > 140 * MIB, "{state} bytes of state tell more from less");
        let if_whole = |bytes| if memory == Memory::InParts { 0 } else { bytes };
        let most = SOME_CHUNKS + if_whole(state);
        let file = subject.file();
        // The context that this load leaves is there for the next one.
        subject.load(&file)?;
        let (loaded, load) = resident(|| within(most, || subject.load(&file)))?;
        assert_eq!((loaded.receipt.route, loaded.receipt.tokens_restored + 1), (Route::Direct, tokens));
        if memory != Memory::Opaque {
            let mut other = subject.transcoding_engine()?;
            let loaded = within(most, || Ok(other.load(&file, &LoadOptions::default())?))?;
            assert_eq!(loaded.receipt.route, Route::Transcoded);
        }
        let fresh = subject.scratch("fresh.json");
        let (_, full) = resident(|| within(most, || subject.save(&fresh)))?;
        // A turn takes what it writes, and some chunks.
        subject.say(128)?;
        let (first, turn) = resident(|| subject.save(&fresh))?;
        let most_of_turn = SOME_CHUNKS + usize::try_from(first.bytes)?;
        subject.say(128)?;
        let saved = within(most_of_turn, || subject.save(&fresh))?;
        if memory == Memory::InParts {
            assert!(saved.bytes < state as u64 / 3, "{} bytes for a turn", saved.bytes);
        }
        println!("{model}, {tokens} tokens, {state} bytes of state, {} of a turn:", saved.bytes);
        println!("more resident memory than before:");
        let peaks =
            [("a load", load, most), ("a full save", full, most), ("a save of a turn", turn, most_of_turn)];
        for (what, peak, most) in peaks {
            let Some(peak) = peak else {
                println!("  {what}: not known here");
                continue;
            };
            println!("  {what}: {} MiB, {} MiB are allowed", peak / MIB, most / MIB);
            // A load into a context that was emptied makes its pages resident again.
            assert!(peak <= most, "{what}: {peak} bytes");
        }
    }
    Ok(())
}
