//! The guard: a process that ends and removes what another one leaves when that is gone, whatever ended it.
//!
//! It is this program, started once, with a pipe for its standard input. The names of folders come through the pipe, and the
//! mark of the processes that go with them; its end is the end of the process that holds the other side, since nobody else has
//! it: programs that this one starts lose it as soon as they run.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::marked::{self, Mark};

/// The subcommand that is a guard.
const GUARD: &str = "guard";
/// What stands between what it is told: no path and no mark has it in it.
const END: u8 = 0;

/// The program that can be a guard, where there is one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
/// The way to the guard of this process, once there is one.
static TOLD: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Says that this very program is `intact`, so that it can be started as a guard.
pub(crate) fn may_guard() {
    if let Ok(program) = std::env::current_exe() {
        let _said_before = PROGRAM.set(program);
        crate::worker::prepare_with(marked::mark);
    }
}

/// Has a guard watch over a folder. Where there can be none, the next process sweeps.
pub(super) fn watch_over(folder: &Path) {
    tell(folder.as_os_str().as_encoded_bytes());
}

/// Has a guard watch over all processes with a mark.
pub(super) fn watch_over_marked(mark: &Mark) {
    tell(mark.as_str().as_bytes());
}

fn tell(what: &[u8]) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    // One that was killed is replaced once.
    for _ in 0..2 {
        if told.is_none() {
            *told = start();
        }
        let Some(pipe) = &mut *told else { return };
        if pipe.write_all(&[what, &[END]].concat()).and_then(|()| pipe.flush()).is_ok() {
            return;
        }
        *told = None;
    }
}

fn start() -> Option<ChildStdin> {
    let mut command = Command::new(PROGRAM.get()?);
    command.arg(GUARD).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // What the keyboard ends is not the guard.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().ok()?.stdin.take()
}

/// What a guard does: waits for the end of whoever started it, ends the processes and removes the folders that it was told of.
pub(crate) fn keep_watch() {
    ignore_signals();
    let mut input = BufReader::new(std::io::stdin().lock());
    let (mut folders, mut marks) = (Vec::new(), Vec::new());
    loop {
        let mut said = Vec::new();
        match input.read_until(END, &mut said) {
            Ok(0) | Err(_) => break,
            Ok(_) if said.pop() != Some(END) => break,
            Ok(_) => match Mark::read(&said) {
                Some(mark) if marks.contains(&mark) => {}
                Some(mark) => marks.push(mark),
                None => folders.extend(path(said)),
            },
        }
    }
    // They may be writing into the folders.
    marks.iter().for_each(Mark::end_all);
    folders.iter().filter(|folder| is_ours(folder)).for_each(|folder| super::remove(folder));
}

fn is_ours(folder: &Path) -> bool {
    folder.is_absolute() && folder.file_name().and_then(OsStr::to_str).is_some_and(super::is_name)
}

#[cfg(unix)]
fn path(name: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(name).into())
}

#[cfg(not(unix))]
fn path(name: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(name).ok().map(PathBuf::from)
}

/// Who ends everything, such as a service manager, must not end the guard before its work is done.
#[cfg(unix)]
fn ignore_signals() {
    use std::sync::Arc;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let _ends_it_then = signal_hook::flag::register(signal, Arc::default());
    }
}

#[cfg(not(unix))]
fn ignore_signals() {}
