//! What a store takes from the machine it runs on: the time that passes, and random numbers.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::key::Mark;

/// An operation that took longer than this gives up before it publishes or removes anything: what it learnt at its start
/// may not be so any more.
pub(crate) const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What an operation left in the store is respected for so long, by the store's own clock, and counts as a dead process's
/// afterwards. Must be far more than [`LIMIT`].
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The clock and the dice; tests have their own.
pub(crate) trait Surroundings: fmt::Debug + Send + Sync {
    /// Time since some moment in the past; never goes back.
    fn elapsed(&self) -> Duration;

    /// A mark that nobody else has.
    fn mark(&self) -> Mark;
}

/// Those of this machine.
#[derive(Debug)]
pub(crate) struct Machine {
    start: Instant,
}

/// The time that an operation has.
pub(crate) struct Deadline<'s> {
    surroundings: &'s dyn Surroundings,
    start: Duration,
    what: &'static str,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Surroundings for Machine {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn mark(&self) -> Mark {
        Mark::new(rand::random())
    }
}

impl<'s> Deadline<'s> {
    pub(crate) fn start(surroundings: &'s dyn Surroundings, what: &'static str) -> Self {
        Self { surroundings, start: surroundings.elapsed(), what }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.surroundings.elapsed().saturating_sub(self.start) > LIMIT
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_over() {
            return Err(StoreError::TooSlow { what: self.what, limit: LIMIT.as_secs() / 60 });
        }
        Ok(())
    }
}
