//! Interruption: when a run is asked to stop, its workers are killed, and what it has so far is kept.

use super::process;

/// Whether the process was asked to stop.
#[must_use]
pub fn requested() -> bool {
    process::stopped()
}

/// From now on, the first SIGINT, SIGTERM or SIGHUP kills all workers and lets the run end in order; the second one ends
/// the process.
#[cfg(unix)]
pub fn heed() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let again = process::stop();
            if again {
                std::process::exit(128 + signal);
            }
        }
    });
}

/// Where there are no such signals, a process that is ended ends at once.
#[cfg(not(unix))]
pub fn heed() {}
