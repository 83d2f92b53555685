//! Cells that are being played, and which of them take so long that somebody should know.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A cell that takes longer is named; again when it has taken twice as long, and so on.
pub(super) const SLOW: Duration = Duration::from_secs(30);

/// Cells that are being played.
#[derive(Debug, Default)]
pub(super) struct Running(BTreeMap<String, Started>);

#[derive(Debug)]
struct Started {
    at: Instant,
    /// How long it takes when it is named next.
    next: Duration,
}

impl Running {
    /// A cell is begun.
    pub(super) fn begin(&mut self, cell: &str, now: Instant) {
        self.0.insert(cell.to_owned(), Started { at: now, next: SLOW });
    }

    /// A cell is over.
    pub(super) fn end(&mut self, cell: &str) {
        self.0.remove(cell);
    }

    /// A line for each cell that has taken so long that it is to be named now.
    pub(super) fn slow(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for (cell, started) in &mut self.0 {
            let took = now.saturating_duration_since(started.at);
            if took >= started.next {
                lines.push(format!("SLOW [> {} s] {cell}", started.next.as_secs()));
                while started.next <= took {
                    started.next *= 2;
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_takes_long_is_named_while_it_runs_and_ever_more_seldom() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut running = Running::default();
        running.begin("quick", begin);
        running.begin("stuck", begin);
        let told: Vec<(u64, Vec<String>)> = [1, 29, 30, 31, 59, 61, 90, 300]
            .map(|seconds| {
                if seconds == 29 {
                    running.end("quick");
                }
                (seconds, running.slow(after(seconds)))
            })
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .collect();
        let line = |over: u64| vec![format!("SLOW [> {over} s] stuck")];
        assert_eq!(told, [(30, line(30)), (61, line(60)), (300, line(120))]);
        running.end("stuck");
        assert!(running.slow(after(10_000)).is_empty());
    }
}
