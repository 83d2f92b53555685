//! Sealed sessions are plain for a moment, for the worker. Whatever ends the command in that moment, nothing readable stays.
//! `INTACT_KILLS` times, some dozens by default.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::cli::{golden_session, intact, worker};

/// What ends a command: the keyboard, a service manager, a terminal that was closed, and what nothing can be done about.
const ENDS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL];
/// How long what watches over a process that was killed may take to see it.
const SOON: Duration = Duration::from_secs(10);

struct Scene {
    folder: TempDir,
    scratch: TempDir,
    key: PathBuf,
}

impl Scene {
    /// A session that is sealed for a key.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let plain = golden_session(folder.path(), "plain");
        let key = folder.path().join("ada.key");
        let recipient = intact(["key".as_ref(), key.as_os_str()]).out.trim_end().to_owned();
        let sealed = folder.path().join("chat.json");
        let words = ["seal".as_ref(), plain.as_os_str(), "--recipient".as_ref(), recipient.as_ref()];
        let made = intact(words.into_iter().chain(["--out".as_ref(), sealed.as_os_str()]));
        assert_eq!(made.code, 0, "{}", made.err);
        Self { folder, scratch: tempfile::tempdir().expect("a folder"), key }
    }

    /// A command that opens the session and hands it to a worker. The worker waits before it reads.
    fn start(&self, command: &str) -> Child {
        let mut line = Command::new(env!("CARGO_BIN_EXE_intact"));
        match command {
            "chat" => line.args(["chat", "--max-tokens", "1", "--load", "chat.json"]),
            command => line.args([command, "chat.json"]),
        };
        line.arg("--model").arg(intact_fixtures::cached("llama").expect("a fixture model"));
        line.arg("--key").arg(&self.key).arg("--worker").arg(worker()).args(["--threads", "1"]);
        line.arg("--scratch").arg(self.scratch.path()).current_dir(self.folder.path());
        line.env("NO_COLOR", "1").env_remove("INTACT_PASSPHRASE");
        line.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = line.spawn().expect("started");
        if command == "chat" {
            let mut stdin = child.stdin.take().expect("piped");
            let _ended_at_once = stdin.write_all(b"/save /dev/null/nowhere\n");
        }
        child
    }

    /// Files that are plain now, in folders of the command.
    fn plain(&self) -> Vec<PathBuf> {
        let below = |folder: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        };
        below(self.scratch.path()).iter().flat_map(|folder| below(folder)).collect()
    }

    /// Waits until something is plain, or the command has ended.
    fn until_plain(&self, child: &mut Child) -> bool {
        while self.plain().is_empty() {
            if child.try_wait().expect("a child").is_some() {
                return false;
            }
            sleep(Duration::from_micros(200));
        }
        true
    }

    /// Whatever is left in the scratch folder once there was time to see that the process is gone.
    fn left(&self, patience: Duration) -> Vec<PathBuf> {
        let start = Instant::now();
        loop {
            let entries = fs::read_dir(self.scratch.path()).expect("a folder");
            let left: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
            if left.is_empty() || start.elapsed() > patience {
                return left;
            }
            sleep(Duration::from_millis(5));
        }
    }
}

fn send(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    let _ended_already = kill_process(id, signal);
}

fn ended(mut child: Child) -> ExitStatus {
    child.wait().expect("a child")
}

/// The processes that this one has started.
fn children(parent: u32) -> Vec<i32> {
    let is_child = |stat: &str| {
        let behind = stat.rsplit(')').next().unwrap_or_default();
        behind.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|id| fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| is_child(&stat)))
        .collect()
}

#[test]
fn whatever_ends_a_command_at_whatever_moment_nothing_plain_stays() {
    let kills = std::env::var("INTACT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(24);
    let scene = Scene::new();
    let mut random = StdRng::seed_from_u64(20_261_130);
    let longest = ["chat", "check"].map(|command| {
        let start = Instant::now();
        let ended = ended(scene.start(command));
        assert!(ended.code().is_some_and(|code| code != 101), "{command} ended with {ended}");
        start.elapsed()
    });
    let (mut killed, mut while_plain, mut round) = (0, 0, 0);
    while killed < kills {
        assert!(round < 10 * kills + 100, "only {killed} of {round} commands were killed");
        let which = round % 2;
        let signal = ENDS[(round / 2) % ENDS.len()];
        let mut child = scene.start(["chat", "check"][which]);
        // Half of them at any moment, half of them while there is something to be left behind.
        if (round / 8) % 2 == 0 {
            scene.until_plain(&mut child);
            sleep(Duration::from_micros(random.random_range(0..30_000)));
        } else {
            sleep(longest[which].mul_f64(random.random::<f64>()));
        }
        let was_plain = !scene.plain().is_empty();
        send(&child, signal);
        let ended = ended(child);
        killed += usize::from(ended.code().is_none());
        while_plain += usize::from(was_plain && ended.code().is_none());
        let patience = if signal == Signal::KILL { SOON } else { Duration::ZERO };
        let left = scene.left(patience);
        assert!(left.is_empty(), "round {round}, {signal:?}: {left:?} stays");
        round += 1;
    }
    println!("{killed} of {round} commands were killed, {while_plain} of them while a session was plain");
    assert!(while_plain > 0, "none was hit while a session was plain");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_power_cut_leaves_goes_when_the_next_command_needs_the_folder() {
    let scene = Scene::new();
    let mut child = scene.start("chat");
    assert!(scene.until_plain(&mut child));
    // All at once, as where the power fails: nothing of it can clean up.
    send(&child, Signal::STOP);
    let all = children(child.id());
    for id in all.iter().copied().filter_map(Pid::from_raw) {
        let _ended_already = kill_process(id, Signal::KILL);
    }
    send(&child, Signal::KILL);
    ended(child);
    assert!(!scene.left(Duration::from_millis(200)).is_empty(), "there was nobody to remove it");
    let mut next = scene.start("check");
    while next.try_wait().expect("a child").is_none() {
        sleep(Duration::from_millis(5));
    }
    let left = scene.left(Duration::ZERO);
    assert!(left.is_empty(), "{left:?} stays");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_living_command_needs_is_not_swept() {
    let scene = Scene::new();
    let mut child = scene.start("chat");
    assert!(scene.until_plain(&mut child));
    send(&child, Signal::STOP);
    let mine = scene.plain();
    ended(scene.start("check"));
    assert!(!mine.is_empty() && mine.iter().all(|path| path.exists()), "{mine:?} is in use");
    send(&child, Signal::CONT);
    let code = ended(child).code();
    assert!(scene.left(SOON).is_empty() && code.is_some());
}
