//! `intact perf`: how fast sessions are saved and restored.

mod compare;
mod counts;
mod history;
mod record;
mod settings;
mod subject;

use clap::{Args, Subcommand};

use super::Failure;
use crate::exit::Exit;

/// Measure how fast sessions are saved and restored, and whether that changed
///
/// Every figure is what a worker measures on its own clock. Beside the engine's operations stand llama.cpp's own files,
/// which are unprotected, and two yardsticks that no change of the code can move: copying as many bytes in memory, and
/// plain arithmetic.
#[derive(Debug, Args)]
pub(super) struct Perf {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Compare(compare::Compare),
    Counts(counts::Counts),
    Record(record::Record),
    History(history::History),
    Plot(history::Plot),
}

impl Perf {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        match self.action {
            Action::Compare(compare) => compare.carry_out(),
            Action::Counts(counts) => counts.carry_out(),
            Action::Record(record) => record.carry_out(),
            Action::History(history) => history.carry_out(),
            Action::Plot(plot) => plot.carry_out(),
        }
    }
}
