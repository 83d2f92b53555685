//! A worker whose harness is gone has nobody to answer, and ends: also in the middle of a long evaluation, and also where
//! the harness was killed and could not tell.

use std::fs::File;
use std::io;
use std::thread;

/// Ends this process as soon as nobody can read its answers any more. Programs of its own process group end with it if it
/// leads one, as the harness has it.
///
/// # Errors
/// Those of duplicating the handle and of starting a thread.
pub fn end_with_the_reader(answers: &File) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    let answers = answers.try_clone()?;
    let watch = move || {
        loop {
            // No event is asked for: only the end of the reader is told, which always is.
            let mut watched = [PollFd::new(&answers, PollFlags::empty())];
            let told = poll(&mut watched, None);
            let [watched] = watched;
            let gone = watched.revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
            match told {
                Ok(_) if gone => end(),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Where the handle cannot be watched, the end of standard input has to do.
                Err(_) => return,
            }
        }
    };
    thread::Builder::new().name("reader watch".into()).spawn(watch).map(|_| ())
}

fn end() -> ! {
    use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};

    if getpgrp() == getpid() {
        let _sent = kill_current_process_group(Signal::KILL);
    }
    let _sent = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}
