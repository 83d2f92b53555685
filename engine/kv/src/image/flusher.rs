//! Flushing a file while it is written, so that little is left to wait for at the end.

use std::fs::File;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A thread that flushes a file whenever something was written to it. What was written is on the disk when it ends.
#[derive(Debug)]
pub(super) struct Flusher {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the writer says to the thread.
#[derive(Debug, Default)]
struct Desk {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    /// Something was written since the last flush began.
    written: bool,
    /// Nothing more will be.
    done: bool,
}

impl Flusher {
    /// Begins to flush a file.
    ///
    /// # Errors
    /// When the file cannot be opened a second time.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let desk = Arc::new(Desk::default());
        let thread = thread::spawn({
            let desk = Arc::clone(&desk);
            move || desk.flush_until_done(&file)
        });
        Ok(Self { desk, thread: Some(thread) })
    }

    /// Something was written.
    pub(super) fn note(&self) {
        self.desk.change(|work| work.written = true);
    }

    /// Waits until all that was noted is on the disk.
    ///
    /// # Errors
    /// Those of all flushes: the operating system tells each only once.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.desk.change(|work| work.done = true);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The thread holds the file, and its lock, open: it ends before its writer does.
impl Drop for Flusher {
    fn drop(&mut self) {
        // Whoever gives a save up does not rely on what it wrote.
        let _ = self.end();
    }
}

impl Desk {
    fn change(&self, change: impl FnOnce(&mut Work)) {
        change(&mut self.work());
        self.changed.notify_one();
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush_until_done(&self, file: &File) -> io::Result<()> {
        loop {
            let idle = |work: &mut Work| !work.written && !work.done;
            let mut work = self.changed.wait_while(self.work(), idle).unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut work.written) {
                return Ok(());
            }
            drop(work);
            file.sync_data()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn it_ends_when_all_is_flushed() {
        let mut file = tempfile::tempfile().expect("a file");
        let flusher = Flusher::of(&file).expect("a thread");
        for _ in 0..5 {
            file.write_all(b"some bytes").expect("written");
            flusher.note();
        }
        flusher.finish().expect("flushed");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_flush_that_failed_is_told_at_the_end() {
        // A pipe cannot be flushed.
        let (_reader, writer) = io::pipe().expect("a pipe");
        let flusher = Flusher::of(&File::from(std::os::fd::OwnedFd::from(writer))).expect("a thread");
        flusher.note();
        assert!(flusher.finish().is_err());
    }
}
