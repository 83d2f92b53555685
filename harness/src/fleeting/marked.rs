//! Processes that must not outlive this one: workers, and whatever they start.
//!
//! A worker gets a mark into its environment, which whatever it starts inherits, in whichever process group or session that
//! puts itself. The guard knows the mark, and ends what has it once this process is gone. Where other processes' environments
//! cannot be read, which is everywhere but on Linux, workers have to end by themselves when nobody reads their answers.

use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::sync::OnceLock;

use intact_format::regular;

use super::guard;

/// The environment variable that has the mark.
const VARIABLE: &str = "INTACT_OF";
/// What marks begin with: no path does.
const PREFIX: &str = "marked-";
/// Hexadecimal digits behind it.
const DIGITS: usize = 32;

/// What the processes that one command has started are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(String);

/// Puts this process's mark on a program before it is started, and has the guard watch for it.
pub(super) fn mark(command: &mut Command) {
    static OWN: OnceLock<Mark> = OnceLock::new();
    let own = OWN.get_or_init(Mark::new);
    guard::watch_over_marked(own);
    command.env(VARIABLE, own.as_str());
}

impl Mark {
    fn new() -> Self {
        let random = || RandomState::new().hash_one(std::process::id());
        Self(format!("{PREFIX}{:016x}{:016x}", random(), random()))
    }

    pub(super) fn read(said: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(said).ok()?;
        let random = text.strip_prefix(PREFIX)?;
        let is_random = random.len() == DIGITS && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_random.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(target_os = "linux")]
impl Mark {
    /// Kills every process with this mark, until there is none or the system itself is stuck.
    pub(super) fn end_all(&self) {
        use std::time::{Duration, Instant};

        /// How long processes may take to end that were killed.
        const STUCK: Duration = Duration::from_secs(10);
        const PAUSE: Duration = Duration::from_millis(5);
        /// Looks that find nobody: one could miss what somebody starts who ends just then.
        const LOOKS: u32 = 2;

        let begin = Instant::now();
        let mut looks = 0;
        while looks < LOOKS && begin.elapsed() < STUCK {
            looks = if self.kill_all() { 0 } else { looks + 1 };
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether there was any.
    fn kill_all(&self) -> bool {
        let Ok(processes) = std::fs::read_dir("/proc") else { return false };
        let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|id| self.kill(*id)).count() > 0
    }

    /// Kills a process that has the mark. What is held when its environment is read is what is killed, whoever gets its id.
    fn kill(&self, id: i32) -> bool {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let Some(pid) = Pid::from_raw(id) else { return false };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        let environment = regular::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let entry = format!("{VARIABLE}={}", self.0);
        let has_mark = environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes());
        has_mark && pidfd_send_signal(held, Signal::KILL).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
impl Mark {
    pub(super) fn end_all(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_back_and_nothing_else_is_one() {
        let mark = Mark::new();
        assert_eq!(Mark::read(mark.as_str().as_bytes()), Some(mark.clone()));
        assert_ne!(mark, Mark::new());
        let short = &mark.as_str()[..mark.as_str().len() - 1];
        for other in ["", "marked-", "/dev/shm/intact-plain-0123456789abcdef", short, &format!("{short}x")] {
            assert_eq!(Mark::read(other.as_bytes()), None, "{other}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn whatever_has_the_mark_is_ended_in_whichever_session_it_is_and_nothing_else() {
        use std::os::unix::process::CommandExt;
        use std::os::unix::process::ExitStatusExt;
        use std::process::Stdio;

        let (mark, other) = (Mark::new(), Mark::new());
        let script = "sleep 600 & setsid sh -c 'sleep 600 & exec sleep 600' & wait";
        let started = |mark: &Mark| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env(VARIABLE, mark.as_str()).process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let (mut ours, mut theirs) = (started(&mark), started(&other));
        let begin = std::time::Instant::now();
        let count = |mark: &Mark| {
            let entry = format!("{VARIABLE}={}\0", mark.as_str());
            let environments =
                std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("environ"));
            let texts = environments.map(|path| std::fs::read(path).unwrap_or_default());
            texts.filter(|text| String::from_utf8_lossy(text).contains(&entry)).count()
        };
        while (count(&mark) < 4 || count(&other) < 4) && begin.elapsed().as_secs() < 60 {
            std::thread::yield_now();
        }
        mark.end_all();
        assert_eq!((count(&mark), count(&other)), (0, 4));
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        other.end_all();
        assert_eq!((theirs.wait().unwrap().signal(), count(&other)), (Some(9), 0));
    }
}
