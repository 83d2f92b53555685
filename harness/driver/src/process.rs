//! The process of a worker: in a process group of its own, killed as a whole, never left behind.
//!
//! A process that has ended is looked at before it is reaped: until then its id stays its own, and with it that of its group,
//! so that what it started and left behind can be ended without hitting anybody else.

use std::collections::BTreeSet;
use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::limits::{self, Limits};

/// How long a process that closed its output may take to die.
const GRACE: Duration = Duration::from_secs(2);
/// How long one may take that was killed. It takes longer where the system itself is stuck, on a disk that does not answer:
/// then it is left to the system.
const STUCK: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// A child process that does not outlive this value.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// How it ended. From then on its id is no longer its own.
    reaped: Option<ExitStatus>,
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

/// Whether no process is to be started any more.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Kills every worker of this program, and lets no other be started. Whether that was so before.
#[cfg(unix)]
pub(super) fn stop() -> bool {
    let again = STOPPED.swap(true, Ordering::SeqCst);
    kill_all();
    again
}

/// Whether no process is to be started any more.
pub(super) fn stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// What is done to each command before it is started.
static PREPARE: OnceLock<fn(&mut Command)> = OnceLock::new();

/// Has this done to each command before it is started, from now on. The first one stays.
pub(super) fn prepare_with(prepare: fn(&mut Command)) {
    let _said_before = PREPARE.set(prepare);
}

impl Process {
    pub(super) fn spawn(mut command: Command, limits: &Limits) -> io::Result<Self> {
        own_group(&mut command);
        if let Some(prepare) = PREPARE.get() {
            prepare(&mut command);
        }
        limits::no_core_files();
        // Held until the process is in the list: none is started behind the back of `kill_all`.
        let mut alive = alive();
        if stopped() {
            return Err(io::Error::other("the run was interrupted"));
        }
        let child = command.spawn()?;
        alive.insert(child.id());
        drop(alive);
        let process = Self { child, reaped: None };
        limits.put_on(process.child.id())?;
        Ok(process)
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

    /// Whether it has ended. What it left behind is ended with it.
    pub(super) fn has_ended(&mut self) -> bool {
        self.wait(Duration::ZERO).is_some()
    }

    /// Kills the whole process group.
    pub(super) fn kill(&mut self) {
        if self.reaped.is_none() {
            self.end_group();
            let _left_to_the_system = self.wait(STUCK);
        }
    }

    /// Waits for an orderly end, then kills what is left.
    pub(super) fn settle(&mut self, timeout: Duration) {
        if self.wait(timeout).is_none() {
            self.kill();
        }
    }

    /// How it died; kills it if it is only pretending, and says what `pretence` it made.
    pub(super) fn post_mortem(&mut self, pretence: Pretence) -> Death {
        match self.wait(GRACE) {
            Some(status) => death(status),
            None => {
                self.kill();
                let (code, stream) = match pretence {
                    Pretence::ClosedOutput => ("closed-output", "output"),
                    Pretence::ClosedInput => ("closed-input", "input"),
                };
                let how = format!("it closed its standard {stream} but went on; it was killed");
                Death { code: code.into(), how }
            }
        }
    }

    /// Waits for its end. Its group is ended before its id is given back.
    fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now().checked_add(timeout);
        while self.reaped.is_none() && !ended(&mut self.child) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            thread::sleep(POLL);
        }
        if self.reaped.is_none() {
            self.end_group();
            self.reaped = self.child.wait().ok();
        }
        self.reaped
    }

    /// Kills what is in its group, and takes it out of the list: once it is reaped its id may be another's.
    fn end_group(&mut self) {
        alive().remove(&self.child.id());
        kill_group(&mut self.child);
    }
}

/// How a process can look dead that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pretence {
    /// It says nothing any more.
    ClosedOutput,
    /// It hears nothing any more.
    ClosedInput,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a child has ended. It is not reaped.
#[cfg(unix)]
fn ended(child: &mut Child) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return false };
    let looked = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), looked) {
        Ok(status) => status.is_some(),
        // Somebody else has reaped it.
        Err(error) => error == Errno::CHILD,
    }
}

/// Whether a child has ended.
#[cfg(not(unix))]
fn ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
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
