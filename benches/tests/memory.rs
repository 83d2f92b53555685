//! What saving and loading take of memory, besides what llama.cpp has already.

use std::alloc::System;
use std::fs;

use cap::Cap;
use intact_benches::{Failure, Shape, Subject};
use intact_format::kv_type::KvType;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;

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

/// One test, because the memory limit is of the whole process.
#[test]
fn a_save_or_a_load_takes_some_chunks_and_not_the_state() -> Result<(), Failure> {
    // Chunks as they are with the widest KV are a few megabytes too: see the number of tokens in each.
    for (model, tokens) in [("kv-0.5b", 12_288), ("kv-70b", 512)] {
        let mut subject = Subject::new(Shape { model, kv: KvType::F16, tokens })?;
        let state = subject.state()?.bytes().len();
        assert!(state > 140 * MIB, "{state} bytes of state tell more from less");
        let file = subject.file();
        // The context that this load leaves is there for the next one.
        subject.load(&file)?;
        let (loaded, load) = resident(|| within(72 * MIB, || subject.load(&file)))?;
        assert_eq!(loaded.receipt.tokens_restored + 1, tokens);
        let fresh = subject.scratch("fresh.json");
        let (_, full) = resident(|| within(72 * MIB, || subject.save(&fresh)))?;
        subject.say(128)?;
        let (saved, turn) = resident(|| within(72 * MIB, || subject.save(&fresh)))?;
        assert!(saved.bytes < state as u64 / 3, "{} bytes for a turn", saved.bytes);
        println!(
            "{model}, {tokens} tokens, {state} bytes of state: more resident memory than before, at most:"
        );
        for (what, peak) in [("a load", load), ("a full save", full), ("a save of a turn", turn)] {
            let Some(peak) = peak else {
                println!("  {what}: not known here");
                continue;
            };
            println!("  {what}: {} MiB", peak / MIB);
            // A load into a context that was emptied makes its pages resident again.
            assert!(peak <= 72 * MIB, "{what}: {peak} bytes");
        }
    }
    Ok(())
}
