//! Measuring the parts of an operation.

use std::time::Instant;

use crate::receipt::Timings;

/// A stopwatch with laps.
pub(crate) struct Stopwatch {
    start: Instant,
    lap: Instant,
    timings: Timings,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, lap: now, timings: Timings::default() }
    }

    /// Ends the part that has been going on.
    pub(crate) fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        *self.timings.steps.entry(name).or_default() += now - self.lap;
        self.lap = now;
    }

    pub(crate) fn stop(mut self) -> Timings {
        self.timings.total = self.start.elapsed();
        self.timings
    }
}
