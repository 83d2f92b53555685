//! The process of a worker: in a process group of its own, killed as a whole, never left behind.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt;

/// How long a process that closed its output may take to die.
const GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// A child process that does not outlive this value.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

/// How a process died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// `SIGSEGV`, `exit 3`, ...
    pub code: String,
    /// The same for a person.
    pub how: String,
}

/// Processes that are alive, by id, so that all can be killed at once.
static ALIVE: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn alive() -> MutexGuard<'static, BTreeSet<u32>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every worker of this program, each with its process group.
pub(super) fn kill_all() {
    for id in alive().iter() {
        kill_group_of(*id);
    }
}

impl Process {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        own_group(&mut command);
        // Held until the process is in the list: none is started behind the back of `kill_all`.
        let mut alive = alive();
        if interrupt::requested() {
            return Err(io::Error::other("the run was interrupted"));
        }
        let child = command.spawn()?;
        alive.insert(child.id());
        Ok(Self { child })
    }

    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.wait(GRACE).is_none()
    }

    /// Kills the whole process group.
    pub(super) fn kill(&mut self) {
        // Out of the list before it is reaped: afterwards its id may be another process's.
        alive().remove(&self.child.id());
        if self.child.try_wait().ok().flatten().is_none() {
            kill_group(&mut self.child);
        }
        let _reaped = self.child.wait();
    }

    /// Waits for an orderly end, then kills what is left.
    pub(super) fn settle(&mut self, timeout: Duration) {
        if self.wait(timeout).is_none() {
            self.kill();
        }
    }

    /// How it died; kills it if it is only pretending.
    pub(super) fn post_mortem(&mut self) -> Death {
        match self.wait(GRACE) {
            Some(status) => death(status),
            None => {
                self.kill();
                Death {
                    code: "closed-output".into(),
                    how: "it closed its standard output but went on; it was killed".into(),
                }
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    alive().remove(&self.child.id());
                    return Some(status);
                }
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

fn kill_group(child: &mut Child) {
    if !kill_group_of(child.id()) {
        let _already_dead = child.kill();
    }
}

#[cfg(unix)]
fn kill_group_of(id: u32) -> bool {
    use rustix::process::{Pid, Signal, kill_process_group};
    i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|group| kill_process_group(group, Signal::KILL).is_ok())
}

#[cfg(not(unix))]
fn kill_group_of(_id: u32) -> bool {
    false
}

#[cfg(unix)]
fn death(status: ExitStatus) -> Death {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => {
            let name = signal_name(signal);
            Death { how: format!("killed by {name}"), code: name }
        }
        None => exit_death(status),
    }
}

#[cfg(not(unix))]
fn death(status: ExitStatus) -> Death {
    exit_death(status)
}

fn exit_death(status: ExitStatus) -> Death {
    let code = status.code().map_or_else(|| "exit ?".to_owned(), |code| format!("exit {code}"));
    Death { how: format!("it left without an answer ({code})"), code }
}

#[cfg(unix)]
fn signal_name(signal: i32) -> String {
    use rustix::process::Signal;
    const NAMES: [(Signal, &str); 10] = [
        (Signal::ABORT, "SIGABRT"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::KILL, "SIGKILL"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::ILL, "SIGILL"),
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TRAP, "SIGTRAP"),
    ];
    NAMES
        .into_iter()
        .find(|(known, _)| known.as_raw() == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, name)| name.to_owned())
}
