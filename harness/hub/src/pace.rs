//! How slowly a hub may send. One that sends a byte now and then is never silent, and would be waited for without end.

use std::time::{Duration, Instant};

/// Bytes a second at least.
const LEAST: u64 = 1024;
/// Windows in a row that may be slower: a process that was stopped for a while has one.
const TOLERATED: u32 = 1;

/// What has come in the window that is under way.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    since: Instant,
    came: u64,
    slow: u32,
}

/// What came while too little did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow {
    pub(super) bytes: u64,
    pub(super) seconds: u64,
}

impl Pace {
    /// Begins the first window.
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self { window, since: now, came: 0, slow: 0 }
    }

    /// Notes bytes that have come.
    pub(super) fn note(&mut self, bytes: usize, now: Instant) -> Result<(), TooSlow> {
        self.came = self.came.saturating_add(bytes as u64);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < self.window {
            return Ok(());
        }
        let (bytes, seconds) = (self.came, elapsed.as_secs().max(1));
        self.slow = if bytes < LEAST.saturating_mul(seconds) { self.slow + 1 } else { 0 };
        (self.since, self.came) = (now, 0);
        if self.slow > TOLERATED { Err(TooSlow { bytes, seconds }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after which bytes that come so many a second are given up; at most a thousand.
    fn given_up(rate: usize, pause: u64) -> Option<u64> {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(10), start);
        (1..1000).find(|second| {
            let paused = if *second > 50 { pause } else { 0 };
            pace.note(rate, start + Duration::from_secs(second + paused)).is_err()
        })
    }

    #[test]
    fn a_trickle_is_given_up_and_a_slow_line_or_a_pause_is_not() {
        assert_eq!(given_up(1, 0), Some(20));
        assert_eq!(given_up(1023, 0), Some(20));
        assert_eq!(given_up(1024, 0), None);
        assert_eq!(given_up(4096, 600), None);
    }
}
