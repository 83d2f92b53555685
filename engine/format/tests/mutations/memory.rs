//! The memory that reading may take.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `read`; the process is aborted when it holds more than four times the files and 64 MB at once.
pub(crate) fn within_memory<T>(files: usize, read: impl FnOnce() -> T) -> T {
    let before = MEMORY.allocated();
    MEMORY.set_limit(before + 4 * files + (64 << 20)).expect("the limit is above what is in use");
    let result = read();
    MEMORY.set_limit(usize::MAX).expect("no limit");
    result
}
