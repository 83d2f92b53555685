//! What an operation costs in things that can be counted: allocations of this program (llama.cpp's own are not among them), the
//! bytes and the calls of its reads and writes, and pages that it touched for the first time. Counts do not depend on how busy a
//! machine is.

use std::alloc::System;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::sync::OnceLock;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Where the system keeps its counts; open before the cage closes.
static SOURCES: OnceLock<Sources> = OnceLock::new();

/// Names of counts, in the order of [`Reading`].
const NAMES: [&str; 7] =
    ["allocations", "allocated-bytes", "reads", "read-bytes", "writes", "written-bytes", "faults"];

#[derive(Debug, Default)]
struct Sources {
    io: Option<File>,
    stat: Option<File>,
}

/// The counts of this process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    counts: [u64; NAMES.len()],
    /// Bytes that it took to find out how many were read.
    own: u64,
}

/// Counts from now on.
pub(crate) fn begin() {
    let open = |name: &str| OpenOptions::new().read(true).open(name).ok();
    let _first = SOURCES.set(Sources { io: open("/proc/self/io"), stat: open("/proc/self/stat") });
}

/// The counts before an operation, where they are asked for.
pub(crate) fn before() -> Option<Reading> {
    let sources = SOURCES.get()?;
    let mut reading = Reading::default();
    // Allocations last: what reading the others takes is not the operation's.
    sources.faults(&mut reading);
    sources.io(&mut reading);
    allocations(&mut reading);
    Some(reading)
}

/// What an operation has added, by name.
pub(crate) fn since(before: Option<Reading>) -> BTreeMap<String, u64> {
    let (Some(before), Some(sources)) = (before, SOURCES.get()) else { return BTreeMap::new() };
    let mut after = Reading::default();
    allocations(&mut after);
    sources.io(&mut after);
    sources.faults(&mut after);
    let mut added: BTreeMap<String, u64> = NAMES
        .into_iter()
        .zip(after.counts.iter().zip(before.counts))
        .map(|(name, (after, before))| (name.to_owned(), after.saturating_sub(before)))
        .collect();
    // The system counts a read once it is done: that of the counts before is among those that came after.
    for (name, own) in [("reads", 1), ("read-bytes", before.own)] {
        if let Some(count) = added.get_mut(name) {
            *count = count.saturating_sub(own);
        }
    }
    added
}

fn allocations(reading: &mut Reading) {
    let stats = ALLOCATOR.stats();
    reading.counts[0] = (stats.allocations + stats.reallocations) as u64;
    reading.counts[1] = stats.bytes_allocated as u64;
}

impl Sources {
    /// `rchar`, `wchar`, `syscr` and `syscw` of proc(5).
    fn io(&self, reading: &mut Reading) {
        let mut buffer = [0; 512];
        let text = text(self.io.as_ref(), &mut buffer);
        reading.own = text.len() as u64;
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let at = match name {
                "syscr" => 2,
                "rchar" => 3,
                "syscw" => 4,
                "wchar" => 5,
                _ => continue,
            };
            reading.counts[at] = value.trim().parse().unwrap_or(0);
        }
    }

    /// `minflt` and `majflt` of proc(5), the eighth and the tenth behind the program's name.
    fn faults(&self, reading: &mut Reading) {
        let mut buffer = [0; 1024];
        let text = text(self.stat.as_ref(), &mut buffer);
        let behind = text.rsplit_once(") ").map_or("", |(_, behind)| behind);
        let field = |at: usize| behind.split(' ').nth(at).and_then(|value| value.parse::<u64>().ok());
        reading.counts[6] = field(7).unwrap_or(0) + field(9).unwrap_or(0);
    }
}

/// What one of the system's files says now, without an allocation.
fn text<'b>(file: Option<&File>, buffer: &'b mut [u8]) -> &'b str {
    #[cfg(unix)]
    let read = {
        use std::os::unix::fs::FileExt;
        file.and_then(|file| file.read_at(buffer, 0).ok()).unwrap_or(0)
    };
    #[cfg(not(unix))]
    let read = {
        let _nowhere = file;
        0
    };
    std::str::from_utf8(&buffer[..read]).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_allocated_between_is_counted() {
        begin();
        let before = before();
        let made: Vec<Box<[u8; 64]>> = (0..100).map(|_| Box::new([1; 64])).collect();
        let added = since(before);
        assert_eq!(made.len(), 100);
        // Other tests may allocate at the same time.
        assert!(added["allocations"] >= 101, "{added:?}");
        assert!(added["allocated-bytes"] >= 6400, "{added:?}");
        assert_eq!(added.len(), NAMES.len());
    }
}
