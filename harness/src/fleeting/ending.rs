//! The end of this process by a signal: first the folders go.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The folders of this process; none once it is about to end, when no more are made.
static LIVING: Mutex<Option<BTreeSet<PathBuf>>> = Mutex::new(Some(BTreeSet::new()));

/// The folders of this process, of which none is made or removed meanwhile.
pub(super) struct Living(MutexGuard<'static, Option<BTreeSet<PathBuf>>>);

pub(super) fn living() -> io::Result<Living> {
    let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    if living.is_some() { Ok(Living(living)) } else { Err(io::Error::other("the command was interrupted")) }
}

impl Living {
    pub(super) fn insert(&mut self, path: PathBuf) {
        if let Some(living) = &mut *self.0 {
            living.insert(path);
        }
    }

    pub(super) fn remove(&mut self, path: &PathBuf) {
        if let Some(living) = &mut *self.0 {
            living.remove(path);
        }
    }
}

/// From now on a signal that ends the process removes its folders first. It ends by that signal all the same.
#[cfg(unix)]
pub(super) fn heed() {
    use std::sync::Once;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

    static HEED: Once = Once::new();
    HEED.call_once(|| {
        let signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]);
        let Ok(mut signals) = signals else { return };
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Workers first: they write into these folders.
                crate::worker::kill_all();
                let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
                living.take().unwrap_or_default().iter().for_each(|folder| super::remove(folder));
                drop(living);
                let _by_signal = signal_hook::low_level::emulate_default_handler(signal);
                std::process::exit(128 + signal);
            }
        });
    });
}

/// Where there are no such signals, the next process sweeps.
#[cfg(not(unix))]
pub(super) fn heed() {}
