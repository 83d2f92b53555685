//! What a worker may take from the machine.

use std::io;
use std::sync::Once;

use intact_protocol::{CAGE, Cage, OFF};

/// What a worker may take from the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of its own; any number if not given. Files that it maps, as it does with models, do not count, and
    /// neither does address space that it only keeps free. Linux has such a limit; elsewhere there is none.
    pub memory: Option<u64>,
    /// What the built-in worker may touch, on Linux. Other subjects do not heed it.
    pub cage: Cage,
}

impl Limits {
    /// The variable that a worker is told its cage with; none where the user has switched it off.
    pub(super) fn cage_variable(&self) -> Option<(&'static str, String)> {
        let off = std::env::var_os(CAGE).is_some_and(|value| value == OFF);
        (!off).then(|| (CAGE, self.cage.variable()))
    }

    /// Puts the limits on a process.
    #[cfg(target_os = "linux")]
    pub(super) fn put_on(&self, id: u32) -> io::Result<()> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let Some(memory) = self.memory else { return Ok(()) };
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        // What is left of it is all that the worker's own programs get, too.
        let limit = Rlimit { current: Some(memory), maximum: Some(memory) };
        prlimit(pid, Resource::Data, limit).map(|_| ()).map_err(io::Error::from)
    }

    /// Puts the limits on a process.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn put_on(&self, _id: u32) -> io::Result<()> {
        Ok(())
    }
}

/// From now on programs that this one starts leave no core files: a worker with a model open has gigabytes of them, and with
/// a conversation in it.
pub(super) fn no_core_files() {
    static DONE: Once = Once::new();
    DONE.call_once(set_no_core_files);
}

#[cfg(unix)]
fn set_no_core_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    let _none_anyway = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
}

#[cfg(not(unix))]
fn set_no_core_files() {}
